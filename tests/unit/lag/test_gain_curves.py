"""A pair as shares of its gains: what a plot of it is drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.lag.test_across_runs import record_of

from ontogeny.errors import LagError
from ontogeny.lag import Run, Untestable, leads, record_shares, rise_time, shares
from ontogeny.record import Record, Score
from ontogeny.simulated.planted_leads import planted_lead


def run_of(kind="lead_trend", n=30, **options) -> Run:
    world = planted_lead(kind, n, seed=1, **options)
    return Run(name="pair", steps=world.steps, alignment=world.alignment, performance=world.performance)


def rows(found, kind, series):
    return [row for row in found.rows if (row["kind"], row["series"]) == (kind, series)]


def test_half_points_and_lead_are_those_of_rise_time_and_leads():
    run = run_of()
    found = shares(run)
    for series, values in (("alignment", run.alignment), ("task", run.performance)):
        (half,) = rows(found, "half", series)
        timed = rise_time(run.steps, values)
        assert half["step"] == pytest.approx(timed.step)
        assert (half["low"], half["high"]) == pytest.approx([10**u - 1 for u in timed.ci_log10])
    assert found.trend == leads(run.steps, run.alignment, run.performance, surrogates=19).trend
    assert "(30 checkpoints, steps 0 to 143,000)" in found.says


def test_the_fitted_curve_goes_from_none_to_all_of_the_gain_and_is_half_at_the_half_point():
    found = shares(run_of(n=60))
    for series in ("alignment", "task"):
        fitted = rows(found, "fitted", series)
        values = [row["value"] for row in fitted]
        assert -0.05 < values[0] < 0.2
        assert 0.9 < values[-1] < 1.05
        (half,) = rows(found, "half", series)
        assert np.interp(half["step"], [row["step"] for row in fitted], values) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("scale", "shift"), [(0.01, 5.0), (300.0, -2.0)])
def test_shares_do_not_depend_on_units(scale, shift):
    run = run_of()
    other = replace(run, alignment=scale * np.asarray(run.alignment) + shift)
    one, two = ([row["value"] for row in rows(shares(r), "measured", "alignment")] for r in (run, other))
    assert one == pytest.approx(two, abs=1e-3)


def test_a_loss_rises_as_its_mirror_does():
    run = run_of()
    loss = replace(run, performance=3 - np.asarray(run.performance), higher_is_better=False)
    one, two = ([row["value"] for row in rows(shares(r), "measured", "task")] for r in (run, loss))
    assert one == pytest.approx(two, abs=1e-6)


def test_what_cannot_be_fitted_has_no_rows_and_says_why():
    few = shares(run_of(n=15), key="k")
    assert few.rows
    assert few.key == "k"
    run = run_of()
    few = shares(replace(run, steps=run.steps[:8], alignment=run.alignment[:8], performance=run.performance[:8]))
    assert few.rows == ()
    assert "Not yet: 8 checkpoints with both, 12 are needed" in few.says
    flat = shares(replace(run, alignment=0.01 * np.random.default_rng(0).standard_normal(30)))
    assert flat.rows == ()
    assert "has no clear rise over training" in flat.says
    falling = shares(replace(run, performance=-np.asarray(run.performance)))
    assert falling.rows == ()
    assert "move in opposite directions" in falling.says


def test_the_answer_says_where_a_curve_turns_as_leads_do():
    steps = np.unique(np.round(np.logspace(0, 4, 48)).astype(int))[:40]

    def rise(half):
        return 1 / (1 + np.exp(-(np.log10(steps + 1) - half) / 0.12))

    noise = 0.02 * np.random.default_rng(0).standard_normal((2, len(steps)))
    run = Run(name="hump", steps=steps, alignment=rise(1.5) - rise(2.8) + noise[0], performance=rise(2) + noise[1])
    found = shares(run).answer
    assert "it turns (peak at step 1" in found.sentence
    assert found == leads(run.steps, run.alignment, run.performance, surrogates=19).answer


def test_a_half_point_that_is_a_guess_is_not_marked():
    world = planted_lead("lead_trend", 60, seed=1)
    cut = shares(
        Run(name="cut", steps=world.steps[:16], alignment=world.alignment[:16], performance=world.performance[:16])
    )
    assert isinstance(cut.trend, Untestable)
    assert "Not yet: the performance is still changing" in cut.says
    assert rows(cut, "measured", "task")
    assert not rows(cut, "half", "task")


def test_a_record_gives_the_layer_that_ends_best_of_every_panel_against_every_task(tmp_path):
    led, late = planted_lead("lead_trend", 30, seed=1), planted_lead("lead_trend", 30, seed=2)
    higher = replace(late, alignment=late.alignment + 1)
    record = record_of(tmp_path / "r", [("V1", "one", led), ("V1", "two", higher), ("IT", "one", led)])
    record.append(
        Score(run="run", step=int(s), kind="task", metric="accuracy", value=float(p), unit="share")
        for s, p in zip(led.steps, led.performance, strict=True)
    )
    found = record_shares(record)
    assert [f.name for f in found] == [
        "V1 · rsa · two against loss",
        "IT · rsa · one against loss",
        "V1 · rsa · two against accuracy",
        "IT · rsa · one against accuracy",
    ]
    assert [f.key for f in found][:2] == ["V1.loss", "IT.loss"]
    assert any("thresholded" in w for w in found[3].warnings)
    assert not any("thresholded" in w for w in found[1].warnings)


def test_a_trainer_s_average_is_warned_about(tmp_path):
    led = planted_lead("lead_trend", 30, seed=1)
    (found,) = record_shares(record_of(tmp_path / "r", [("IT", "one", led)], source="trainer_average"))
    assert "trainer's own averaged loss" in found.warnings[0]


def test_a_record_without_common_steps_or_without_a_task_gives_none(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append([Score(run="r", step=1, kind="alignment", roi="IT", metric="rsa", layer="one", value=0.1)])
    assert record_shares(record) == []
    record.append([Score(run="r", step=2, kind="task", metric="loss", value=0.1)])
    assert record_shares(record) == []


def test_doubled_steps_are_refused():
    run = run_of()
    with pytest.raises(LagError, match="steps hold doubles"):
        shares(replace(run, steps=np.zeros(30)))
