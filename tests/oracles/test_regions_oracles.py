"""Regions, hierarchy and when against scipy, closed forms and slow references."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from tests.helpers.brains import brains

from ontogeny.findings import contrast, gradient, hierarchy, regions
from ontogeny.findings.regions import kendall_w
from ontogeny.findings.statistics._rank_tests import permuted_p, placed_p, rank_correlations


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_w_is_that_of_friedmans_test(rng):
    """Kendall's W = chi2 / (m (n - 1)) of Friedman's test, ties corrected in both."""
    for values in (rng.standard_normal((5, 7)), rng.integers(0, 4, (6, 8)).astype(float)):
        m, n = values.shape
        assert kendall_w(values) == pytest.approx(stats.friedmanchisquare(*values.T).statistic / (m * (n - 1)))


def test_w_without_ties_follows_from_the_mean_rank_correlation(rng):
    values = rng.standard_normal((4, 9))
    pairs = [stats.spearmanr(a, b).statistic for a, b in itertools.combinations(values, 2)]
    assert kendall_w(values) == pytest.approx((1 + 3 * np.mean(pairs)) / 4)


def test_w_at_its_ends():
    assert kendall_w(np.tile(np.arange(5.0), (3, 1))) == pytest.approx(1.0)
    assert kendall_w(np.asarray([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])) == pytest.approx(0.0)
    assert kendall_w(np.zeros((3, 4))) == 0.0


def test_p_of_w_is_that_of_all_permutations():
    """Three subjects, three ROIs: 6 ** 2 = 36 relative orders, all listed."""
    values = np.asarray([[3.0, 2.0, 1.0], [2.9, 2.2, 0.7], [2.0, 3.0, 1.0]])
    found = regions(brains(values[:, :, None]), draws=20000).headline
    every = [
        kendall_w(np.asarray([values[0], *(np.asarray(v)[list(o)] for v, o in zip(values[1:], orders, strict=True))]))
        for orders in itertools.product(itertools.permutations(range(3)), repeat=2)
    ]
    exact = np.mean(np.asarray(every) >= kendall_w(values) - 1e-12)
    assert found.p == pytest.approx(exact, abs=0.015)


def test_intervals_are_those_of_students_t(rng):
    values = rng.standard_normal((7, 3, 1))
    for estimate in regions(brains(values), draws=9).estimates[1:]:
        own = values[:, int(estimate.name[1:]), 0]
        assert (estimate.low, estimate.high) == pytest.approx(stats.t.interval(0.95, 6, own.mean(), stats.sem(own)))


def test_rank_intervals_are_those_of_paired_t_tests(rng):
    values = rng.standard_normal((8, 5, 1)) * 0.4 + np.arange(5)[:, None] * 0.4
    for row in regions(brains(values), draws=9).details["profile"]:
        own = values[:, int(row["roi"][1:]), 0]
        tests = [stats.ttest_rel(values[:, j, 0], own) for j in range(5) if j != int(row["roi"][1:])]
        beaten = sum(t.pvalue < 0.05 / 4 and t.statistic > 0 for t in tests)
        beats = sum(t.pvalue < 0.05 / 4 and t.statistic < 0 for t in tests)
        assert (row["rank_low"], row["rank_high"]) == (1 + beaten, 5 - beats)


def test_sign_flips_of_a_contrast_are_scipys(rng):
    values = rng.standard_normal((6, 4, 1)) + np.asarray([0.9, 0.3, 0.0, 0.0])[:, None]
    difference = values[:, :2, 0].mean(axis=1) - values[:, 2:, 0].mean(axis=1)
    theirs = stats.permutation_test((difference,), np.mean, permutation_type="samples", alternative="two-sided")
    assert contrast(brains(values), ["R00", "R01"], ["R02", "R03"]).p == pytest.approx(theirs.pvalue)


def test_a_gradient_is_the_mean_of_kendalls_tau(rng):
    values = rng.standard_normal((5, 6, 1))
    rois = [f"R{i:02d}" for i in range(6)]
    taus = [stats.kendalltau([0, 1, 1, 2, 3, 4], row[:, 0]).statistic for row in values]
    assert gradient(brains(values), ["R00", "R01=R02", *rois[3:]]).value == pytest.approx(np.mean(taus))


def test_rank_correlations_are_spearmans(rng):
    values, place = rng.integers(0, 4, (5, 8)).astype(float), np.asarray([0, 1, 1, 2, 3, 4, 4, 5.0])
    theirs = [stats.spearmanr(row, place).statistic for row in values]
    assert rank_correlations(values, place) == pytest.approx(theirs)
    assert rank_correlations(np.zeros((1, 8)), place) == pytest.approx([0.0])


def test_a_hierarchy_score_is_the_mean_of_spearmans_rho(rng):
    values = 0.5 + 0.3 * rng.random((5, 4, 6))
    depth = np.linspace(0, 1, 6)
    centres = (values * depth).sum(axis=2) / values.sum(axis=2)
    rho = [stats.spearmanr(row, range(4)).statistic for row in centres]
    found = hierarchy(brains(values), [f"R{i:02d}" for i in range(4)]).headline
    assert found.value == pytest.approx(np.mean(rho))
    assert found.low == pytest.approx(max(-1, stats.t.interval(0.95, 4, np.mean(rho), stats.sem(rho))[0]))


def test_best_layers_of_the_others_by_a_slow_reference(rng):
    values = rng.random((4, 3, 5))
    rho = []
    for s in range(4):
        others = [values[t] for t in range(4) if t != s]
        rho.append(stats.spearmanr([np.mean(others, axis=0)[r].argmax() for r in range(3)], range(3)).statistic)
    found = hierarchy(brains(values), ["R00", "R01", "R02"], best="others").headline
    assert found.value == pytest.approx(np.mean(np.nan_to_num(rho)))


def test_p_over_orders_is_that_of_all_permutations(rng):
    values, place = rng.standard_normal((3, 5)), np.arange(5.0)

    def score(order):
        return abs(np.mean([stats.spearmanr(row, place[list(order)]).statistic for row in values]))

    every = [score(order) for order in itertools.permutations(range(5))]
    assert permuted_p(values, place) == pytest.approx(np.mean(np.asarray(every) >= score(range(5)) - 1e-12))
    assert permuted_p(np.tile(place, (3, 1)), place) == pytest.approx(2 / math.factorial(5))


def test_p_of_places_with_equal_errors_is_that_of_pearsons_r(rng):
    values = rng.standard_normal(6)
    every = [abs(stats.pearsonr(values, order).statistic) for order in itertools.permutations(range(6))]
    exact = np.mean(np.asarray(every) >= abs(stats.pearsonr(values, range(6)).statistic) - 1e-12)
    assert placed_p(values, np.full(6, 0.2), np.arange(6.0)) == pytest.approx(exact)
