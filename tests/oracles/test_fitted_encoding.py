"""A fitted encoding model, against scikit-learn's own `coef_`, `predict` and `cross_val_predict`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from himalaya.ridge import RidgeCV as HimalayaRidge
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from tests.helpers.benchmarks import image_benchmark, text_benchmark

import ontogeny.metrics
from ontogeny import Features
from ontogeny.benchmarks import FittedEncoding
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError
from ontogeny.extraction.features import Site
from ontogeny.metrics import RSA, Encoding, LayerGeometry, make_folds

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("unchecked")]

LINEAR = {
    "least squares": LinearRegression(),
    "ridge": RidgeCV(alphas=[0.1, 10.0, 1000.0]),
    "partial least squares": PLSRegression(n_components=2),
    "pipeline": make_pipeline(StandardScaler(), PCA(3), Ridge()),
    "one voxel at a time": SVR(kernel="linear"),
    "himalaya": HimalayaRidge(alphas=[1.0, 10.0, 100.0]),
}
N, D = 40, 5


@pytest.fixture
def x(rng):
    return rng.standard_normal((N, D)) * np.array([1, 10, 0.01, 1, 3]) + np.array([0, 5, 0, -3, 100])


@pytest.fixture
def benchmark():
    return replace(text_benchmark(), folds=make_folds(N, cv=KFold(4)))


def responses(benchmark):
    return benchmark.assemblies[0].responses


def features(benchmark, x, *sites):
    order = np.random.default_rng(3).permutation(N)
    ids = tuple(benchmark.stimuli.ids[i] for i in order)
    values = {Site(*site): torch.as_tensor(x[order]) for site in sites}
    return Features(stimulus_ids=ids, values=values, refused={})


def by_roi(estimator, y, run):
    """`run(estimator, y)` for each ROI alone; voxel by voxel where it takes one alone."""
    if isinstance(estimator, SVR):
        return np.stack([run(estimator, voxel) for voxel in y.T], axis=1)
    return np.concatenate([run(estimator, part) for part in (y[:, :3], y[:, 3:])], axis=1)


@pytest.mark.parametrize("name", LINEAR)
def test_held_out_predictions_residuals_and_weights_are_those_of_scikit_learn(name, benchmark, x):
    y, estimator = responses(benchmark), LINEAR[name]
    fitted = benchmark.fit(x, estimator)
    held_out = by_roi(estimator, y, lambda e, v: cross_val_predict(e, x, v, cv=KFold(4)))
    assert fitted.predictions == pytest.approx(held_out, abs=1e-4)
    assert fitted.residuals == pytest.approx(y - held_out, abs=1e-4)
    others = np.random.default_rng(9).standard_normal((7, D)) * x.std(axis=0) + x.mean(axis=0)
    whole = by_roi(estimator, y, lambda e, v: e.fit(x, v).predict(others))
    assert fitted.predict(others) == pytest.approx(whole, abs=1e-4)
    assert fitted.coef_.shape == (6, D)
    assert fitted.n_features_in_ == D


def test_weights_are_scikit_learn_s_coef_in_the_units_of_the_features(benchmark, x):
    model = Ridge(2.0).fit(x, responses(benchmark))
    fitted = benchmark.fit(x, Ridge(2.0))
    assert fitted.coef_ == pytest.approx(model.coef_, rel=1e-6, abs=1e-8)
    assert fitted.intercept_ == pytest.approx(model.intercept_, abs=1e-6)
    scaled = benchmark.fit(x, make_pipeline(StandardScaler(), Ridge(2.0))).coef_
    inside = make_pipeline(StandardScaler(), Ridge(2.0)).fit(x, responses(benchmark))[-1].coef_ / x.std(axis=0)
    assert scaled == pytest.approx(inside, rel=1e-5, abs=1e-8)


def test_scores_are_those_of_the_metric_with_the_names_of_voxels(benchmark, x):
    fitted = benchmark.fit(x, Encoding(Ridge(), score="r2"))
    metric = Encoding(Ridge(), score="r2")
    assert fitted.scores == pytest.approx(metric(x, responses(benchmark), folds=benchmark.folds).per_voxel, abs=1e-9)
    assert fitted.roi == ("left",) * 3 + ("right",) * 3
    assert fitted.subject == ("s1",) * 6
    assert fitted.metric == metric.name
    assert fitted.fingerprint == benchmark.fingerprint()


def test_repeated_splits_are_averaged_and_what_is_never_held_out_is_nan(benchmark, x):
    cv = ShuffleSplit(3, test_size=0.3, random_state=0)
    fitted, y = benchmark.fit(x, Encoding(Ridge(), cv=cv)), responses(benchmark)
    sums, counts = np.zeros((N, 6)), np.zeros(N)
    for train, test in cv.split(x):
        sums[test] += Ridge().fit(x[train], y[train]).predict(x[test])
        counts[test] += 1
    assert 0 < (counts == 0).sum() < N
    assert np.isnan(fitted.predictions[counts == 0]).all()
    assert fitted.predictions[counts > 0] == pytest.approx(sums[counts > 0] / counts[counts > 0, None], abs=1e-6)


def test_rows_of_a_probe_are_found_by_id_and_its_layer_by_name(benchmark, x):
    probed = features(benchmark, x, ("0", "mean"), ("1", "mean"), ("1", "last"))
    expected = benchmark.fit(x, Ridge())
    assert benchmark.fit(probed, Ridge(), layer="0").predictions == pytest.approx(expected.predictions, abs=1e-5)
    assert benchmark.fit(probed, Ridge(), layer="1", pooling="last").scores == pytest.approx(expected.scores, abs=1e-5)
    for wrong in ({}, {"layer": "1"}, {"layer": "2"}):
        with pytest.raises(FeatureError, match=r"one layer, and [023] of .*'0@mean'.*layer= and pooling="):
            benchmark.fit(probed, Ridge(), **wrong)
    few = Features(stimulus_ids=probed.stimulus_ids[1:], values={Site("0", "mean"): torch.ones(N - 1, 2)}, refused={})
    with pytest.raises(AlignmentIdError, match="lack 1 of 40 stimuli"):
        benchmark.fit(few, Ridge())


def test_it_is_kept_and_opened_again(benchmark, x, tmp_path):
    fitted = benchmark.fit(x, make_pipeline(StandardScaler(), Ridge()))
    opened = FittedEncoding.load(fitted.save(tmp_path / "é.safetensors"))
    assert opened.predict(x) == pytest.approx(fitted.predict(x), abs=0)
    for name in ("benchmark", "fingerprint", "metric", "stimulus_ids", "subject", "roi"):
        assert getattr(opened, name) == getattr(fitted, name)
    for name in ("scores", "predictions", "residuals", "coef_", "intercept_"):
        assert np.array_equal(getattr(opened, name), getattr(fitted, name))
    (tmp_path / "cut").write_bytes((tmp_path / "é.safetensors").read_bytes()[:-9])
    for path in ("cut", "none"):
        with pytest.raises(DataError, match=f"{path} is no fitted encoding model"):
            FittedEncoding.load(tmp_path / path)


def test_what_is_not_linear_has_no_weights_and_says_so(benchmark, x, tmp_path):
    fitted = benchmark.fit(x, RandomForestRegressor(n_estimators=3, random_state=0))
    assert fitted.coef_.shape == (6, 0)
    assert np.isfinite(fitted.predictions).all()
    opened = FittedEncoding.load(fitted.save(tmp_path / "forest.safetensors"))
    with pytest.raises(MetricError, match="RandomForestRegressor.* has no weights"):
        opened.predict(x)


@pytest.mark.parametrize(
    ("metric", "match"),
    [
        (ontogeny.metrics.Ridge(), r"takes an Encoding .* got ridge-gcv; Encoding\(RidgeCV"),
        (RSA(), "takes an Encoding or a regressor"),
    ],
    ids=["ridge", "rsa"],
)
def test_another_metric_is_refused(metric, match, benchmark, x):
    with pytest.raises(MetricError, match=match):
        benchmark.fit(x, metric)


def test_what_does_not_fit_is_refused(benchmark, x):
    with pytest.raises(FeatureError, match=r"with 40 rows .* got shape \(39, 5\)"):
        benchmark.fit(x[1:], Ridge())
    with pytest.raises(MetricError, match=r"expected stimuli x 5 features, got shape \(40, 4\)"):
        benchmark.fit(x, Ridge()).predict(x[:, :4])
    with pytest.raises(MetricError, match="is a geometry"):
        image_benchmark().fit(np.eye(16), Ridge())
    assert LayerGeometry(torch.as_tensor(x)).n_stimuli == N
