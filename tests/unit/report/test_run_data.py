"""From a record to panels: means, errors, references."""

from __future__ import annotations

import pytest

from ontogeny.errors import RecordError
from ontogeny.record import Event, Record, Score
from ontogeny.record.curve_groups import curve_groups, curve_names
from ontogeny.record.curve_means import mean_of
from ontogeny.record.event import refusal_of
from ontogeny.report import run_data
from ontogeny.report.run_data import RunFacts
from ontogeny.report.write import write_report


def score(**columns) -> Score:
    common = {
        "run": "r",
        "step": 0,
        "kind": "alignment",
        "benchmark": "b",
        "roi": "IT",
        "layer": "one",
        "pooling": "mean",
        "metric": "rsa",
        "unit": "rho",
        "chance": 0.0,
        "n_stimuli": 92,
    }
    return Score(**{**common, **columns})


def test_values_are_means_over_subjects_with_one_standard_error():
    values = (0.1, 0.2, 0.6)
    (panel,) = curve_groups(
        [score(subject=str(i), value=v, ceiling=0.5, ceiling_lower=0.4) for i, v in enumerate(values)]
    )
    (row,) = panel.rows
    assert row["value"] == pytest.approx(0.3)
    assert row["high"] - row["value"] == pytest.approx(0.1527525)  # sqrt(.07) / sqrt(3)
    assert row["n_subjects"] == 3
    assert (panel.ceiling_lower, panel.ceiling, panel.chance) == pytest.approx((0.4, 0.5, 0.0))


def test_one_panel_a_roi_metric_and_pooling_and_layers_keep_their_order():
    rows = [score(layer=layer, roi=roi, value=0.1) for roi in ("V1", "IT") for layer in ("z first", "a last")]
    found = curve_groups([*rows, score(pooling="last", value=0.2), score(metric="cka", value=0.3)])
    assert [(p.metric, p.roi, p.pooling) for p in found] == [
        ("rsa", "V1", "mean"),
        ("rsa", "IT", "mean"),
        ("rsa", "IT", "last"),
        ("cka", "IT", "mean"),
    ]
    assert found[0].layers == ("z first", "a last")


def test_baseline_and_controls_stand_beside_every_pooling():
    rows = [
        score(value=0.1),
        score(value=0.2, pooling="last"),
        score(kind="baseline", layer="pixels", pooling="stimuli", value=0.05),
        score(kind="control", layer="random features", pooling="stimuli", value=0.01),
        score(kind="control", layer="permuted stimuli", value=-0.01),
        score(layer="surprisal", value=0.07),
    ]
    mean, last = curve_groups(rows)
    assert {name: part[0]["value"] for name, part in mean.references.items()} == {
        "baseline: pixels": 0.05,
        "control: random features": 0.01,
        "control: permuted stimuli": -0.01,
        "token surprisal alone": 0.07,
    }
    assert set(last.references) == {"baseline: pixels", "control: random features"}
    assert mean.layers == ("one",)


def test_controls_that_move_with_the_model_have_their_own_line():
    moving = ("permuted within groups", "random tokens", "held-out layer")
    rows = [score(value=0.1), *(score(kind="control", layer=name, value=0.2) for name in moving)]
    (panel,) = curve_groups([*rows, score(kind="control", layer="split leak", pooling="stimuli", value=0.3)])
    values = {name: part[0]["value"] for name, part in panel.references.items()}
    assert values == {"control: split leak": 0.3, **{f"control: {name}": 0.2 for name in moving}}
    assert panel.layers == ("one",)


def test_the_untrained_reference_is_the_highest_layer_at_step_0():
    rows = [score(value=0.1), score(value=0.3, layer="two"), score(value=0.5, step=8)]
    (panel,) = curve_groups(rows)
    assert panel.before_training == 0.3
    (later,) = curve_groups(rows[2:])
    assert later.before_training is None


def test_values_that_are_not_finite_are_left_out():
    (panel,) = curve_groups([score(subject="1", value=0.1), score(subject="2", value=float("nan"))])
    assert [(row["value"], row["n_subjects"]) for row in panel.rows] == [(0.1, 1)]


def test_names_of_curves_hold_the_benchmark_where_there_are_several():
    assert curve_names(curve_groups([score(value=0.1)])) == ["IT"]
    both = curve_groups([score(value=0.1), score(value=0.1, benchmark="c", pooling="")])
    assert curve_names(both) == ["b.IT.mean", "c.IT"]


def test_mean_of_knows_nothing_from_nothing():
    assert mean_of([None, float("nan")]) is None
    assert mean_of([None, 1.0, 3.0]) == 2.0


def test_facts_sort_a_record_by_kind(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append(
        [
            score(run="r", value=0.1),
            refusal_of(score(run="r", layer="two"), "gave NaN"),
            Score(run="r", step=0, kind="task", metric="loss", value=2.0),
            Event(run="r", step=0, kind="probe", metric="seconds", value=1.5),
        ]
    )
    facts = RunFacts.of(record)
    assert facts.steps == (0,)
    assert facts.seconds == (1.5,)
    assert [len(part) for part in (facts.panels, facts.task, facts.refusals, facts.confounds)] == [1, 1, 1, 0]


def test_facts_of_some_curves_keep_what_is_about_the_run(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append(
        [
            *(score(run="r", value=0.1, roi=roi, metric=m) for roi in ("V1", "V4", "IT") for m in ("rsa", "cka")),
            score(run="r", kind="baseline", layer="pixels", pooling="stimuli", roi="V4", value=0.2),
            score(run="r", kind="confound", roi="", metric="participation ratio", value=3.0),
            Score(run="r", step=0, kind="task", metric="loss", value=2.0),
            Event(run="r", step=0, kind="probe", metric="seconds", value=1.5),
        ]
    )
    facts = RunFacts.of(record, {"roi": ["V4", "IT"], "metric": ["rsa"]})
    assert [(p.roi, p.metric) for p in facts.panels] == [("V4", "rsa"), ("IT", "rsa")]
    assert set(facts.panels[0].references) == {"baseline: pixels"}
    assert [len(part) for part in (facts.task, facts.confounds, facts.seconds)] == [1, 1, 1]


def test_a_record_with_too_many_scores_to_draw_asks_for_a_choice(tmp_path, monkeypatch):
    record = Record(tmp_path / "r", create=True)
    record.append([score(run="r", value=0.1, roi=f"V{i}") for i in range(5)])
    monkeypatch.setattr(run_data, "MOST_SCORES", 4)
    with pytest.raises(RecordError, match="holds 5 scores, a page draws up to 4; choose some of them by metric, roi"):
        RunFacts.of(record)
    assert len(RunFacts.of(record, {"roi": ["V1"]}).panels) == 1
    with pytest.raises(RecordError, match=r"chosen by benchmark, metric, roi, layer, pooling, subject; got \['run'\]"):
        RunFacts.of(record, {"run": ["one"]})


def test_names_with_control_characters_are_drawn_without_them(tmp_path):
    record = Record(tmp_path / "r", create=True)
    names = {"roi": "V\x071", "layer": "con\x1b[31mv"}
    record.append([score(run="r", step=step, value=0.1 * step, **names) for step in range(4)])
    record.append(
        [score(run="r", step=s, value=3.0 - s, kind="task", metric="lo\x00ss", unit="nats") for s in range(4)]
    )
    page = write_report(record.folder, tmp_path / "out").html.read_bytes()
    assert b"V?1" in page
    assert not any(one in page for one in (b"\x07", b"\x1b", b"\x00"))
