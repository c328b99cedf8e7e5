"""Correlations, partial correlations and Fisher's interval against scipy, numpy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from ontogeny.findings.statistics._model_correlation import correlate, fisher_interval

pytestmark = pytest.mark.oracle
FEW = ["a", "b"] * 12


@pytest.fixture
def columns():
    rng = np.random.default_rng(5)
    given = rng.standard_normal((24, 2))
    x = given @ [1.0, -0.5] + rng.standard_normal(24)
    return x, given @ [0.7, 0.2] + 0.5 * x + rng.standard_normal(24), given


def test_pearson_with_its_p_and_interval_is_scipys(columns):
    x, y, _ = columns
    found, theirs = correlate(x, y, FEW), stats.pearsonr(x, y)
    assert (found.r, found.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    assert found.fisher == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-9)


def test_spearman_is_scipys(columns):
    x, y, _ = columns
    found, theirs = correlate(x, y, FEW, kind="spearman"), stats.spearmanr(x, y)
    assert (found.r, found.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)


def test_partial_r_is_that_of_residuals_and_its_p_that_of_the_regression(columns):
    x, y, given = columns
    found = correlate(x, y, FEW, given=given)
    design = sm.add_constant(given)
    left = [sm.OLS(v, design).fit().resid for v in (x, y)]
    regression = sm.OLS(y, sm.add_constant(np.column_stack([x, given]))).fit()
    assert found.r == pytest.approx(np.corrcoef(*left)[0, 1], rel=1e-9)
    assert found.p == pytest.approx(regression.pvalues[1], rel=1e-9)


def test_within_families_is_the_regression_with_a_constant_a_family(columns):
    x, y, _ = columns
    names = [f"f{i % 3}" for i in range(24)]
    dummies = np.array([[name == f"f{k}" for k in range(3)] for name in names], dtype=float)
    regression = sm.OLS(y, np.column_stack([x, dummies])).fit()
    found = correlate(x, y, names, within=True)
    assert found.n == 24
    t = regression.tvalues[0]
    assert found.r == pytest.approx(t / np.sqrt(t**2 + regression.df_resid), rel=1e-9)


def test_a_jackknife_over_models_alone_is_the_jackknife_by_hand(columns):
    x, y, _ = columns
    found = correlate(x, y, [str(i) for i in range(24)])
    z = [np.arctanh(np.corrcoef(np.delete(x, i), np.delete(y, i))[0, 1]) for i in range(24)]
    half = stats.t.ppf(0.975, 23) * np.sqrt(23 / 24 * np.sum((np.array(z) - np.mean(z)) ** 2))
    centre = np.arctanh(np.corrcoef(x, y)[0, 1])
    assert (found.low, found.high) == pytest.approx((np.tanh(centre - half), np.tanh(centre + half)), rel=1e-9)


def test_draws_of_families_are_those_of_a_loop():
    rng = np.random.default_rng(2)
    x, y, control = rng.standard_normal((3, 100))
    names = [f"f{i % 50}" for i in range(100)]
    found = correlate(x, y, names, given=control[:, None], draws=4000)
    loop = []
    for _ in range(2000):
        rows = np.concatenate([[k, k + 50] for k in rng.integers(0, 50, 50)])
        design = sm.add_constant(control[rows])
        left = [v[rows] - design @ np.linalg.lstsq(design, v[rows], rcond=None)[0] for v in (x, y)]
        loop.append(np.corrcoef(*left)[0, 1])
    assert found.drawn == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.03)


def test_the_interval_of_rho_covers():
    rng = np.random.default_rng(3)
    truth = 6 / np.pi * np.arcsin(0.5 / 2)
    hits = []
    for _ in range(1000):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=60).T
        low, high = fisher_interval(stats.spearmanr(x, y).statistic, 60, kind="spearman")
        hits.append(low <= truth <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)
    assert np.isnan(fisher_interval(0.5, 3)).all()
