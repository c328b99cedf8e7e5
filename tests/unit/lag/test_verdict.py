"""The answer in one sentence, by rule."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ontogeny.lag import Run, leads_over_runs, run_leads
from ontogeny.lag.region_leads import region_leads
from ontogeny.lag.results import Untestable
from ontogeny.lag.verdict import Level, fewer_steps, fewer_steps_ci, verdict
from ontogeny.lag.verdict_pooled import verdict_of_regions, verdict_of_runs

STEPS = np.unique(np.r_[0, np.logspace(0, 5, 45).round()])
LEVEL = Level(
    roi="IT",
    layer="h.8",
    metric="rsa",
    unit="r",
    value=0.4,
    error=0.01,
    n_subjects=4,
    peak=0.41,
    chance=0.0,
    baseline=0.1,
    surface="pixels",
    ceiling=0.5,
)


def rise(half: float, steps: np.ndarray = STEPS) -> np.ndarray:
    return 1 / (1 + np.exp(-4 * (np.log10(steps + 1) - math.log10(half + 1))))


def run_of(alignment: float, loss: float, *, last: float = 1e5, seed: int = 0, name: str = "a") -> Run:
    steps = STEPS[last >= STEPS]
    rng = np.random.default_rng(seed)
    noise = 0.02 * rng.standard_normal((2, len(steps)))
    a, p = rise(alignment, steps) + noise[0], -rise(loss, steps) + noise[1]
    return Run(name=name, steps=steps, alignment=a, performance=p, higher_is_better=False)


def answer(run: Run, level: Level = LEVEL):
    found = run_leads(run, surrogates=19)
    return verdict(found.trend, level, task="loss", n=found.n, path="runs/a")


def test_yes_is_a_factor_with_its_interval_half_points_and_next_command():
    found = answer(run_of(800, 1800))
    assert found.outcome == "yes"
    assert found.factor == pytest.approx(1801 / 801, rel=0.15)
    assert found.ci[0] < 1801 / 801 < found.ci[1]
    assert found.sentence.startswith("Yes, in this run: the model is half-way to its alignment with IT in 2.")
    assert found.sentence.endswith("fewer steps than to its loss.")
    assert "95 % interval" in found.detail
    assert found.command == 'ontogeny lag runs/seed* --roi "IT" --layer "h.8" --metric rsa'
    assert "precedence, not cause" in found.caveats


def test_no_makes_no_claim_about_alignment():
    found = answer(run_of(3000, 800))
    assert found.outcome == "no"
    assert found.sentence.startswith("No: in this run the loss is first. The model is half-way to it in 3.")
    assert "alignment" in found.sentence.partition("fewer steps")[2]


def test_what_cannot_be_told_says_which_leads_fit():
    found = answer(run_of(1500, 1500, seed=3))
    assert found.outcome == "cannot be told"
    assert "so does anything from" in found.sentence
    assert math.isnan(found.factor)


def test_a_loss_that_still_falls_says_how_long_to_train():
    run = run_of(400, 8000, last=2e4)
    found = answer(run)
    assert found.outcome == "not yet"
    until = run_leads(run, surrogates=19).trend.until
    true = 10 ** (math.log10(8001) + math.log(0.85 / 0.15) / 4) - 1
    assert until == pytest.approx(true, rel=0.5)
    assert f"Train to about step {int(str(int(until))[:2]) + 1}" in found.sentence.replace(",", "")
    assert found.sentence.startswith("Not yet: the loss is still changing")


def test_few_checkpoints_are_counted():
    run = run_of(800, 1800)
    few = replace(run, steps=run.steps[::6], alignment=run.alignment[::6], performance=run.performance[::6])
    assert answer(few).sentence == ("Not yet: 8 checkpoints with both, 12 are needed. Train on, or probe more often.")


def test_nothing_above_the_surface_is_nothing_to_time_whatever_the_lead():
    found = answer(run_of(800, 1800), replace(LEVEL, peak=0.07))
    assert found.outcome == "nothing to time"
    assert found.sentence == "Nothing to time: alignment with IT is not above pixels alone (0.07 against 0.10 r)."
    assert math.isnan(found.factor)
    flat = replace(run_of(800, 1800), alignment=0.02 * np.random.default_rng(0).standard_normal(len(STEPS)))
    assert answer(flat).sentence == "Nothing to time: alignment with IT has no clear rise over training."


def test_an_interval_of_factors_holds_its_factor_in_either_direction():
    assert (fewer_steps(0.3), fewer_steps_ci(0.3, (-0.1, 0.5))) == ("2.0× fewer", "0.79 to 3.16×")
    assert (fewer_steps(-0.3), fewer_steps_ci(-0.3, (-0.5, 0.1))) == ("2.0× more", "0.79 to 3.16×")
    assert fewer_steps_ci(0.3, (-3.0, 3.0)) == fewer_steps_ci(0.3, (math.nan, math.nan)) == "the whole range of steps"


def test_a_share_that_is_too_small_is_not_rounded_to_what_is_needed():
    unfinished = Untestable(reason="r", kind="unfinished", series="alignment", share=0.796)
    assert "(79 % of its fitted gain" in verdict(unfinished, LEVEL, task="loss").sentence
    late = Untestable(reason="r", kind="late", series="alignment", share=0.203)
    assert "had 21 % of its fitted gain" in verdict(late, LEVEL, task="loss").sentence


def test_a_late_first_checkpoint_and_a_walk_cannot_be_told():
    late = Untestable(reason="r", kind="late", series="alignment", share=0.4)
    assert verdict(late, LEVEL, task="loss").sentence == (
        "Cannot be told: alignment with IT had 40 % of its fitted gain at the first checkpoint (20 % may be). "
        "Probe earlier."
    )
    walk = Untestable(reason="r", kind="wandering", series="performance")
    assert verdict(walk, LEVEL, task="loss").sentence.endswith(
        "the loss wanders like a random walk, which has no half-way point."
    )


def test_levels_are_shares_of_the_way_from_chance_to_ceiling():
    assert LEVEL.share == pytest.approx(0.8)
    assert replace(LEVEL, chance=0.3).share == pytest.approx(0.5)
    assert math.isnan(replace(LEVEL, ceiling=math.nan).share)
    assert not replace(LEVEL, baseline=math.nan, peak=-0.1).above_surface


def test_factors_have_a_number_of_digits_that_fits():
    assert fewer_steps(math.log10(2.34)) == "2.3× fewer"
    assert fewer_steps(-math.log10(1.04)) == "1.04× more"
    assert fewer_steps(4.0) == "10,000× fewer"


def test_runs_are_pooled_and_two_of_them_are_no_test():
    runs = [run_of(700 + 60 * i, 1800, seed=i + 20, name=f"seed{i}") for i in range(5)]
    pooled = verdict_of_runs(leads_over_runs(runs, surrogates=19), LEVEL, task="loss")
    assert pooled.outcome == "yes"
    assert pooled.sentence.startswith("Yes, over 5 runs: the model is half-way to its alignment with IT in 2.")
    two = verdict_of_runs(leads_over_runs(runs[:2], surrogates=19), LEVEL, task="loss")
    assert two.sentence == (
        "Cannot be told over 2 runs: three with a lead are needed for a test (alignment leads in 2)."
    )
    young = [run_of(400, 8000, last=2e4, seed=i, name=f"seed{i}") for i in range(3)]
    unfinished = verdict_of_runs(leads_over_runs(young, surrogates=19), LEVEL, task="loss")
    assert unfinished.outcome == "not yet"
    assert unfinished.caveats == ("so it is in 2 of 3 runs",)


def test_regions_are_counted_after_the_correction():
    yes, no, tie = answer(run_of(800, 1800)), answer(run_of(3000, 800)), answer(run_of(1500, 1500, seed=3))
    nothing = answer(run_of(800, 1800), replace(LEVEL, peak=0.07))

    def over(*pairs):
        alone, p = [one for one, _ in pairs], [p for _, p in pairs]
        return verdict_of_regions(alone, p, [LEVEL] * len(pairs), task="loss", path="runs/a")

    found = over((yes, 0.001), (yes, 0.04), (yes, 0.06), (nothing, math.nan))
    assert found.sentence.startswith("Yes, in 2 of 4 regions: half-way to the alignment in 2.")
    assert found.detail == "of 4 regions: cannot be told 1, nothing to time 1, yes 2"
    assert found.command == 'ontogeny report runs/a --primary "IT"'
    assert over((yes, 0.001), (no, 0.001)).outcome == "cannot be told"
    assert over((no, 0.001), (tie, 0.9)).sentence.startswith("No: in 1 of 2 regions the loss is first")
    assert over((nothing, math.nan), (nothing, math.nan)).sentence == (
        "Nothing to time: none of 2 regions is above pixels alone and rises."
    )
    assert over((tie, 0.9), (tie, 0.9)).sentence.startswith("Cannot be told: in 2 of 2 regions; ")
    assert over((yes, math.nan)) == yes


def test_region_leads_are_those_of_single_pairs():
    runs = [run_of(800, 1800, name="one"), replace(run_of(2500, 1800, seed=0, name="two"))]
    runs[1] = replace(runs[1], performance=runs[0].performance)
    for one, run in zip(region_leads(runs), runs, strict=True):
        own = run_leads(run, surrogates=19).trend
        assert one.name == run.name
        assert one.trend.log10 == pytest.approx(own.log10, abs=1e-6)
        assert one.trend.ci_log10 == pytest.approx(own.ci_log10, abs=1e-5)
    short = replace(runs[0], steps=STEPS[:5], alignment=runs[0].alignment[:5], performance=runs[0].performance[:5])
    assert region_leads([short])[0].trend.kind == "few"
