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

from ontogeny import Features
from ontogeny.benchmarks import FittedEncoding
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError, MissingExtraError
from ontogeny.extraction.features import Site
from ontogeny.metrics import CCA, RSA, Encoding, LayerGeometry, make_folds
from ontogeny.metrics import Ridge as FastRidge
from ontogeny.metrics.ridge.ridge import ALPHAS

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
    for name in ("benchmark", "fingerprint", "metric", "stimulus_ids", "fold", "subject", "roi", "feature"):
        assert getattr(opened, name) == getattr(fitted, name)
    for name in ("scores", "predictions", "residuals", "coef_", "intercept_", "alpha_"):
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
        (CCA(), r"takes a Ridge, an Encoding .* got cca-.*; .* is partition_variance"),
        (RSA(), "takes a Ridge, an Encoding or a regressor"),
    ],
    ids=["cca", "rsa"],
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


@pytest.mark.parametrize("local_alpha", [True, False])
@pytest.mark.parametrize("rule", ["gcv", "loo", "kfold"])
@pytest.mark.parametrize("width", [5, 70])
def test_the_fast_ridge_has_the_weights_of_scikit_learn_s_at_the_penalties_it_chose(
    width, rule, local_alpha, benchmark, rng, tmp_path
):
    y, metric = responses(benchmark), FastRidge(rule=rule, local_alpha=local_alpha)
    x = rng.standard_normal((N, width)) * np.linspace(0.1, 40, width) + 3
    x[:, 0] += y[:, 0] + y[:, 4]
    fitted = benchmark.fit(x, metric)
    models = [Ridge(alpha=alpha).fit(x, voxel) for alpha, voxel in zip(fitted.alpha_, y.T, strict=True)]
    assert fitted.coef_ == pytest.approx(np.stack([m.coef_ for m in models]), rel=1e-6, abs=1e-12)
    assert fitted.intercept_ == pytest.approx([m.intercept_ for m in models], rel=1e-6, abs=1e-9)
    assert fitted.n_features_in_ == width
    assert fitted.predict(x) == pytest.approx(np.stack([m.predict(x) for m in models], axis=1), abs=1e-8)
    assert fitted.scores == pytest.approx(
        metric(x, y, folds=benchmark.folds).per_voxel
        if local_alpha
        else by_roi(metric, y, lambda m, v: m(x, v, folds=benchmark.folds).per_voxel[None])[0],
        abs=1e-6,
    )
    within = [
        [np.corrcoef(a, b)[0, 1] for a, b in zip(fitted.predictions[test].T, y[test].T, strict=True)]
        for _, test in benchmark.folds
    ]
    assert np.mean(within, axis=0) == pytest.approx(fitted.scores, abs=1e-5)
    assert fitted.residuals == pytest.approx(y - fitted.predictions)
    assert len(set(fitted.alpha_.round(9))) <= (6 if local_alpha else 2)
    assert np.array_equal(FittedEncoding.load(fitted.save(tmp_path / "ridge")).alpha_, fitted.alpha_)


def penalties_of(x):
    return np.array(ALPHAS) * np.square(x - x.mean(axis=0)).sum() / len(x)


@pytest.mark.parametrize("width", [5, 70])
def test_penalties_of_the_whole_model_are_chosen_by_the_rule_on_all_stimuli(width, benchmark, rng):
    y, x = responses(benchmark), rng.standard_normal((N, width)) * np.linspace(0.1, 4, width)
    x[:, 0] += y[:, 0] + y[:, 4]
    grid = penalties_of(x)
    loo = RidgeCV(alphas=grid, alpha_per_target=True).fit(x, y)
    assert benchmark.fit(x, FastRidge(rule="loo")).alpha_ == pytest.approx(loo.alpha_)
    scaled = y / y.std(axis=0)  # a ROI's voxels weigh the same
    shared = np.concatenate([np.full(3, RidgeCV(grid).fit(x, part).alpha_) for part in (scaled[:, :3], scaled[:, 3:])])
    assert benchmark.fit(x, FastRidge(rule="loo", local_alpha=False)).alpha_ == pytest.approx(shared)
    missed = np.zeros((len(grid), 6))
    for train, test in benchmark.folds:
        models = [Ridge(alpha).fit(x[train], y[train]) for alpha in grid]
        missed += [np.square(model.predict(x[test]) - y[test]).mean(axis=0) for model in models]
    assert benchmark.fit(x, FastRidge(rule="kfold")).alpha_ == pytest.approx(grid[missed.argmin(axis=0)])
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    hats = [xc @ np.linalg.solve(xc.T @ xc + a * np.eye(width), xc.T) for a in grid]
    gcv = np.array([np.square(yc - h @ yc).sum(axis=0) / (N - 1 - np.trace(h)) ** 2 for h in hats])
    assert benchmark.fit(x, FastRidge()).alpha_ == pytest.approx(grid[gcv.argmin(axis=0)])


def test_a_fitted_model_is_an_xarray_dataset_with_names(benchmark, x):
    fitted = benchmark.fit(features(benchmark, x, ("0", "mean")), FastRidge(rule="loo"))
    made = fitted.to_xarray()
    assert dict(made.sizes) == {"stimulus": N, "voxel": 6, "feature": D}
    first = benchmark.stimuli.ids[7]
    assert made.predictions.sel(stimulus=first).values == pytest.approx(fitted.predictions[7])
    assert made.coef_.sel(feature="0@mean[2]").values == pytest.approx(fitted.coef_[:, 2])
    right = made.isel(voxel=made.roi.values == "right")
    assert right.scores.values == pytest.approx(fitted.scores[3:])
    assert set(right.subject.values) == {"s1"}
    assert made.fold.values.tolist() == list(benchmark.folds.held_out)
    assert made.attrs == {"benchmark": "tiny-text", "fingerprint": benchmark.fingerprint(), "metric": "ridge-loo"}
    repeated = benchmark.fit(x, Encoding(SVR(), cv=ShuffleSplit(2, random_state=0))).to_xarray()
    assert "fold" not in repeated.coords
    assert "coef_" not in repeated


def test_without_xarray_the_error_has_the_line_to_type(benchmark, x, monkeypatch):
    fitted = benchmark.fit(x, Ridge())
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"'xarray', which is not installed.*pip install '\.\[interchange\]'"):
        fitted.to_xarray()
