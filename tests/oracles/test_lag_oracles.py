"""Lag statistics against statsmodels, scipy and known-answer worlds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.tsa.api import VAR
from statsmodels.tsa.stattools import grangercausalitytests
from tests.helpers.worlds import worlds

from ontogeny.lag import Run, TrendLead, Untestable, granger, leads, leads_over_runs
from ontogeny.lag.granger import chosen_lags
from ontogeny.lag.null.surrogates import rate
from ontogeny.lag.roi_layer_map import map_of_runs
from ontogeny.simulated.planted_leads import KINDS, planted_lead

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("lags", [1, 2, 3])
@pytest.mark.parametrize("kind", ["null_white", "null_walk", "lead_both"])
def test_granger_is_that_of_statsmodels(kind, lags):
    for n in (15, 30, 60):
        world = planted_lead(kind, n, seed=n)
        ours = granger(world.steps, world.alignment, world.performance, lags=lags, surrogates=19)
        pairs = (
            (ours.alignment_to_performance, [world.performance, world.alignment]),
            (ours.performance_to_alignment, [world.alignment, world.performance]),
        )
        for test, columns in pairs:
            f, p, df_denom, df_num = grangercausalitytests(np.stack(columns, axis=1), [lags])[lags][0]["ssr_ftest"]
            assert (test.df_num, test.df_denom) == (df_num, df_denom)
            assert test.f == pytest.approx(f, rel=1e-8)
            assert test.p == pytest.approx(p, rel=1e-8)


@pytest.mark.parametrize("criterion", ["aic", "bic"])
def test_the_lag_order_is_that_of_statsmodels(criterion):
    for kind in ("null_white", "null_walk", "lead_fluctuation"):
        for seed in range(4):
            world = planted_lead(kind, 60, seed=seed)
            pair = np.stack([world.alignment, world.performance])
            scores = VAR(pair.T).select_order(4).ics[criterion][1:]
            assert chosen_lags(pair, criterion) == int(np.argmin(scores)) + 1


def runs_of(kind, count, n=30, seed=0):
    worlds = [planted_lead(kind, n, seed=seed, run=run) for run in range(count)]
    return [
        Run(name=f"r{i}", steps=w.steps, alignment=w.alignment, performance=w.performance) for i, w in enumerate(worlds)
    ]


def test_pooling_five_runs_is_a_t_test_and_six_are_sign_flips():
    few = leads_over_runs(runs_of("lead_trend", 5), surrogates=19).trend
    best = np.asarray(few.values)
    test = stats.ttest_1samp(best, 0.0, alternative="greater")
    assert few.p_alignment_leads >= test.pvalue - 1e-12
    if few.ci == pytest.approx(tuple(stats.ttest_1samp(best, 0.0).confidence_interval()), rel=1e-6):
        assert few.p_alignment_leads == pytest.approx(test.pvalue)
    many = leads_over_runs(runs_of("lead_fluctuation", 6), surrogates=19).trend
    flips = stats.permutation_test(
        (np.asarray(many.values),), np.mean, permutation_type="samples", alternative="greater"
    )
    assert many.p_alignment_leads >= flips.pvalue - 1e-12


def test_corrections_over_cells_are_those_of_statsmodels():
    runs = [run for seed in range(3) for run in runs_of("lead_trend", 4, seed=seed)][:9]
    steps, performance = runs[0].steps, runs[0].performance
    runs = [Run(name=str(i), steps=steps, alignment=r.alignment, performance=performance) for i, r in enumerate(runs)]
    cells = [(f"roi{i // 3}", f"layer{i % 3}") for i in range(9)]
    found = [cell.trend_p for cell in map_of_runs(runs, cells, task="loss", surrogates=19).cells]
    p = [c.p for c in found if c is not None]
    assert len(p) > 5
    for method, name in (("fdr_bh", "bh"), ("fdr_by", "by")):
        expected = multipletests(p, method=method)[1]
        np.testing.assert_allclose([getattr(c, name) for c in found if c is not None], expected, rtol=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 200), (9, 200), (200, 200)])
def test_rates_have_clopper_pearson_intervals(hits, n):
    low, high = proportion_confint(hits, n, method="beta")
    found = rate(hits, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high))


def binomial_bound(n, share):
    """The count that a true share exceeds once in 10,000 studies."""
    return int(stats.binom.isf(1e-4, n, share))


NULLS = ("null_ar", "null_common_a_smooth", "null_overshoot", "null_dip", "null_overshoot_late_rise")


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, pytest.param(60, marks=pytest.mark.long)])
def test_nothing_leads_in_worlds_where_nothing_leads(n):
    """The reduced form of analysis/01_calibration.py."""
    hits = {"trend": 0, "fluctuation": 0, "usual": 0}
    cases = 0
    for kind in NULLS:
        for seed in worlds(30):
            world = planted_lead(kind, n, seed=7000 + seed)
            found = leads(world.steps, world.alignment, world.performance, surrogates=199, seed=seed)
            cases += 2
            for name, lead in (("trend", found.trend), ("fluctuation", found.fluctuation)):
                if not isinstance(lead, Untestable):
                    hits[name] += (lead.p_alignment_leads < 0.05) + (lead.p_performance_leads < 0.05)
            usual = found.naive_granger
            hits["usual"] += (usual.alignment_to_performance.p < 0.05) + (usual.performance_to_alignment.p < 0.05)
    assert hits["trend"] <= binomial_bound(cases, 0.05)
    assert hits["fluctuation"] <= binomial_bound(cases, 0.05)
    assert hits["usual"] > 3 * binomial_bound(cases, 0.05) / 2


@pytest.mark.slow
def test_planted_trend_leads_are_found_and_covered():
    found = []
    for seed in worlds(60):
        world = planted_lead("lead_trend", 30, seed=8000 + seed)
        lead = leads(world.steps, world.alignment, world.performance, surrogates=19).trend
        assert isinstance(lead, TrendLead)
        found.append((lead.p_alignment_leads < 0.05, lead.ci_log10[0] <= world.lead_log10 <= lead.ci_log10[1]))
    power, covered = np.sum(found, axis=0)
    assert power >= len(found) - binomial_bound(len(found), 0.15)
    assert covered >= len(found) - binomial_bound(len(found), 0.05)


def test_every_kind_of_planted_lead_can_be_made_at_every_size():
    for kind in KINDS:
        for n in (15, 30, 60, 154):
            world = planted_lead(kind, n, seed=1)
            assert len(world.steps) == len(world.alignment) == len(world.performance) == n
            assert (np.diff(world.steps) > 0).all()
            assert np.isfinite(world.alignment).all()
