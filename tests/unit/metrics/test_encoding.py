"""Encoding: names, refusals by name, and estimators that a metric may not have."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Lasso, LinearRegression, RidgeCV
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.helpers.models import tiny_gpt, tokenizer

from ontogeny import Geometry, watch
from ontogeny._import_string import import_from_string
from ontogeny.brain import Target
from ontogeny.errors import ConfigError, MetricError
from ontogeny.extraction.process_group import SINGLE_PROCESS
from ontogeny.metrics import RSA, Encoding, LayerGeometry, make_folds

pytestmark = pytest.mark.usefixtures("unchecked")


def target(rng, n=40, voxels=3, **options):
    return Target(subject="s", roi="IT", responses=rng.standard_normal((n, voxels)), n_voxels=voxels, **options)


class Base(BaseEstimator):
    def fit(self, x, y):
        self.mean = y.mean(axis=0)
        return self

    def predict(self, x):
        return np.tile(self.mean, (len(x), *[1] * np.ndim(self.mean))) + x[:, :1].reshape(-1, *[1] * np.ndim(self.mean))


class WritesIntoItsInput(Base):
    def fit(self, x, y):
        x -= x.mean(axis=0)
        return super().fit(x, y)


class GlobalNoise(Base):
    def predict(self, x):
        return super().predict(x) + np.random.standard_normal()


class GivesNan(Base):
    def predict(self, x):
        return super().predict(x) * np.nan


class TooFew(Base):
    def predict(self, x):
        return super().predict(x)[1:]


class NoPredict(BaseEstimator):
    def fit(self, x, y):
        return self


def test_a_name_tells_what_differs_from_the_defaults():
    assert Encoding(PLSRegression(n_components=25)).name == "encoding-PLSRegression(n_components=25)"
    assert Encoding(PLSRegression(n_components=2)).name == "encoding-PLSRegression()"
    pipeline = make_pipeline(StandardScaler(), RidgeCV(alphas=[1.0, 10.0]))
    named = Encoding(pipeline, score="r2", over_voxels="median", cv=KFold(3)).name
    assert named == "encoding-StandardScaler() > RidgeCV(alphas=[1.0, 10.0])-r2-median-KFold(n_splits=3)"
    many = [Encoding(RidgeCV(alphas=np.logspace(low, 5, 21))).name for low in (-5, -4)]
    assert many[0] != many[1]
    assert max(map(len, many)) < 70
    cuts = [[(np.arange(n), np.arange(n, 40))] for n in (20, 30)]
    assert Encoding(LinearRegression(), cv=cuts[0]).name != Encoding(LinearRegression(), cv=cuts[1]).name


def test_an_address_with_parameters_is_an_estimator():
    metric = Encoding("sklearn.cross_decomposition:PLSRegression(n_components=25, scale=False)")
    assert metric.estimator.n_components == 25
    assert metric == Encoding(metric.estimator)
    assert import_from_string("sklearn.linear_model:LinearRegression()").fit_intercept


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("sklearn.cross_decomposition:PLSRegression(n=25)", "PLSRegression.*refuses its options.*'n'"),
        ("sklearn.cross_decomposition:PLSRegression(open('x'))", "cannot read the options"),
        ("sklearn.cross_decomposition:PLSRegression(25) + 1", "cannot read the options"),
        ("sklearn.cross_decomposition:PLSRegression(25", "cannot read the options"),
        ("sklearn.cross_decomposition:PLSRegresion(25)", "PLSRegression"),
    ],
)
def test_an_address_with_wrong_parameters_is_refused(address, match):
    with pytest.raises(ConfigError, match=match):
        import_from_string(address)


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (PLSRegression, "write PLSRegression"),
        (NoPredict(), "NoPredict has no predict"),
        (WritesIntoItsInput(), "WritesIntoItsInput changes the features"),
        (GlobalNoise(), "GlobalNoise depends on the global random state"),
        (MLPRegressor(random_state=np.random.RandomState(0)), "random_state is a generator"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_estimator_that_a_metric_may_not_have_is_refused_before_training(estimator, match, rng):
    state = np.random.get_state()[1].copy()
    with pytest.raises(MetricError, match=match):
        Encoding(estimator).prepare([target(rng)], make_folds(40))
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (GivesNan(), r"GivesNan\(\) predicts NaN or infinity in fold 0"),
        (TooFew(), r"TooFew\(\) should predict \(8, 3\) in fold 0|TooFew\(\) should predict \(8,\) in fold 0"),
        (
            PLSRegression(n_components=35),
            r"PLSRegression\(n_components=35\) failed in fold 0 \(32 stimuli x 50 features\)",
        ),
        (Lasso(alpha=1e-9, max_iter=1), r"Lasso\(.*\) failed in fold 0 .*ConvergenceWarning"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_fails_on_a_layer_is_refused_by_name(estimator, match, rng):
    prepared = Encoding(estimator).prepare([target(rng)], make_folds(40))
    with pytest.raises(MetricError, match=match):
        prepared.score(LayerGeometry(torch.as_tensor(rng.standard_normal((40, 50)))))


def test_what_does_not_converge_is_kept_where_asked_for_and_the_name_says_so(rng):
    x, y = LayerGeometry(torch.as_tensor(rng.standard_normal((40, 50)))), target(rng)
    for one in (Lasso(alpha=1e-9, max_iter=1), PLSRegression(n_components=20, max_iter=1)):
        with pytest.raises(MetricError, match="ConvergenceWarning"):
            Encoding(one).prepare([y], make_folds(40)).score(x)
        kept = Encoding(one, unconverged="keep")
        assert kept.name == f"{Encoding(one).name}-unconverged kept"
        assert np.isfinite(kept.prepare([y], make_folds(40)).score(x)[0].value)


def test_a_random_state_of_none_is_one_seed(rng):
    x, y = rng.standard_normal((40, 5)), target(rng)
    metric = Encoding(MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=2000))
    values = [metric.prepare([y], make_folds(40)).score(LayerGeometry(torch.as_tensor(x)))[0].value for _ in range(2)]
    assert values[0] == values[1]


def test_each_target_is_fitted_alone(rng):
    """Of partial least squares, voxels that are fitted together share components."""
    x = LayerGeometry(torch.as_tensor(rng.standard_normal((40, 9))))
    one, other = target(rng), target(rng, voxels=30)
    metric = Encoding(PLSRegression(n_components=3))
    alone = metric.prepare([one], make_folds(40)).score(x)
    beside = metric.prepare([one, other], make_folds(40)).score(x)
    assert beside[0].value == alone[0].value


def test_scores_do_not_depend_on_a_pipeline_that_scales_for_itself(rng):
    x, y = rng.standard_normal((40, 9)), target(rng)
    metric = Encoding(make_pipeline(StandardScaler(), LinearRegression()))
    values = [
        metric.prepare([y], make_folds(40)).score(LayerGeometry(torch.as_tensor(x * s)))[0].value for s in (1, 1e5)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-9)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"score": "rho"}, "score is one of pearson, r2, r2-by-fold, noise-normalised, got 'rho'"),
        ({"over_voxels": "max"}, "over_voxels is 'mean', 'median' or 'fold-median'"),
        ({"cv": ShuffleSplit(3)}, "ShuffleSplit splits otherwise each time"),
        ({"cv": 5}, "cv is an object with split"),
        ({"unconverged": "warn"}, "unconverged is 'refuse' or 'keep', got 'warn'"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, match):
    with pytest.raises(MetricError, match=match):
        Encoding(LinearRegression(), **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cv": [(np.arange(30), np.arange(20, 40))]}, "trains on"),
        ({"cv": [(np.arange(30), np.arange(30, 50))]}, "does not fit the 40 stimuli"),
        ({"cv": [(np.arange(39), np.array([39]))]}, "fewer than 2"),
        ({"score": "noise-normalised"}, "has none; use score='pearson'"),
    ],
)
def test_splits_and_ceilings_that_do_not_fit_are_refused(options, match, rng):
    with pytest.raises(MetricError, match=match):
        Encoding(LinearRegression(), **options).prepare([target(rng)], make_folds(40))


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
@pytest.mark.parametrize("metric", [Encoding(LinearRegression()), Encoding(PLSRegression(2), score="r2")])
def test_a_voxel_without_variance_or_with_nan_is_refused(metric, value, rng):
    one = target(rng)
    one.responses[:, 1] = value
    with pytest.raises(MetricError, match="1 of 3 voxels of ROI 'IT' of subject 's' are constant or hold NaN"):
        metric.prepare([one], make_folds(40))


class Exits(Base):
    def fit(self, x, y):
        raise SystemExit(3)


def test_an_estimator_that_ends_the_process_is_refused_by_name(rng):
    prepared = Encoding(Exits()).prepare([target(rng)], make_folds(40))
    with pytest.raises(MetricError, match=r"Exits\(\) failed in fold 0 .*SystemExit: 3"):
        prepared.score(LayerGeometry(torch.as_tensor(rng.standard_normal((40, 4)))))


def test_a_geometry_has_no_voxels(rng):
    x = rng.standard_normal((40, 3))
    rdm = ((x[:, None] - x[None]) ** 2).sum(2)
    held = Geometry(name="g", subject="s", roi="V1", stimulus_ids=tuple(map(str, range(40))), rdm=rdm)
    with pytest.raises(MetricError, match=r"ROI 'V1' .* is a geometry"):
        Encoding(LinearRegression()).prepare([Target(subject="s", roi="V1", rdm=held.rdm)], make_folds(40))


class Sleeping(LinearRegression):
    """Each fit takes fifty milliseconds, far more than a busy machine adds."""

    def fit(self, x, y):
        time.sleep(0.05)
        return super().fit(x, y)


def test_what_a_slow_estimator_costs_is_said_before_training(text_benchmark, tmp_path, capfd, monkeypatch):
    slow = replace(text_benchmark, metrics=(Encoding(Sleeping()), RSA()))
    monkeypatch.setattr("ontogeny.monitoring.rehearsal_report._SLOW", 0.1)
    for controls in (False, True):
        monitor = watch(slow, record=tmp_path / str(controls), tokenizer=tokenizer, controls=controls, task=False)
        monitor.runner.rehearse(tiny_gpt(), SINGLE_PROCESS)
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "s of scoring per probe" in line]
        said, layers, width = re.search(r"about ([\d.]+) s of .* \((\d+) layers of (\d+) features", line).groups()
        prepared = monitor.watched[0].benchmark
        n_fits = len(set(slow.folds.held_out)) * len(prepared.targets) * (1 + len(prepared.copies))
        assert float(said) == pytest.approx(0.05 * int(layers) * n_fits, rel=0.5)
        assert "Sleeping" in line
        assert int(width) > 0
    assert line.removeprefix("ontogeny: ") in monitor.record.header["rehearsal"]


def test_each_pooling_costs_as_much_again(text_benchmark, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("ontogeny.monitoring.rehearsal_report._SLOW", 0.1)
    slow, said = replace(text_benchmark, metrics=(Encoding(Sleeping()),)), []
    for pooling in ("last", ["last", "mean"]):
        options = {"tokenizer": tokenizer, "controls": False, "task": False, "pooling": pooling}
        watch(slow, record=tmp_path / str(len(said)), **options).runner.rehearse(tiny_gpt(), SINGLE_PROCESS)
        said.append(float(re.search(r"about ([\d.]+) s of scoring", capfd.readouterr().err).group(1)))
    assert said[1] == pytest.approx(2 * said[0], rel=0.5)
