"""One pair: what is refused and why, what is warned of, what must not change the answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ontogeny.errors import LagError
from ontogeny.lag import FluctuationLead, Run, TrendLead, Untestable, leads, rise_time, run_leads
from ontogeny.lag.lead_text import pair_lines, short
from ontogeny.lag.verdict import fewer_steps
from ontogeny.simulated.planted_leads import planted_lead, pythia_steps


def rise(n=30, *, at=3.3, gain=0.5, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    steps = pythia_steps(n)
    u = np.log10(steps + 1)
    return steps, 0.1 + gain / (1 + np.exp(-(u - at) / 0.25)) + noise * rng.standard_normal(n)


@pytest.fixture(scope="module")
def pair():
    steps, a = rise(seed=1, at=3.0)
    return steps, a, rise(seed=2, at=3.4)[1]


def test_an_earlier_rise_leads(pair):
    found = leads(*pair)
    assert isinstance(found.trend, TrendLead)
    assert found.trend.verdict == "alignment leads"
    assert found.trend.uniform
    low, high = found.trend.ci_log10
    assert low < 0.4 < high
    assert found.trend.log10 == pytest.approx(0.4, abs=0.08)
    assert found.trend.factor == pytest.approx(10**found.trend.log10)
    assert found.trend.p_alignment_leads + found.trend.p_performance_leads == pytest.approx(1.0)
    assert found.trend.t25.alignment[0] < found.trend.t50.alignment[0] < found.trend.t75.alignment[0]
    assert found.trend.checkpoints == pytest.approx(found.trend.log10 / 0.16, rel=0.6)
    assert found.n == 30
    assert found.grid == "30 checkpoints, steps 0 to 143,000"


def test_exchanging_the_two_series_exchanges_the_answer(pair):
    steps, a, p = pair
    one, other = leads(steps, a, p), leads(steps, p, a)
    assert one.trend.log10 == pytest.approx(-other.trend.log10)
    assert one.trend.p_alignment_leads == pytest.approx(other.trend.p_performance_leads)
    assert one.fluctuation.statistic == pytest.approx(-other.fluctuation.statistic)


def test_units_order_and_offsets_do_not_matter(pair):
    steps, a, p = pair
    order = np.random.default_rng(0).permutation(len(steps))
    same = leads(steps[order], 7 - 0 + 100 * a[order], p[order] - 3)
    assert same.trend.log10 == pytest.approx(leads(*pair).trend.log10, abs=1e-6)
    assert same.fluctuation.p_alignment_leads == leads(*pair).fluctuation.p_alignment_leads


def test_a_loss_is_the_same_curve_upside_down(pair):
    steps, a, p = pair
    found = leads(steps, a, 5 - p, higher_is_better=False)
    assert found.trend.log10 == pytest.approx(leads(*pair).trend.log10)


def test_the_same_seed_gives_the_same_answer_and_no_global_random_number_is_drawn(pair):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    assert leads(*pair, seed=4) == leads(*pair, seed=4)
    assert (np.random.get_state()[1] == before).all()


def test_plain_lists_are_taken(pair):
    steps, a, p = pair
    assert leads(steps.tolist(), a.tolist(), p.tolist()).trend == leads(*pair).trend


def test_a_missing_value_leaves_its_checkpoint_out(pair):
    steps, a, p = pair
    holed = a.copy()
    holed[[3, 17]] = np.nan
    found = leads(steps, holed, p)
    assert found.n == 28
    assert "7% of the checkpoints lack a value" in found.warnings[0]
    kept = np.setdiff1d(np.arange(30), [3, 17])
    assert found.trend == leads(steps[kept], a[kept], p[kept]).trend


def test_the_answer_is_plain_json(pair):
    text = json.dumps(leads(*pair).to_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["trend"]["verdict"] == "alignment leads"
    assert back["naive_granger"]["alignment_to_performance"]["placebo"]["n"] == 200
    refused = json.loads(json.dumps(leads(*(x[:8] for x in pair)).to_dict(), allow_nan=False))
    assert refused["trend"]["verdict"].startswith("refused: too few checkpoints")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, a, p: (s, a[:-1], p), "one value per checkpoint each"),
        (lambda s, a, p: (s - 5.0, a, p), "finite and not negative"),
        (lambda s, a, p: (np.where(s == 4, 2, s), a, p), "steps hold doubles"),
        (lambda s, a, p: (s, np.where(s == 4, np.inf, a), p), "infinite value"),
        (lambda s, a, p: (s, np.stack([a, a]), p), "one value per checkpoint each"),
    ],
)
def test_arrays_that_do_not_fit_are_an_error(pair, change, message):
    with pytest.raises(LagError, match=message):
        leads(*change(*pair))


REFUSED = {
    "too few checkpoints: 11": lambda s, a, p: (s[:11], a[:11], p[:11]),
    "constant series: alignment": lambda s, a, p: (s, np.full_like(a, 0.3), p),
    "constant series: performance": lambda s, a, p: (s, a, np.round(p)),
    "too many missing scores: 40%": lambda s, a, p: (s, np.where(np.arange(30) < 12, np.nan, a), p),
    "no clear rise": lambda s, a, p: (s, np.random.default_rng(0).standard_normal(30), p),
    "check polarity": lambda s, a, p: (s, a, -p),
    "plateaus not both observed: performance": lambda s, a, p: (s, a, rise(at=5.0)[1]),
    "plateaus not both observed: alignment": lambda s, a, p: (s, 0.1 + 0.1 * np.log10(s + 1), p),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_tested_says_why(pair, reason):
    found = leads(*REFUSED[reason](*pair))
    assert isinstance(found.trend, Untestable)
    assert reason in found.trend.reason
    assert found.trend.verdict == f"refused: {found.trend.reason}"


def test_a_wandering_series_is_refused():
    steps, a = rise(60, noise=0.0)
    walk = np.cumsum(np.random.default_rng(5).standard_normal(60)) * 0.02
    found = leads(steps, a + walk, rise(60, seed=3)[1])
    assert isinstance(found.trend, Untestable)
    assert "stochastic trend" in found.trend.reason or "no clear rise" in found.trend.reason


def test_few_checkpoints_have_a_trend_but_no_fluctuation_lead():
    steps, a = rise(15, seed=1, at=2.9)
    found = leads(steps, a, rise(15, seed=2, at=3.5)[1])
    assert isinstance(found.trend, TrendLead)
    assert isinstance(found.fluctuation, Untestable)
    assert "too few checkpoints for fluctuations: needs 30, has 15" in found.fluctuation.reason


def warned(found, start):
    return [text for text in found.warnings if text.startswith(start)]


def test_readers_are_warned(pair):
    steps, a, p = pair
    assert warned(leads(steps, a, p, smoothed=True), "A smoothed series is delayed")
    assert warned(leads(steps, a, p, thresholded=True), "Performance is a thresholded metric")
    assert not warned(leads(steps, a, p), "Performance is a thresholded metric")
    assert warned(leads(steps, rise(noise=0.05)[1], p), "Unequal noise")
    assert warned(leads(steps, a, p), "30 checkpoints of one run")
    steep = 1 / (1 + np.exp(-(np.log10(steps + 1) - 3.4) / 0.05)) + 0.01 * np.random.default_rng(0).standard_normal(30)
    assert warned(leads(steps, a, steep), "The rise of performance is undersampled")
    u = np.log10(pythia_steps(60) + 1)
    dip = rise(60)[1] - 0.2 * np.exp(-0.5 * ((u - 4.0) / 0.15) ** 2)
    text = warned(leads(pythia_steps(60), dip, rise(60, seed=2)[1]), "Not one rise: alignment dips near step")
    assert len(text) == 1


def test_a_smooth_series_is_noticed_without_being_told():
    world = planted_lead("null_white", 60, seed=11)
    kept = world.performance.copy()
    for i in range(1, 60):
        kept[i] = 0.7 * kept[i - 1] + 0.3 * kept[i]
    assert warned(leads(world.steps, world.alignment, kept), "Performance is smoother than")


def test_a_trainers_average_is_warned_about(pair):
    steps, a, p = pair
    run = Run(name="r", steps=steps, alignment=a, performance=5 - p, higher_is_better=False, averaged=True)
    assert "trainer's own averaged loss" in run_leads(run).warnings[0]
    assert not [w for w in run_leads(replace(run, averaged=False)).warnings if "trainer" in w]


def test_planted_leads_are_found_and_planted_dips_are_not_taken_for_them():
    worlds = [planted_lead("lead_latent", 60, seed=s) for s in range(12)]
    found = [leads(w.steps, w.alignment, w.performance, surrogates=199).fluctuation for w in worlds]
    assert all(isinstance(lead, FluctuationLead) for lead in found)
    assert sum(lead.p_alignment_leads < 0.05 for lead in found) >= 7  # 9 of 10 are found (analysis/01_calibration.py)
    assert not any(lead.verdict == "performance leads" for lead in found)
    assert np.median([lead.checkpoints for lead in found]) == pytest.approx(1.0, abs=0.3)
    assert sum(lead.identified for lead in found) >= 7
    dips = [planted_lead("null_dip", 60, seed=s) for s in range(12)]
    verdicts = [leads(w.steps, w.alignment, w.performance, surrogates=99).trend.verdict for w in dips]
    assert sum(v in ("alignment leads", "performance leads") for v in verdicts) <= 2


def test_curves_that_cross_have_different_shapes():
    steps = pythia_steps(60)
    u = np.log10(steps + 1)
    rng = np.random.default_rng(0)
    wide = 1 / (1 + np.exp(-(u - 3.4) / 0.45)) + 0.01 * rng.standard_normal(60)
    narrow = 1 / (1 + np.exp(-(u - 3.4) / 0.1)) + 0.01 * rng.standard_normal(60)
    found = leads(steps, wide, narrow)
    assert found.trend.verdict == "different shapes"
    assert not found.trend.uniform


def test_the_usual_test_stands_beside_its_own_placebo_rate():
    world = planted_lead("null_common_a_smooth", 60, seed=0)
    usual = leads(world.steps, world.alignment, world.performance).naive_granger.alignment_to_performance
    assert usual.p < 0.01
    assert usual.placebo.value > 0.8
    assert usual.placebo.low < usual.placebo.value <= usual.placebo.high


def test_a_single_series_can_be_timed_on_its_own_grid():
    steps, values = rise(40, at=3.1, noise=0.005)
    found = rise_time(steps, values)
    assert found.log10 == pytest.approx(3.1, abs=0.05)
    assert found.t25 < found.step < found.t75
    assert found.ci_log10[0] < found.log10 < found.ci_log10[1]
    assert rise_time(steps, 3 - values, higher_is_better=False).log10 == pytest.approx(found.log10)
    assert "check polarity: loss falls" in rise_time(steps, -values, name="loss").reason
    assert "too few checkpoints" in rise_time(steps[:9], values[:9]).reason
    assert "no clear rise" in rise_time(steps, np.random.default_rng(1).standard_normal(40)).reason


def test_words_say_what_was_found(pair):
    found = leads(*pair)
    text = " ".join(" ".join(pair_lines(found, details=True)).split())
    assert text.startswith("Yes, in this run: the model is half-way to its alignment in ")
    assert f"alignment first: half-way in {fewer_steps(found.trend.log10)} steps" in text
    assert "false alarm rate of its p on series like yours" in text
    assert (
        "Granger"
        not in " ".join(pair_lines(found)).replace("residuals and Granger's test", "").partition("read with")[0]
    )
    assert short(Untestable(reason="because")) == "refused: because"


def test_an_interval_of_hundreds_of_decades_can_be_said(pair):
    found = leads(*pair, surrogates=19)
    wide = replace(found, trend=replace(found.trend, ci_log10=(-400.0, 400.0)))
    assert any("(95 % CI the whole range of steps)" in line for line in pair_lines(wide, details=True))
