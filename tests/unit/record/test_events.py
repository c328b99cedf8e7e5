"""Events are not scores: their own file and type, as safe as scores; records of an older ontogeny have them too."""

from __future__ import annotations

import json
import math
import resource
import shutil
import signal
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import RecordError
from ontogeny.lag import compare
from ontogeny.record import Event, Score
from ontogeny.record.event import EVENT_COLUMNS, EVENT_KINDS, refusal_of
from ontogeny.record.row import from_row, to_row
from ontogeny.report.run_data import RunFacts

OLD = Path(__file__).with_name("old_records")
SEEN = json.loads((OLD / "seen.json").read_text())  # what the ontogeny that wrote them read from them


def score(step, value=0.5, layer="l", **other):
    about = {"kind": "alignment", "roi": "IT", "metric": "m", **other}
    return Score(run="r", step=step, layer=layer, value=float(value), unit="u", **about)


def probe(step, weights="w"):
    return [score(step), score(step, layer="k"), Event(run="r", step=step, kind="probe", metric="seconds", value=1.0)]


def as_events(rows):
    return [Event(**{name: row[name] for name in EVENT_COLUMNS if name in row}) for row in rows]


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "old")


@pytest.mark.parametrize("name", SEEN)
def test_an_older_record_has_the_same_scores_and_its_event_rows_are_events(old, name):
    before = {path: path.read_bytes() for path in (old / name).rglob("*") if path.is_file()}
    record, want = Record(old / name), SEEN[name]
    assert len(want["scores"]) >= 18
    assert len(want["events"]) >= 20
    assert record.header["schema"] == want["schema"]
    assert record.rows() == want["scores"]
    assert len(record) == len(want["scores"])
    assert record.to_pandas().value.tolist() == [row["value"] for row in want["scores"]]
    assert record.events() == as_events(want["events"])
    assert {event.kind for event in record.events()} == {row["kind"] for row in want["events"]}
    behind = [row for branch in record.branches for row in record.left_behind(branch)]
    assert sorted((row.kind, row.step, row.layer) for row in behind) == sorted(map(tuple, want["left"]))
    assert [record.get(event.key) for event in record.events()] == record.events()
    assert {path: path.read_bytes() for path in (old / name).rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("moved", [False, True], ids=["as it is", "compacted"])
@pytest.mark.parametrize("name", SEEN)
def test_an_older_record_goes_on_and_is_rolled_back(old, name, moved):
    record, want = Record(old / name), SEEN[name]
    if moved:
        assert record.compact() > 0
    known = as_events(want["events"])
    assert record.append([*record.scores, *known]) == [], "each row is there, wherever it lies"
    assert record.append(probe(20)) == probe(20)
    before = record.written
    record.append(probe(22))
    record.append([Event(run="r", step=22, kind="cost", metric="left out")])
    record.leave_behind(20, before=record.written, note="again")
    record.leave_behind(-1, before=before, note="all")
    assert record.append(probe(20)) == probe(20)
    for again in (record, Record(old / name)):
        assert again.header["schema"] == 4
        assert list(again.scores) == probe(20)[:2]
        kept = [event for event in again.events() if event.kind != "branch"]
        assert kept == probe(20)[2:]
        first, second = again.branches[-2:]
        assert again.left_behind(first) == [*probe(22), Event(run="r", step=22, kind="cost", metric="left out")]
        events = [event for event in known if event.kind != "branch"]
        scores = [from_row(row) for row in want["scores"]]
        assert again.left_behind(second) == [*scores, *probe(20)[:2], *events, *probe(20)[2:]]


def test_scores_and_events_lie_in_files_of_their_own(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    made = [Event(run="r", step=0, kind="cost", metric="share"), *probe(0)]
    assert record.append(made) == made
    kinds = {
        name: [json.loads(line)["kind"] for line in (tmp_path / "r" / name).read_text().splitlines()] for name in FILES
    }
    assert kinds == {"scores.jsonl": ["alignment"] * 2, "events.jsonl": ["cost", "probe"]}
    assert record.compact() == 2
    again = Record(tmp_path / "r")
    assert (list(again.scores), again.events()) == (probe(0)[:2], [made[0], probe(0)[2]])
    assert again.append([*made, *made]) == []
    assert len(again) == 2
    assert again.written == (2, 2)
    assert again.events(kind="probe", step=[0, 1]) == probe(0)[2:]
    assert again.select() == probe(0)[:2]
    with pytest.raises(RecordError, match="a record has no column 'ceiling'"):
        again.events(ceiling=0.5)


FILES = ("scores.jsonl", "events.jsonl")


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 6000))
def test_killed_at_any_byte_of_either_file_a_closed_probe_has_all_its_scores(tmp_path_factory, cut):
    """The bytes in the order in which they reach the disk: of each probe first its scores, then its events."""
    folder = tmp_path_factory.mktemp("record")
    record, order = Record(folder, create=True, run="r"), []
    for step in range(4):
        before = files_of(folder)
        record.append([*probe(step)[:2], Event(run="r", step=step, kind="refusal", note='ö"\n'), *probe(step)[2:]])
        after = files_of(folder)
        order += [(name, bytes([byte])) for name in FILES for byte in after[name][len(before[name]) :]]
    kept = {name: b"".join(byte for at, byte in order[:cut] if at == name) for name in FILES}
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*dropped a torn last line")
        again = Record(folder)
    for event in again.events(kind="probe"):
        assert again.select(step=event.step) == probe(event.step)[:2]
        assert len(again.events(step=event.step)) == 2
    assert [len(again), len(again.events())] == [kept[name].count(b"\n") for name in FILES]
    for step in range(4):
        again.append([*probe(step)[:2], Event(run="r", step=step, kind="refusal", note='ö"\n'), *probe(step)[2:]])
    assert files_of(folder) == files_of(record.folder) == {n: b"".join(b for at, b in order if at == n) for n in FILES}
    shutil.rmtree(folder)


@pytest.mark.parametrize("moves", [False, True], ids=["lines", "a part"])
def test_where_the_events_do_not_fit_on_the_disk_the_scores_are_written_again(tmp_path, monkeypatch, moves):
    """A real write limit (RLIMIT_FSIZE), met by a long note of an event."""
    monkeypatch.setattr("ontogeny.record.record.MOST_LINES", 3 if moves else 100)
    record = Record(tmp_path / "r", create=True, run="r")
    record.append(probe(0))
    before = files_of(tmp_path / "r")
    late = [*probe(1)[:2], Event(run="r", step=1, kind="refusal", note="x" * 100_000), *probe(1)[2:]]
    previous, limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(RecordError, match=r"cannot write .*events.jsonl.*free some disk space"):
            record.append(late)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert files_of(tmp_path / "r")["events.jsonl"] == before["events.jsonl"]
    if not moves:
        assert files_of(tmp_path / "r") == before
    for again in (record, Record(tmp_path / "r")):
        assert [event.step for event in again.events(kind="probe")] == [0], "the probe is not finished"
    record.append(late)
    again = Record(tmp_path / "r")
    assert list(again.scores) == [*probe(0)[:2], *probe(1)[:2]]
    assert again.events() == [*probe(0)[2:], *late[2:]]


def test_a_second_process_that_wrote_an_event_is_noticed(tmp_path):
    first = Record(tmp_path / "r", create=True, run="r")
    second = Record(tmp_path / "r")
    first.append(probe(0)[2:])
    with pytest.raises(RecordError, match="events.jsonl has .* another process wrote there since it was opened"):
        second.append(probe(1))
    assert Record(tmp_path / "r").scores == ()


@pytest.mark.usefixtures("unchecked")
def test_an_event_is_no_score_and_a_score_no_event(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    with pytest.raises(
        RecordError, match="kind of a score is one of alignment, .*, got 'probe'; 'probe' is the kind of"
    ):
        record.append([Score(run="r", step=0, kind="probe")])
    with pytest.raises(
        RecordError, match="kind of an event is one of probe, refusal, cost, checkpoint, branch, progress, got 'ta"
    ):
        record.append([Event(run="r", step=0, kind="task")])
    with pytest.raises(RecordError, match="n_events of an event is a whole number, got 0.5"):
        record.append([Event(run="r", step=0, kind="branch", n_events=0.5)])
    with pytest.raises(RecordError, match=r"an event of kind 'branch' says how many rows .* got -1.0"):
        record.append([Event(run="r", step=0, kind="branch", value=-1.0)])
    (tmp_path / "r" / "events.jsonl").write_text(json.dumps(to_row(score(0))) + "\n")
    with pytest.raises(
        RecordError, match="events.jsonl, line 1: kind 'alignment' is not of an event; restore the file"
    ):
        Record(tmp_path / "r")
    (tmp_path / "r" / "events.jsonl").unlink()
    with pytest.raises(RecordError, match="events.jsonl is missing, which has the rows of this record"):
        Record(tmp_path / "r")


def test_a_refusal_is_what_would_have_been_the_score():
    blank = Score(run="r", step=3, kind="alignment", benchmark="b", layer="l", metric="m", unit="u", weights="w")
    assert refusal_of(blank, "NaN") == Event(
        run="r", step=3, kind="refusal", benchmark="b", layer="l", metric="m", unit="u", weights="w", note="NaN"
    )


def test_a_number_that_is_not_finite_is_none_with_a_note(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    record.append([Event(run="r", step=0, kind="cost", metric="share of wall time", value=math.inf)])
    (event,) = Record(tmp_path / "r").events()
    assert (event.value, event.note) == (None, "value was inf")


def test_sql_has_a_table_of_events_and_none_among_the_scores(old):
    pytest.importorskip("duckdb")
    for name, want in SEEN.items():
        record = Record(old / name)
        record.append([Event(run="r", step=90, kind="cost", metric="left out")])
        found = record.query("SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind")
        kinds = [row["kind"] for row in want["events"]] + ["cost"]
        assert dict(found.values.tolist()) == {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        assert record.query("SELECT count(*) AS n FROM scores").n.tolist() == [len(want["scores"])]
        assert record.query(f"SELECT count(*) AS n FROM scores WHERE kind IN {EVENT_KINDS}").n.tolist() == [0]


def test_asking_the_scores_for_events_warns_for_one_release(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    record.append([*probe(0), score(0, kind="task", metric="loss")])
    with pytest.warns(DeprecationWarning, match=r"events are no scores: ask record.events\(kind=...\)"):
        assert record.select(kind=["task", "probe"]) == [score(0, kind="task", metric="loss"), *probe(0)[2:]]
    with pytest.warns(DeprecationWarning, match=r"Record.open\(path\) is now Record\(path\)"):
        assert Record.open(tmp_path / "r").scores == record.scores


def test_show_report_and_lag_read_an_older_record(old, capsys):
    assert main(["record", "show", str(old / "branch_parts"), "--details"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[2:])
    assert {name: facts[name] for name in ("scores", "events", "refusals")} == {
        "scores": "18",
        "events": "21",
        "refusals": "6",
    }
    facts = RunFacts.of(Record(old / "branch_parts"))
    assert (len(facts.refusals), facts.seconds, facts.share, facts.left_out) == (6, (0.5,) * 6, 0.25, 0)
    assert RunFacts.of(Record(old / "parts")).left_out == 1
    leads = compare(Record(old / "parts"), roi="IT", layer="last", metric="m")
    assert (leads.n, leads.trend.testable) == (7, False)
