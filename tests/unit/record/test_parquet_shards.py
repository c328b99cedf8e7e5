"""A record whose rows lie in Parquet parts answers as one whose rows are JSON lines."""

from __future__ import annotations

import itertools
import json
import math
import resource
import signal
import struct
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import Record
from ontogeny.errors import MissingExtraError, RecordError
from ontogeny.record import Score
from ontogeny.record import record as record_module
from ontogeny.record._storage.parquet_shards import ParquetShards
from ontogeny.record.score import COLUMNS, COUNTS, KEY, NUMBERS

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["", "a", "ä", 'a\n"b', "V1"])
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**62)
kinds = st.sampled_from(["alignment", "baseline", "control", "task", "confound"])
anything = st.builds(
    Score,
    run=texts,
    step=st.integers(0, 5) | counts,
    kind=kinds,
    **dict.fromkeys([n for n in COLUMNS if n not in {"run", "step", "kind", *COUNTS, *NUMBERS}], texts),
    **dict.fromkeys([n for n in COUNTS if n != "step"], counts),
    **dict.fromkeys(NUMBERS, numbers),
)


def bits(score):
    """Every field, floats by their bits."""
    values = (getattr(score, f.name) for f in fields(Score))
    return [struct.pack("<d", v) if isinstance(v, float) else v for v in values]


def make(folder, rows, cuts=(), table=False):
    """A record of these rows, moved into a part after each of the cuts."""
    record, rows = Record(folder, create=True, run="r"), list(rows)
    ends = [-1, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    for before, end in itertools.pairwise(ends):
        record.append(rows[before + 1 : end + 1])
        if end < len(rows):
            record.compact()
    return Record(folder)


def some(steps=4, subjects=2, layers=3):
    """A little run: layers of two regions, its task; in no sorted order."""
    rng = np.random.default_rng(0)
    for step in range(steps):
        for kind, layer in [("alignment", f"l{9 - i}") for i in range(layers)] + [("control", "random features")]:
            for roi in ("V1", "IT"):
                for who in range(subjects):
                    for metric in ("rsa", "cka"):
                        about = {"benchmark": "b", "fingerprint": "f", "subject": f"s{who}", "metric": metric}
                        value = None if rng.random() < 0.1 else rng.random()
                        yield Score(run="r", step=step, kind=kind, roi=roi, layer=layer, value=value, **about)
        yield Score(run="r", step=step, kind="task", metric="loss", value=rng.random(), unit="nats")


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(anything, max_size=12), cuts=st.sets(st.integers(0, 11)))
def test_every_field_comes_back_bit_for_bit_in_the_order_of_writing(tmp_path_factory, rows, cuts):
    plain = make(tmp_path_factory.mktemp("r") / "r", rows)
    moved = make(tmp_path_factory.mktemp("r") / "r", rows, cuts)
    assert [bits(s) for s in moved.scores] == [bits(s) for s in plain.scores]
    assert len(moved) == len(plain.scores) == len({s.key for s in rows})
    pd.testing.assert_frame_equal(moved.to_pandas(), plain.to_pandas())


@pytest.mark.parametrize("note", ["", "x" * 100_000, "ünïcode \U0001f9e0 \x00 \r\n \"'"])
@pytest.mark.parametrize("value", [0.1, -0.0, 5e-324, 1.7976931348623157e308, None, math.nan, math.inf])
def test_odd_values_and_long_notes(tmp_path, note, value):
    odd = Score(run="r", step=2**62, kind="alignment", value=value, chance=-0.0, note=note)
    plain, moved = make(tmp_path / "a", [odd]), make(tmp_path / "b", [odd], {0})
    assert bits(moved.scores[0]) == bits(plain.scores[0])
    assert moved.to_parquet(tmp_path / "b.parquet").stat().st_size > 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "b.parquet"), plain.to_pandas())


QUESTIONS = [
    {},
    {"kind": "task", "step": 2},
    {"kind": "control", "layer": "random features"},
    {"roi": "IT", "layer": "l8", "metric": "rsa"},
    {"step": 3},
    {"step": 3.0},
    {"step": "3"},
    {"step": True},
    {"step": 2**80},
    {"step": np.int64(1)},
    {"value": None},
    {"value": math.nan},
    {"chance": None, "kind": "task"},
    {"unit": "nats"},
    {"roi": "nowhere"},
    {"roi": 3},
    {"roi": ["IT", "nowhere"]},
    {"roi": [], "step": 3},
    {"step": (2, 3), "kind": ["task", "alignment"]},
    {"kind": ["task", "confound"]},
    {"roi": ["IT", 3]},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_selecting_from_parts_is_selecting_from_lines(tmp_path, question):
    plain, moved = make(tmp_path / "a", some()), make(tmp_path / "b", some(), {20, 25, 80})
    assert moved.select(**question) == plain.select(**question)
    assert len(list((tmp_path / "b" / "scores").glob("*.parquet"))) == 3


def test_series_and_hints_and_get_are_the_same(tmp_path):
    plain, moved = make(tmp_path / "a", some()), make(tmp_path / "b", some(), {20, 25, 80})
    for columns in ({"roi": "IT", "layer": "l8", "metric": "rsa"}, {"kind": "task"}):
        a, b = plain.series(**columns), moved.series(**columns)
        assert (a.name, a.steps.tolist(), a.values.tolist()) == (b.name, b.steps.tolist(), b.values.tolist())
    with pytest.raises(RecordError, match="roi: Did you mean 'V1'"):
        moved.series(roi="V2")
    for score in plain.scores:
        assert moved.get(score.key) == score
        assert moved.get(replace(score, step=77).key) is None
    assert moved.get(("r", "a step", *[""] * 8)) is None


def test_a_key_is_written_once_wherever_its_row_lies(tmp_path):
    rows = list(some())
    record = make(tmp_path / "r", rows, {20, 25, 80})
    late = replace(rows[3], layer="late")
    again = [replace(s, value=0.0) for s in rows]
    assert record.append([*again, late, late]) == [late]
    assert list(record.scores) == [*rows, late]
    assert record.append(again) == []
    assert record.compact() == len(rows) - 81 + 1
    assert record.compact() == 0
    assert list(Record(tmp_path / "r").scores) == [*rows, late]


def test_many_lines_become_a_part_by_themselves_and_small_records_stay_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(record_module, "MOST_LINES", 50)
    rows = list(some())
    record = Record(tmp_path / "r", create=True)
    for step in range(4):
        assert len(record.append([s for s in rows if s.step == step])) == 33
    assert [p.name for p in sorted((tmp_path / "r" / "scores").iterdir())] == [
        "part-00000.parquet",
        "part-00001.parquet",
        "parts.json",
    ]
    assert (tmp_path / "r" / "scores.jsonl").read_bytes() == b""
    assert list(record.scores) == list(Record(tmp_path / "r").scores) == rows
    assert json.loads((tmp_path / "r" / "record.json").read_text())["schema"] == 4
    small = Record(tmp_path / "s", create=True)
    small.append(rows[:50])
    assert not (tmp_path / "s" / "scores").exists()
    assert json.loads((tmp_path / "s" / "record.json").read_text())["schema"] == 4


def as_table(rows):
    """Columns as a scorer would make them: text coded, with a word twice; what is a default left out."""
    table = pa.table({name: pa.array([getattr(s, name) for s in rows]) for name in COLUMNS if name != "source"})
    position = table.column_names.index("layer")
    words = pa.array(["l9", "l8", "l9", "l7", "random features", "", "late"])
    found = [
        words.to_pylist().index(s.layer) if i % 2 else 6 - words.to_pylist()[::-1].index(s.layer)
        for i, s in enumerate(rows)
    ]
    return table.set_column(position, "layer", pa.DictionaryArray.from_arrays(pa.array(found, pa.int8()), words))


@pytest.mark.parametrize("most", [0, 60, 1000])
def test_a_table_is_appended_as_its_scores_are(tmp_path, monkeypatch, most):
    monkeypatch.setattr(record_module, "MOST_LINES", most)
    rows = list(some())
    odd = [replace(rows[1], layer="late", value=v, subject=str(v)) for v in (math.nan, -math.inf, 0.5)]
    by_rows = Record(tmp_path / "a", create=True)
    by_table = Record(tmp_path / "b", create=True)
    for batch in (rows[:30], rows[20:50], [*rows[40:], *odd, *rows[100:]], rows):
        assert by_table.append_table(as_table(batch)) == len(by_rows.append(batch))
    want = [bits(s) for s in Record(tmp_path / "a").scores]
    assert [bits(s) for s in Record(tmp_path / "b").scores] == want
    assert len(want) == len(rows) + 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lair": ["x"]}, "a score has no column 'lair'. Did you mean 'layer'"),
        ({"step": None}, "the table lacks the column 'step'; it has"),
        ({"step": ["three"]}, "column 'step' is a whole number; the table's is string"),
        ({"value": ["high"]}, "column 'value' is a number; the table's is string"),
        ({"layer": pa.array([None], pa.string())}, "column 'layer' is text; 1 of 1 rows have none"),
        ({"step": [1.5]}, "column 'step' is a whole number; the table's is double"),
        ({"layer": pa.array([{"a": 1}])}, "column 'layer' is text; the table's is struct"),
    ],
)
def test_a_table_that_holds_no_scores_is_named(tmp_path, change, message):
    record = Record(tmp_path / "r", create=True)
    columns = {"run": ["r"], "step": [0], "kind": ["alignment"], **change}
    table = pa.table({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(RecordError, match=message):
        record.append_table(table)


def test_keys_of_more_values_than_a_number_holds(tmp_path, monkeypatch):
    """Columns of which each row has its own value: the codes of a key outgrow 64 bits and are made anew."""
    monkeypatch.setattr(record_module, "MOST_LINES", 0)
    rows = [
        Score(**{"step": i, "kind": "task", **{n: f"{n}{i}" for n in KEY if n not in ("step", "kind")}})
        for i in range(3000)
    ]
    record = Record(tmp_path / "r", create=True)
    assert record.append_table(pa.table({n: [getattr(s, n) for s in rows * 2] for n in KEY})) == 3000
    assert list(record.scores) == rows


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("subject", 3, r"subject of a score is text, got 3 \(int\)"),
        ("n_voxels", 0.5, r"n_voxels of a score is a whole number, got 0.5"),
        ("value", "high", r"value of a score is a number or None, got 'high'"),
        ("value", True, r"value of a score is a number or None, got True"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_at_the_door(tmp_path, field, value, message):
    record = Record(tmp_path / "r", create=True)
    score = next(some())
    object.__setattr__(score, field, value)
    with pytest.raises(RecordError, match=message):
        record.append([score])
    assert record.scores == ()


def test_lines_of_the_wrong_type_stay_lines(tmp_path):
    record = make(tmp_path / "r", some())
    before = (tmp_path / "r" / "scores.jsonl").read_bytes()
    object.__setattr__(record.scores[0], "step", "0")
    with pytest.raises(RecordError, match="column 'step' is a whole number; one of 132 rows has something else"):
        record.compact()
    assert (tmp_path / "r" / "scores.jsonl").read_bytes() == before


def test_parts_that_are_damaged_are_named(tmp_path):
    make(tmp_path / "r", some(), {20})
    part, manifest = tmp_path / "r" / "scores" / "part-00000.parquet", tmp_path / "r" / "scores" / "parts.json"
    whole, said = part.read_bytes(), manifest.read_text()
    part.write_bytes(whole[:-1])
    with pytest.raises(RecordError, match=r"part-00000.parquet has \d+ bytes, \d+ were written; restore"):
        Record(tmp_path / "r")
    part.write_bytes(b"x" * len(whole))
    with pytest.raises(RecordError, match="part-00000.parquet cannot be read"):
        _ = Record(tmp_path / "r").scores
    part.unlink()
    with pytest.raises(RecordError, match="part-00000.parquet has 0 bytes"):
        Record(tmp_path / "r")
    part.write_bytes(whole)
    for broken in (said[:50], "[]", "{}"):
        manifest.write_text(broken)
        with pytest.raises(RecordError, match="parts.json is not a list of parts"):
            Record(tmp_path / "r")


def test_without_pyarrow_lines_go_on_and_parts_say_what_to_install(tmp_path, monkeypatch):
    make(tmp_path / "parts", some(), {20})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(record_module, "MOST_LINES", 5)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    record = make(tmp_path / "lines", some())
    assert len(record.scores) == 132
    assert record.series(kind="task").steps.tolist() == [0, 1, 2, 3]
    for work in (lambda: Record(tmp_path / "parts"), record.compact, lambda: record.query("SELECT 1")):
        with pytest.raises(MissingExtraError, match=r"needs 'pyarrow'.*pip install '\.\[tables\]'"):
            work()
    assert len(Record(tmp_path / "lines").scores) == 132


def test_another_process_that_made_a_part_is_noticed(tmp_path):
    first = make(tmp_path / "r", some())
    second = Record(tmp_path / "r")
    assert second.compact() == 132
    for work in (first.compact, lambda: first.append([Score(run="r", step=9, kind="task")])):
        with pytest.raises(RecordError, match="has parts that another process wrote since it was opened"):
            work()
    assert len(Record(tmp_path / "r").scores) == 132
    assert len(first.scores) == 132, "what it had read is still true"


def test_a_reader_that_comes_while_rows_move_has_all(tmp_path, monkeypatch):
    """It has read which parts there are, and not yet the lines, when another process moves these into a part."""
    rows = list(some())
    make(tmp_path / "r", rows)
    writer, read = Record(tmp_path / "r"), Path.read_bytes

    def read_late(path):
        monkeypatch.undo()
        assert writer.compact() == len(rows)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_late)
    assert list(Record(tmp_path / "r").scores) == rows
    monkeypatch.setattr(ParquetShards, "is_current", lambda self: False)
    with pytest.raises(RecordError, match="r changes faster than it can be read: another process moves rows there"):
        Record(tmp_path / "r")


@pytest.mark.parametrize("room", [10, 3000, 9000])
def test_a_full_disk_leaves_the_record_as_it_was(tmp_path, monkeypatch, room):
    """A real write limit (RLIMIT_FSIZE): neither the part nor what it was made of is lost, and the run goes on."""
    monkeypatch.setattr(record_module, "MOST_LINES", 50)
    rows = list(some())
    record = Record(tmp_path / "r", create=True)
    record.append(rows[:35])
    before = {p: p.read_bytes() for p in (tmp_path / "r").rglob("*") if p.is_file() and p.name != "record.json"}
    previous, limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        with pytest.raises(RecordError, match="cannot write .*free some disk space or choose another folder"):
            record.append(rows[35:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    after = {p: p.read_bytes() for p in (tmp_path / "r").rglob("*") if p.is_file() and p.name != "record.json"}
    assert after == before
    assert list(Record(tmp_path / "r").scores) == list(record.scores) == rows[:35]
    assert record.append(rows) == rows[35:]
    assert list(Record(tmp_path / "r").scores) == rows
