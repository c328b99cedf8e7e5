"""Ridge of few voxels, by a tridiagonal form, against explicit hat matrices and against eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.test_ridge_rules import SHAPES, world

from ontogeny.brain import Target
from ontogeny.metrics import LayerGeometry, Ridge, make_folds
from ontogeny.metrics.ridge import _tridiagonal, ridge
from ontogeny.metrics.ridge._tridiagonal import _Tridiagonal, is_few
from ontogeny.metrics.ridge.ridge import ALPHAS, ridge_cv

pytestmark = pytest.mark.oracle


@pytest.fixture
def few(monkeypatch):
    """This way for any size, and how often it was gone to its end."""
    monkeypatch.setattr(_tridiagonal, "_SMALLEST", 1)
    monkeypatch.setattr(_tridiagonal, "_SHARE", 0)
    calls = []

    def counted(*args):
        found = by_few_voxels(*args)
        calls.append(len(found))
        return found

    by_few_voxels = ridge.by_few_voxels
    monkeypatch.setattr(ridge, "by_few_voxels", counted)
    return calls


def explicit(x, y, folds):
    """GCV by hat matrices of every penalty, and predictions by normal equations."""
    out = np.zeros((len(folds), y.shape[1]))
    for fold, (train, test) in enumerate(folds):
        mean, level = x[train].mean(axis=0), y[train].mean(axis=0)
        xc, yc, n = x[train] - mean, y[train] - level, len(train)
        best = np.full(y.shape[1], np.inf)
        for penalty in np.array(ALPHAS) * (xc**2).sum() / n:
            to_weights = np.linalg.solve(xc.T @ xc + penalty * np.eye(x.shape[1]), xc.T)
            hat = xc @ to_weights
            errors = ((yc - hat @ yc) ** 2).sum(axis=0) / (n - 1 - np.trace(hat)) ** 2
            predicted = (x[test] - mean) @ to_weights @ yc
            for v in np.flatnonzero(errors < best):
                best[v], out[fold, v] = errors[v], np.corrcoef(predicted[:, v], y[test, v])[0, 1]
    return out.mean(axis=0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_few_voxels_equal_explicit_hat_matrices(rng, few, shape, spread):
    x, y = world(rng, *shape, 6, spread=spread)
    folds = make_folds(len(x))
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds), explicit(x, y, folds), atol=2e-6)
    assert few == [5]


def test_few_voxels_equal_eigenvectors_where_there_is_less_rank_than_either_side(rng, few, monkeypatch):
    x, y = world(rng, 80, 8, 5)
    wide = np.concatenate([x, x @ rng.standard_normal((8, 90))], axis=1) + 3
    folds = make_folds(80)
    found = ridge_cv(wide, y, folds=folds)
    monkeypatch.setattr(_tridiagonal, "_SMALLEST", 1000)
    np.testing.assert_allclose(found, ridge_cv(wide, y, folds=folds), atol=2e-6)
    assert few == [5]


def test_equal_held_out_stimuli_give_nothing_to_correlate(rng, few):
    folds = make_folds(40, n_folds=4, contiguous=True)
    for d in (5, 60):
        x = rng.standard_normal((40, d))
        x[np.asarray(folds.held_out) == 0] = x[0]
        y = rng.standard_normal((40, 3))
        one = Ridge().prepare([Target(subject="s", roi="r", responses=y, n_voxels=3)], folds)
        by_fold = ridge.by_few_voxels(
            one._design(LayerGeometry(torch.as_tensor(x)), whiten=False), np.array(ALPHAS), one.voxels
        )
        assert (by_fold[0] == 0).all()
        assert (by_fold[1:] != 0).all()


def test_penalties_that_rounding_swallows_are_left_to_eigenvectors(rng, few, monkeypatch):
    monkeypatch.setattr(_tridiagonal, "_PENALTY", 0.0)
    x, y = world(rng, 60, 4, 2)
    wide = x @ rng.standard_normal((4, 90))
    found = ridge_cv(wide, y, folds=make_folds(60), alphas=(1e-18, 1.0))
    assert few == []
    assert np.isfinite(found).all()


def test_few_is_a_fourth_of_the_size():
    alphas = np.array(ALPHAS)
    assert [is_few(200, 800, alphas), is_few(201, 800, alphas), is_few(1, 199, alphas)] == [True, False, False]
    assert not is_few(1, 800, np.array([1e-9, 1.0]))


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 90), st.integers(1, 5), st.integers(0, 1000), st.floats(1e-3, 10))
def test_a_tridiagonal_form_solves_and_has_the_trace_of_the_inverse(n, columns, seed, penalty):
    rng = np.random.default_rng(seed)
    half, y = rng.standard_normal((n, n // 2 + 1)), rng.standard_normal((n, columns))
    square = half @ half.T
    inverse = np.linalg.inv(square + penalty * np.eye(n))
    form = _Tridiagonal.of(square.copy())
    found, trace = form.solve(penalty, form.turned(y))
    np.testing.assert_allclose(form.turned(found, back=True), inverse @ y, rtol=1e-6, atol=1e-9 / penalty)
    np.testing.assert_allclose(trace, np.trace(inverse), rtol=1e-8)
