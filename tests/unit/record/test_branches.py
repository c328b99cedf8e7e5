"""A record is one run's: other weights are refused, and what a run was rolled back from is in no answer any more."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings

import pandas as pd
import pytest
import torch
from tests.helpers import benchmarks
from tests.helpers.models import TinyCNN, transform

from ontogeny import Record, watch
from ontogeny.cli import main
from ontogeny.errors import RecordError
from ontogeny.monitoring.schedule import parse_schedule
from ontogeny.record import Score
from ontogeny.record.arrow import to_table
from ontogeny.report.run_data import RunFacts


def row(step, value=0.5, layer="l", kind="alignment", **other):
    return Score(
        run="r", step=step, kind=kind, roi="IT", layer=layer, metric="m", value=float(value), unit="u", **other
    )


def rolled_back(folder, *, moved=False, after=2):
    """Steps 0 to 5, rolled back to step 2, then 3 and 4 again; moved into Parquet before and after it, if asked."""
    record = Record(folder, create=True, run="r")
    for step in range(6):
        record.append([row(step, step), row(step, 10 + step, layer="k")])
    if moved:
        record.compact()
    before = record.written
    record.append([row(2, 0.5, layer="new")])
    record.leave_behind(after, before=before, note="other weights", weights="w")
    record.append([row(3, 103.0), row(4, 104.0)])
    if moved:
        record.compact()
    return record


@pytest.mark.parametrize("moved", [False, True], ids=["lines", "parts"])
def test_what_was_left_behind_stays_on_disk_and_is_in_no_answer(tmp_path, moved):
    made = rolled_back(tmp_path / "r", moved=moved)
    for record in (made, Record(tmp_path / "r")):
        curve = record.series(layer="l")
        assert (curve.steps.tolist(), curve.values.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 103, 104])
        assert record.series(layer="k").steps.tolist() == [0, 1, 2]
        assert record.get(row(5).key) is None
        assert record.get(row(3).key).value == 103
        assert len(record) == len(record.scores) == len(record.to_pandas()) == 3 * 2 + 1 + 2
        assert record.written == (6 * 2 + 1 + 2, 1)
        assert len(pd.read_parquet(record.to_parquet(tmp_path / "all.parquet"))) == len(record)
        assert [s.value for s in record.left_behind(record.branches[0])] == [3, 13, 4, 14, 5, 15]
        assert [(b.name, b.after, b.note) for b in record.branches] == [("branch 1", 2, "other weights")]
        table = RunFacts.of(record).alignment
        assert table.numbers["step"][table.text("layer") == "l"].tolist() == [0, 1, 2, 3, 4]
    assert made.header["schema"] == 4
    assert made.append([row(3, 7.0)]) == [], "one row a key, among those that count"
    assert [s.value for s in made.append([row(5, 105.0)])] == [105.0]


@pytest.mark.parametrize("moved", [False, True], ids=["lines", "parts"])
def test_questions_in_sql_do_not_see_what_was_left_behind(tmp_path, moved):
    pytest.importorskip("duckdb")
    record = rolled_back(tmp_path / "r", moved=moved)
    asked = record.query("SELECT step, value FROM scores WHERE layer = 'l' ORDER BY step")
    assert asked.values.tolist() == [[0, 0], [1, 1], [2, 2], [3, 103], [4, 104]]
    assert record.best("layer", by=["step"], metric="m").value.tolist()[-1] == 104
    assert record.append_table(to_table([row(5, 205.0), row(3, 9.0)])) == 1


def test_a_second_branch_takes_only_what_the_first_has_left(tmp_path):
    record = rolled_back(tmp_path / "r")
    record.leave_behind(0, before=record.written, note="again")
    record.append([row(1, 201.0)])
    assert record.series(layer="l").values.tolist() == [0, 201]
    again = Record(tmp_path / "r")
    first, second = again.branches
    assert [s.value for s in again.left_behind(first)] == [3, 13, 4, 14, 5, 15]
    assert [s.value for s in again.left_behind(second)] == [1, 11, 2, 12, 0.5, 103, 104]


def test_a_reader_without_branches_would_be_told_to_upgrade(tmp_path):
    rolled_back(tmp_path / "r")
    assert json.loads((tmp_path / "r" / "record.json").read_text())["schema"] == 4


def test_show_lists_branches_and_the_identity(tmp_path, capsys):
    record = rolled_back(tmp_path / "r")
    assert main(["record", "show", str(tmp_path / "r"), "--details"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[2:])
    assert facts["identity"] == record.identity
    assert len(record.identity) == 32
    assert facts["branch"].split(maxsplit=1) == ["1", "6 rows left behind, steps 3 to 5: other weights"]


class Run:
    """A training whose weights are told by its step and by how it goes on."""

    def __init__(self, benchmark, folder, **options):
        torch.manual_seed(0)
        self.model = TinyCNN()
        self.start = self.model.head.weight.detach().clone()
        self.monitor = watch(
            benchmark,
            record=folder,
            transform=transform,
            schedule="every:2",
            controls=False,
            rehearsal=False,
            **options,
        )

    def at(self, step, way=0.0):
        with torch.no_grad():
            self.model.head.weight.copy_(self.start + step + way)
        return self.monitor(self.model, step)

    def steps(self):
        return [s.step for s in Record(self.monitor.folder).events(kind="probe")]


def quiet(work):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [str(w.message) for w in caught]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Steps 0 to 8 of a run, probed at every second one; a checkpoint was saved at step 3."""
    folder = tmp_path_factory.mktemp("once") / "r"
    first = Run(benchmarks.image_benchmark(), folder)
    for step in range(9):
        first.at(step)
        if step == 3:
            first.monitor.saved(first.model, step)
    first.monitor.close()
    return folder


@pytest.fixture
def trained(once, tmp_path):
    return shutil.copytree(once, tmp_path / "r")


@pytest.mark.parametrize("step", [0, 4])
def test_other_weights_at_any_known_step_are_refused_before_training(image_benchmark, trained, step):
    second = Run(image_benchmark, trained)
    lines = (trained / "scores.jsonl").read_text()
    with pytest.raises(RecordError, match=rf"holds step {step}, of other weights .* Choose another record folder"):
        second.at(step, way=0.5)
    assert (trained / "scores.jsonl").read_text() == lines


def test_a_run_resumed_earlier_on_the_same_way_goes_on(image_benchmark, trained):
    second = Run(image_benchmark, trained)
    assert quiet(lambda: [second.at(step) for step in range(3, 13)]) == []
    assert second.steps() == [0, 2, 4, 6, 8, 10, 12]
    assert Record(trained).branches == ()


@pytest.mark.parametrize("schedule", ["every:2", "every:3"])
def test_a_run_resumed_earlier_that_goes_on_differently_leaves_a_branch(image_benchmark, trained, schedule, capsys):
    second = Run(image_benchmark, trained)
    second.monitor.schedule = parse_schedule(schedule)
    said = quiet(lambda: [second.at(step, way=0.25 * (step > 3)) for step in (3, 4, 5, 6, 7)])
    assert len(said) == 1
    assert "was resumed at step 3 and went on differently: step 4 has other weights now" in said[0]
    second.monitor.finish(second.model, 7)
    kept = {"every:2": [0, 2, 4, 6, 7], "every:3": [0, 2, 3, 6, 7]}[schedule]
    assert second.steps() == kept
    record = Record(trained)
    weights = {e.step: e.weights for e in record.events(kind="probe")}
    assert {s.weights for s in record.scores if s.step == 6 and s.weights} == {weights[6]}
    assert {s.step for s in record.left_behind(record.branches[0])} == {4, 6, 8}
    assert f"ontogeny: {len(kept)} probes, " in capsys.readouterr().err, "this run's alone"


def test_scores_of_a_probe_that_was_killed_before_it_closed_are_left_behind_by_other_weights(image_benchmark, trained):
    """As a run that is resumed from an earlier checkpoint, and does not repeat to the bit."""
    events = (trained / "events.jsonl").read_text().splitlines(keepends=True)
    assert '"probe"' in events[-1]
    (trained / "events.jsonl").write_text("".join(line for line in events if '"step": 8' not in line))
    before = Record(trained).select(kind="alignment", step=8)
    assert before
    second = Run(image_benchmark, trained)
    said = quiet(lambda: [second.at(step, way=0.25 * (step > 6)) for step in (6, 7, 8)])
    assert len(said) == 1
    assert "step 8 has other weights now" in said[0]
    record = Record(trained)
    (probe,) = record.events(kind="probe", step=8)
    found = record.select(kind="alignment", step=8)
    assert {score.weights for score in found} == {probe.weights} != {score.weights for score in before}
    assert len(found) == len(before)


def test_a_run_that_ends_between_the_steps_of_the_old_one_leaves_it_behind(image_benchmark, trained):
    second = Run(image_benchmark, trained)
    said = quiet(lambda: [second.at(4), second.at(5, way=0.25), second.monitor.finish(second.model, 5)])
    assert len(said) == 1
    assert "ended at step 5 without passing steps that were probed before" in said[0]
    assert second.steps() == [0, 2, 4, 5]


def test_a_saved_step_is_known_without_a_probe(image_benchmark, tmp_path):
    first = Run(image_benchmark, tmp_path / "r")
    for step in range(4):
        first.at(step)
        first.monitor.saved(first.model, step)
    assert [s.step for s in first.monitor.record.events(kind="checkpoint")] == [1, 3], "what was probed needs no note"
    first.monitor.close()
    assert quiet(lambda: Run(image_benchmark, tmp_path / "r").at(3)) == []
    with pytest.raises(RecordError, match="holds step 3, of other weights"):
        Run(image_benchmark, tmp_path / "r").at(3, way=0.5)


@pytest.mark.parametrize("way", [0.0, 0.25], ids=["its own", "another run's"])
def test_a_run_resumed_where_the_record_has_no_weights_is_refused_until_it_is_vouched_for(
    image_benchmark, trained, way
):
    lines = (trained / "scores.jsonl").read_text()
    for step in (5, 11):
        words = rf"has the weights of step 0, 2, 3, 4, 6, 8, not of step {step}, .* monitor.saved\(model, {step}\)"
        with pytest.raises(RecordError, match=words):
            Run(image_benchmark, trained).at(step, way=way)
    assert (trained / "scores.jsonl").read_text() == lines
    second = Run(image_benchmark, trained)
    with torch.no_grad():
        second.model.head.weight.copy_(second.start + 11 + way)
    second.monitor.saved(second.model, 11)
    assert quiet(lambda: [second.at(step, way=way) for step in (11, 12)]) == []
    assert second.steps() == [0, 2, 4, 6, 8, 12]


def test_a_record_without_earlier_steps_needs_no_evidence(image_benchmark, tmp_path):
    """As a loop does whose first call is after its first update, started again from the beginning."""
    first = Run(image_benchmark, tmp_path / "r")
    assert [step for step in (1, 2, 3, 4) if first.at(step)] == [2, 4]
    first.monitor.close()
    second = Run(image_benchmark, tmp_path / "r")
    assert len(quiet(lambda: [second.at(step, way=0.5) for step in (1, 2)])) == 1
    assert second.steps() == [2]


def test_a_record_lost_in_mid_run_is_written_again(image_benchmark, tmp_path):
    run = Run(image_benchmark, tmp_path / "r")
    run.at(0)
    identity = run.monitor.record.identity
    before = json.loads((tmp_path / "r" / "record.json").read_text())
    (tmp_path / "r" / "record.json").unlink()
    run.at(2)
    assert json.loads((tmp_path / "r" / "record.json").read_text()) == before
    assert Record(tmp_path / "r").identity == identity


def test_a_header_that_was_lost_between_runs_is_made_of_the_rows(tmp_path):
    rolled_back(tmp_path / "r").close()
    (tmp_path / "r" / "record.json").unlink()
    with pytest.raises(RecordError, match="there is no record at"):
        Record(tmp_path / "r")
    again = Record(tmp_path / "r", create=True)
    assert (again.run, again.header["schema"]) == ("r", 4)
    assert again.series(layer="l").values.tolist() == [0, 1, 2, 103, 104]


def in_a_child(work):
    """The text of the error of what is done in another process; "" where it went well."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(writing, b" ")
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read().strip()


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_second_process_is_refused_before_it_trains(image_benchmark, tmp_path):
    first, second = (Run(image_benchmark, tmp_path / "r") for _ in range(2))
    first.at(0)
    said = in_a_child(lambda: second.at(0))
    assert said.startswith("OtherRunError: process ")
    assert "is writing into" in said
    first.monitor.close()
    third = Run(image_benchmark, tmp_path / "r")
    assert in_a_child(lambda: [third.at(step) for step in (0, 2)]) == "", "the first has ended"


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_monitor_made_here_may_train_in_a_process_that_is_forked_or_unpickled(image_benchmark, tmp_path):
    """As the notebook strategies of Lightning do."""
    run = Run(image_benchmark, tmp_path / "r")
    assert in_a_child(lambda: run.at(0)) == ""
    assert run.steps() == [0]
    again = pickle.loads(pickle.dumps(Run(image_benchmark, tmp_path / "r").monitor))  # noqa: S301 - our own
    run.monitor = again
    run.at(0)
    run.at(2)
    assert run.steps() == [0, 2]
