"""Several runs, maps of ROI and layer, and the placebo on one's own series."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ontogeny.errors import LagError, RecordError
from ontogeny.lag import PooledLead, Run, Untestable, leads, leads_map, leads_over_runs, placebo
from ontogeny.lag._meta_analysis import pool
from ontogeny.lag.lead_text import map_lines, placebo_lines, runs_lines
from ontogeny.lag.roi_layer_map import map_of_runs
from ontogeny.record import Record, Score
from ontogeny.simulated.planted_leads import planted_lead


def runs_of(kind, count, *, n=30, seed=0, group=lambda i: ""):
    worlds = [planted_lead(kind, n, seed=seed, run=run) for run in range(count)]
    return [
        Run(name=f"r{i}", group=group(i), steps=w.steps, alignment=w.alignment, performance=w.performance)
        for i, w in enumerate(worlds)
    ]


@pytest.fixture(scope="module")
def five():
    return leads_over_runs(runs_of("lead_both", 5), surrogates=99)


def test_five_runs_pool_to_one_lead_with_its_test_and_assumptions(five):
    world = planted_lead("lead_both", 30, seed=0)
    assert isinstance(five.trend, PooledLead)
    assert five.trend.verdict == "alignment leads"
    assert five.trend.ci[0] <= world.lead_log10 <= five.trend.ci[1]
    assert five.trend.unit == "log10 steps"
    assert five.trend.test == "t over 5 runs (leads normal over runs)"
    assert five.fluctuation.unit == "checkpoints"
    assert five.fluctuation.p_alignment_leads < 0.05
    assert [one.name for one in five.runs] == ["r0", "r1", "r2", "r3", "r4"]
    assert five.repairing.observed > 0
    assert five.repairing.share_above < 0.2
    assert any("not of further subjects" in text for text in five.assumptions)
    text = "\n".join(runs_lines(five, details=True))
    assert text.startswith("Yes, over 5 runs: ")
    assert "re-pairing" in text
    assert not any(line.startswith("re-pairing") for line in runs_lines(five))
    assert "assumptions" in text
    json.dumps(five.to_dict(), allow_nan=False)


def test_one_rise_is_not_five():
    for seed in (1, 2, 3):
        found = leads_over_runs(runs_of("lead_trend", 5, seed=seed), surrogates=19)
        alone = [one.leads.trend.ci_log10[1] - one.leads.trend.ci_log10[0] for one in found.runs]
        assert found.trend.ci[1] - found.trend.ci[0] < np.median(alone)


def test_taking_the_mean_over_runs_away_widens_the_interval():
    """By sqrt((R - 1) / (R - 2)), as a simulation of the sums says too."""
    values = np.random.default_rng(0).standard_normal((5, 1))
    names, groups = [str(i) for i in range(5)], [""] * 5
    plain, less = (pool(values, names, groups, unit="", less_mean=flag) for flag in (False, True))
    assert (less.ci[1] - less.ci[0]) / (plain.ci[1] - plain.ci[0]) == pytest.approx(np.sqrt(4 / 3))
    rng = np.random.default_rng(1)
    a, p = rng.standard_normal((2, 4000, 5, 40))
    products = ((a - a.mean(axis=1, keepdims=True)) * (p - p.mean(axis=1, keepdims=True))).sum(axis=2)
    stated = products.var(axis=1, ddof=1).mean() / 5
    assert products.mean(axis=1).var() / stated == pytest.approx(4 / 3, rel=0.1)


def test_groups_are_blocks_where_they_hold_replicates():
    """Two sizes of different lead: the spread within sizes decides, not that between them."""
    slow, fast = runs_of("lead_trend", 3, seed=1), runs_of("p_leads_trend", 3, seed=1)
    runs = [replace(r, name=f"{g}{i}", group=g) for g, part in (("s", slow), ("f", fast)) for i, r in enumerate(part)]
    found = leads_over_runs(runs, surrogates=19)
    values = np.asarray(found.trend.values)
    assert found.trend.mean == pytest.approx((values[:3].mean() + values[3:].mean()) / 2)
    within = np.sqrt((values[:3].var(ddof=1) + values[3:].var(ddof=1)) / 2 / 6)
    assert found.trend.ci[1] - found.trend.ci[0] < 4 * 2.8 * within + 0.3
    assert "in 2 groups" in found.trend.test
    assert "2 groups are blocks" in found.assumptions[-1]
    alone = [replace(r, group=f"size{i}") for i, r in enumerate(slow)]
    assert "groups serve as replicates" in leads_over_runs(alone, surrogates=19).assumptions[-1]


def test_runs_may_be_dicts(five):
    runs = [{f: getattr(r, f) for f in ("name", "steps", "alignment", "performance")} for r in runs_of("lead_both", 5)]
    assert leads_over_runs(runs, surrogates=19).trend == five.trend
    with pytest.raises(LagError, match="a dict with its fields .name, steps, alignment"):
        leads_over_runs([{**runs[0], "colour": "red"}])


def test_too_few_runs_are_shown_but_not_tested():
    found = leads_over_runs(runs_of("lead_trend", 2), surrogates=19)
    assert isinstance(found.trend, Untestable)
    assert "two give no test" in found.trend.reason
    assert len(found.runs) == 2
    assert "1 of the runs" in leads_over_runs(runs_of("lead_trend", 1), surrogates=19).trend.reason
    with pytest.raises(LagError, match="no runs to pool"):
        leads_over_runs([])
    with pytest.raises(LagError, match="two runs are called 'r0'"):
        leads_over_runs(runs_of("lead_trend", 1) * 2)


def test_runs_of_different_grids_are_not_interpolated():
    runs = runs_of("lead_trend", 4)
    runs[0] = replace(runs[0], **{k: getattr(runs[0], k)[3:] for k in ("steps", "alignment", "performance")})
    runs += [replace(r, name=f"more {r.name}") for r in runs_of("lead_trend", 1, n=15, seed=4)]
    found = leads_over_runs(runs, surrogates=19)
    assert isinstance(found.trend, PooledLead)
    assert found.repairing is None
    assert any("None was interpolated" in text for text in found.warnings)


def test_runs_without_a_trend_are_named():
    runs = runs_of("lead_trend", 3)
    flat = replace(runs[0], name="flat", alignment=np.random.default_rng(0).standard_normal(30))
    found = leads_over_runs([*runs, flat], surrogates=19)
    assert found.trend.runs == ("r0", "r1", "r2")
    assert "1 of 4 runs have no testable trend and are left out of it (flat)" in found.warnings[0]


@pytest.mark.long
def test_seeds_that_all_do_the_same_odd_thing_do_not_lead_each_other():
    """One wiggle in every run: shared, so the mean over runs takes it away."""
    wiggle = np.convolve(np.random.default_rng(3).standard_normal(40), np.ones(4) / 4)[4:34]
    hits = 0
    for seed in range(10):
        runs = runs_of("null_white", 5, seed=seed)
        gains = [(np.ptp(r.alignment), np.ptp(r.performance)) for r in runs]
        both = [
            replace(
                r, alignment=r.alignment + 0.1 * g * wiggle, performance=r.performance + 0.1 * h * np.roll(wiggle, 1)
            )
            for r, (g, h) in zip(runs, gains, strict=True)
        ]
        hits += leads_over_runs(both, surrogates=19).fluctuation.p_alignment_leads < 0.05
    assert hits <= 3


def record_of(folder, worlds, *, source="measured"):
    record = Record(folder, create=True, run="run")
    record.describe("b", {"fingerprint": "f", "simulated": True})
    for roi, layer, world in worlds:
        record.append(
            Score(
                run="run", step=int(s), kind="alignment", benchmark="b", fingerprint="f", subject="s1", roi=roi,
                layer=layer, metric="rsa", value=float(a), unit="rho",
            )
            for s, a in zip(world.steps, world.alignment, strict=True)
        )  # fmt: skip
    first = worlds[0][2]
    record.append(
        Score(run="run", step=int(s), kind="task", metric="loss", value=float(3 - p), unit="nats", source=source)
        for s, p in zip(first.steps, first.performance, strict=True)
    )
    return record


def test_a_map_corrects_for_its_cells_and_shares_its_flips(tmp_path):
    led, none = planted_lead("lead_latent", 60, seed=2), planted_lead("null_white", 60, seed=2)
    cells = [("V1", "one", none), ("V1", "two", led), ("IT", "one", none), ("IT", "two", led)]
    cells[0] = ("V1", "one", led)
    record = record_of(tmp_path / "r", cells)
    found = leads_map(record, metric="rsa", surrogates=199)
    assert [(c.roi, c.layer) for c in found.cells] == [("V1", "one"), ("V1", "two"), ("IT", "one"), ("IT", "two")]
    for cell in found.cells:
        for p in (cell.trend_p, cell.fluctuation_p):
            if p is not None:
                assert p.p <= p.bh + 1e-12 <= p.by + 1e-9
    same = found.cells[0].fluctuation_p, found.cells[1].fluctuation_p
    assert same[0].max_t == same[1].max_t
    assert found.cells[2].fluctuation_p.max_t > 0.05
    assert "Declare one primary ROI" in " ".join(map_lines(found))
    json.dumps(found.to_dict(), allow_nan=False)
    assert len(leads_map(record, rois=["IT"], layers=["two"], metric="rsa", surrogates=19).cells) == 1
    with pytest.raises(LagError, match="holds no alignment with metric 'rsa', roi 'V4'"):
        leads_map(record, rois=["V4"], metric="rsa")
    with pytest.raises(LagError, match="has no task 'accuracy'. Choices: 'loss'"):
        leads_map(record, task="accuracy", metric="rsa")
    with pytest.raises(RecordError, match="no column 'colour'"):
        leads_map(record, colour="red")


def test_a_map_names_its_refusals_and_wants_one_grid(tmp_path):
    world = planted_lead("lead_trend", 15, seed=2)
    found = leads_map(record_of(tmp_path / "r", [("V1", "one", world)]), surrogates=19)
    assert found.cells[0].fluctuation_p is None
    assert "too few checkpoints for fluctuations" in found.cells[0].fluctuation.reason
    few = planted_lead("lead_trend", 15, seed=2)
    runs = [Run(name="a", steps=few.steps[:9], alignment=few.alignment[:9], performance=few.performance[:9])]
    none = map_of_runs(runs, [("V1", "one")], task="loss", surrogates=19)
    assert "too few checkpoints: 9" in none.cells[0].trend.reason
    assert "1 of 1 cells refused: too few checkpoints" in map_lines(none)
    with pytest.raises(LagError, match="one grid of steps"):
        map_of_runs([*runs, runs_of("lead_trend", 1)[0]], [("V1", "one"), ("V1", "two")], task="loss")


@pytest.mark.long
@pytest.mark.slow
def test_a_placebo_reports_rates_and_only_makes_an_answer_stricter():
    world = planted_lead("lead_trend", 30, seed=3, lead=2)
    found = placebo(world.steps, world.alignment, world.performance, replicates=60, surrogates=59)
    nominal = leads(world.steps, world.alignment, world.performance).trend
    assert found.p["trend: alignment leads"] >= nominal.p_alignment_leads - 1e-12
    assert found.p["trend: alignment leads"] <= 0.1
    assert found.false_positives["trend: alignment leads"].value < 0.15
    assert found.false_positives["fluctuation: alignment leads"].value < 0.2
    assert found.power[2]["trend: alignment leads"].value > 0.7
    assert found.power[2]["trend: alignment leads"].value >= found.power[1]["trend: alignment leads"].value - 0.1
    assert "Granger on levels: alignment leads" in found.false_positives
    assert found == placebo(world.steps, world.alignment, world.performance, replicates=60, surrogates=59)
    assert "with alignment 2 checkpoints earlier" in "\n".join(placebo_lines(found))
    json.dumps(found.to_dict(), allow_nan=False)
    few = planted_lead("lead_trend", 15, seed=3)
    short = placebo(few.steps, few.alignment, few.performance, replicates=10)
    assert "fluctuation: alignment leads" not in short.p
    with pytest.raises(LagError, match="no placebo without a pair to replicate: too few"):
        placebo(few.steps[:8], few.alignment[:8], few.performance[:8])
