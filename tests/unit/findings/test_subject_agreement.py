"""Means, exact sign flips and false discovery rate over subjects, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ontogeny.errors import DataError
from ontogeny.findings.statistics.subject_agreement import fdr, mean_interval, sign_flip_p


def test_the_interval_is_students():
    values = np.random.default_rng(0).standard_normal(7) + 1
    mean, low, high = mean_interval(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((values.mean(), theirs.low, theirs.high), rel=1e-12)
    wider = mean_interval(values, 0.99)
    assert wider[1] < low
    assert wider[2] > high


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [mean_interval(rng.standard_normal(4) + 0.3) for _ in range(2000)]
    assert np.mean([low <= 0.3 <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.015)


def test_one_subject_has_a_mean_and_no_interval():
    mean, low, high = mean_interval(np.array([2.0]))
    assert mean == 2.0
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("values", [np.array([]), np.array([1.0, np.nan])])
def test_a_mean_of_nothing_or_of_what_is_not_finite_is_refused(values):
    with pytest.raises(DataError, match="need finite values of one subject or more, got "):
        mean_interval(values)
    with pytest.raises(DataError, match="need finite values of one subject or more, got "):
        sign_flip_p(values)


@pytest.mark.parametrize("n", [2, 4, 9])
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_sign_flips_are_those_of_scipy(n, shift):
    values = np.random.default_rng(n).standard_normal(n) + shift
    theirs = stats.permutation_test(
        (values,),
        lambda x, axis: np.abs(x.mean(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(values) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_four_subjects_who_agree_have_the_least_p_that_four_allow():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0])) == 0.125
    assert sign_flip_p(np.array([-1.0, -2.0, -3.0, -4.0])) == 0.125


def test_many_subjects_are_flipped_at_random_and_always_alike():
    values = np.random.default_rng(3).standard_normal(40) + 0.35
    p = sign_flip_p(values, seed=1)
    assert p == sign_flip_p(values, seed=1)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip_p(values + 5) == pytest.approx(1 / 10000)


def test_flips_reject_as_often_as_they_say_where_there_is_nothing():
    rng = np.random.default_rng(4)
    rates = np.mean([sign_flip_p(rng.standard_normal(8)) <= 0.05 for _ in range(1000)])
    assert rates == pytest.approx(0.047, abs=0.022)


def test_the_false_discovery_rate_is_benjamini_and_hochbergs_and_of_none_nothing():
    p = [0.001, 0.04, 0.03, 0.5, 0.012]
    order = np.argsort(p)
    steps = [p[i] * len(p) / (rank + 1) for rank, i in enumerate(order)]
    by_hand = dict(zip(order.tolist(), np.minimum.accumulate(steps[::-1])[::-1].tolist(), strict=True))
    assert fdr(p) == pytest.approx([by_hand[i] for i in range(len(p))], rel=1e-12)
    assert fdr([]) == []
