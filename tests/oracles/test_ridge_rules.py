"""Ways to choose a penalty against other libraries, pruning against the whole search, worlds that break shortcuts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from himalaya.ridge import RidgeCV as HimalayaRidgeCV
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from ontogeny.brain import Target
from ontogeny.metrics import LayerGeometry, Ridge, make_folds
from ontogeny.metrics.ridge._outer_folds import fits
from ontogeny.metrics.ridge._solve import design
from ontogeny.metrics.ridge._voxels import arrange
from ontogeny.metrics.ridge.ridge import ALPHAS, ridge_cv

pytestmark = pytest.mark.oracle
SHAPES = [(60, 20), (60, 45), (60, 300)]
"""Primal; primal for outer folds and nearly as many features as stimuli for inner ones; dual."""


def world(rng, n, d, v, *, steep=0.5, spread=0.0):
    """Features with a power-law spectrum, stimuli of unlike norms (`spread`), voxels from noise-free to noise alone."""
    x = rng.standard_normal((n, d)) * np.arange(1.0, d + 1) ** -steep @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    x *= np.exp(spread * rng.standard_normal((n, 1)))
    signal = x @ rng.standard_normal((d, v))
    return x, signal / signal.std(axis=0) + np.linspace(0.05, 5, v) * rng.standard_normal((n, v))


def correlations(predicted, held):
    return [np.corrcoef(p, h)[0, 1] for p, h in zip(predicted.T, held.T, strict=True)]


def by_library(x, y, folds, model):
    """Mean r over outer folds of a library model, made for each fold from its training rows and absolute penalties."""
    out = []
    for train, test in folds:
        mean = x[train].mean(axis=0)
        grid = np.array(ALPHAS) * ((x[train] - mean) ** 2).sum() / len(train)
        fitted = model(train, grid).fit(x[train], y[train])
        predicted = np.asarray(fitted.predict(x[test])).reshape(len(test), -1)
        out.append(correlations(predicted, y[test]))
    return np.mean(out, axis=0)


def himalaya(folds, **solver_params):
    def model(train, grid):
        inner = PredefinedSplit(np.unique(np.array(folds.held_out)[train], return_inverse=True)[1])
        return HimalayaRidgeCV(
            alphas=grid, fit_intercept=True, cv=inner, solver_params={"warn": False, **solver_params}
        )

    return model


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_kfold_equals_himalaya_on_the_same_inner_folds(rng, n, d):
    x, y = world(rng, n, d, 12)
    folds = make_folds(n)
    expected = by_library(x, y, folds, himalaya(folds))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="kfold"), expected, atol=1e-5)


@pytest.mark.parametrize("v", [12, 150])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_penalty_for_all_voxels_equals_himalaya_and_scikit_learn(rng, n, d, v):
    """With fewer voxels than stimuli, and with more, where a root of Y'Y stands for them."""
    x, y = world(rng, n, d, v)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    folds = make_folds(n)
    inner = by_library(x, y, folds, himalaya(folds, local_alpha=False))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="kfold", local_alpha=False), inner, atol=1e-5)
    left_out = by_library(x, y, folds, lambda train, grid: RidgeCV(alphas=grid))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="loo", local_alpha=False), left_out, atol=1e-5)


@pytest.mark.parametrize("v", [12, 150])
def test_a_penalty_for_all_voxels_by_gcv_is_the_one_with_the_least_sum_of_errors(rng, v):
    x, y = world(rng, 60, 30, v)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    folds, expected = make_folds(60), []
    for train, test in folds:
        xc, yc = x[train] - x[train].mean(axis=0), y[train] - y[train].mean(axis=0)
        errors, betas = [], []
        for alpha in np.array(ALPHAS) * (xc**2).sum() / len(train):
            inverse = np.linalg.inv(xc.T @ xc + alpha * np.eye(30))
            betas.append(inverse @ xc.T @ yc)
            free = len(train) - 1 - np.trace(xc @ inverse @ xc.T)
            errors.append(((yc - xc @ betas[-1]) ** 2).sum() / free**2)
        expected.append(correlations(x[test] @ betas[int(np.argmin(errors))], y[test]))
    found = ridge_cv(x, y, folds=folds, rule="gcv", local_alpha=False)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-5)


def test_rois_side_by_side_score_as_each_alone(rng):
    x, y = world(rng, 60, 100, 90)
    folds, parts = make_folds(60), [slice(0, 1), slice(1, 15), slice(15, 90)]
    for rule in ("gcv", "loo", "kfold"):
        targets = [Target(subject="s", roi=str(p), responses=y[:, p], n_voxels=1) for p in parts]
        view = LayerGeometry(torch.as_tensor(x))
        together = Ridge(rule=rule, local_alpha=False).prepare(targets, folds).score(view)
        alone = [ridge_cv(x, y[:, p], folds=folds, rule=rule, local_alpha=False).mean() for p in parts]
        np.testing.assert_allclose([v.value for v in together], alone, atol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 1.5])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_leave_one_out_without_most_of_the_search_finds_what_the_whole_search_finds(rng, n, d, spread):
    """`spread`: log-normal norms of the stimuli, so that a few have most of the leverage and bounds are loose."""
    x, y = world(rng, n, d, 300, spread=spread)
    folds = make_folds(n)
    voxels = arrange(y, folds)
    view = LayerGeometry(torch.as_tensor(x))
    fitted = fits(
        design(view.x.shape, lambda: view.x.numpy(), lambda: view.gram.numpy(), voxels.cuts), "loo", np.array(ALPHAS)
    )
    every = slice(0, 300)
    for (_, _, chosen), (_, errors) in zip(fitted.choose(voxels, every), fitted.errors(voxels, every), strict=True):
        picked, best = errors[np.arange(300), chosen], errors.min(axis=1)
        np.testing.assert_allclose(picked, best, rtol=2e-6)
        assert (chosen == errors.argmin(axis=1)).mean() > 0.99


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_stimulus_of_extreme_leverage_does_not_spoil_the_folds_without_it(rng, n, d):
    x, y = world(rng, n, d, 12)
    x[7] *= 1e4
    folds = make_folds(n)
    expected = by_library(x, y, folds, lambda train, grid: RidgeCV(alphas=grid, alpha_per_target=True))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="loo"), expected, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_response_far_from_all_others_does_not_spoil_the_folds_without_it(rng, n, d):
    x, y = world(rng, n, d, 12)
    y[7] *= 1e6
    folds = make_folds(n)
    expected = by_library(x, y, folds, lambda train, grid: SklearnRidge(alpha=grid[10]))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, alphas=ALPHAS[10:11]), expected, atol=1e-6)


@pytest.mark.parametrize("local_alpha", [True, False])
@pytest.mark.parametrize("rule", ["gcv", "loo", "kfold"])
@pytest.mark.parametrize("d", [4, 40])
def test_size_offset_and_constant_features_change_nothing(rng, rule, local_alpha, d):
    x, y = world(rng, 50, d, 8, steep=1.5)
    folds = make_folds(50)
    plain = ridge_cv(x, y, folds=folds, rule=rule, local_alpha=local_alpha)
    for other in (1e-6 * x, 1e6 * x, np.c_[x, np.ones((50, 3))], np.c_[x, x], x + 10):
        np.testing.assert_allclose(
            ridge_cv(other, y, folds=folds, rule=rule, local_alpha=local_alpha), plain, atol=2e-6
        )
    np.testing.assert_allclose(
        ridge_cv(x, 1e6 * y - 3e6, folds=folds, rule=rule, local_alpha=local_alpha), plain, atol=2e-6
    )


@pytest.mark.parametrize("rule", ["gcv", "loo", "kfold"])
def test_features_that_vary_in_one_fold_only_say_nothing_elsewhere(rng, rule):
    """The folds that train on them predict; the fold that holds them out trains on nothing, and scores 0."""
    folds = make_folds(20, n_folds=4, contiguous=True)
    x = np.full((20, 3), 0.1)
    x[:5] = rng.standard_normal((5, 3))
    y = rng.standard_normal((20, 2))
    voxels = arrange(y, folds)
    view = LayerGeometry(torch.as_tensor(x))
    fitted = fits(
        design(view.x.shape, lambda: view.x.numpy(), lambda: view.gram.numpy(), voxels.cuts), rule, np.array(ALPHAS)
    )
    assert fitted.folds[0].tests[0].shape[1] == 0
    np.testing.assert_array_equal(ridge_cv(x, y, folds=folds, rule=rule), 0)


@pytest.mark.parametrize("rule", ["gcv", "loo", "kfold"])
@pytest.mark.parametrize(("d", "v"), [(3, 1), (3, 4), (40, 1)])
def test_ten_stimuli_are_enough(rng, rule, d, v):
    x, y = world(rng, 10, d, v)
    folds = make_folds(10, n_folds=3)
    model = {
        "loo": lambda train, grid: RidgeCV(alphas=grid, alpha_per_target=True),
        "kfold": himalaya(folds),
    }.get(rule)
    found = ridge_cv(x, y, folds=folds, rule=rule)
    if model is None:
        assert np.isfinite(found).all()
        assert (np.abs(found) <= 1).all()
    else:
        np.testing.assert_allclose(found, by_library(x, y, folds, model), atol=1e-5)


@pytest.mark.parametrize(("rule", "times"), [("gcv", 1.0), ("loo", 1.5), ("kfold", 1.0)])
def test_no_array_of_all_penalties_and_voxels_is_ever_made(rng, rule, times):
    """Extra memory while scoring, in units of the responses (float32): 21 penalties would be 21."""
    x, y = rng.standard_normal((100, 120)), rng.standard_normal((100, 20_000)).astype(np.float32)
    target = Target(subject="s", roi="all", responses=y, n_voxels=20_000)
    prepared = Ridge(rule=rule).prepare([target], make_folds(100))
    view = LayerGeometry(torch.as_tensor(x))
    tracemalloc.start()
    prepared.score(view)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < times * y.nbytes
