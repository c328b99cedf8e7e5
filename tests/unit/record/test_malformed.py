"""Reading checks what writing does: what is no record is refused by file and line; no traceback, no wrong number."""

from __future__ import annotations

import json
import math
import random
import warnings

import pyarrow as pa
import pytest

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import RecordError
from ontogeny.record import Score
from ontogeny.record.row import check, to_row
from ontogeny.record.score import COLUMNS, COUNTS, NUMBERS, TEXT

pytestmark = pytest.mark.usefixtures("unchecked")

GOOD = Score(run="r", step=3, kind="alignment", roi="IT", layer="l", metric="m", value=0.25, chance=0.0, n_stimuli=9)
DEEP = "[" * 100_000 + "]" * 100_000
WRONG_TEXT = ("true", "1", "null", '["r"]', '{"r": 1}', '"\\ud800"', "NaN", DEEP)
WRONG_COUNT = ("true", "1.9", "1.0", '"1"', "[1]", "null", "NaN", str(2**63), "1" * 5000, "1e3", DEEP)
WRONG_NUMBER = ("true", '"1"', "[1]", "{}", "NaN", "Infinity", "-Infinity", "1e999", "1" * 400, DEEP)
WRONG = {
    **dict.fromkeys(TEXT, WRONG_TEXT),
    **dict.fromkeys(COUNTS, WRONG_COUNT),
    **dict.fromkeys(NUMBERS, WRONG_NUMBER),
}
LINES = [
    *(
        "",
        "null",
        "true",
        "1",
        "[1]",
        '"r"',
        "{}",
        '{"a": 1}',
        "{",
        "}",
        "NaN",
        DEEP,
        '{"run": "r", "step": 1, "kind": "task"',
    ),
    *(
        '{"run": "r", "step": 1, "step": 2, "kind": "task"}',
        "\x00",
        "{'run': 'r'}",
        '{"run": "r", "step": 1, "kind": "odd"}',
    ),
]


def text(**fields):
    """The good row as JSON, with some fields as they are spelt here."""
    spelt = {name: json.dumps(value) for name, value in to_row(GOOD).items()} | fields
    return "{" + ", ".join(f'"{name}": {value}' for name, value in spelt.items()) + "}"


def opened(folder, line):
    Record(folder, create=True, run="r")
    lines = [text(step="1"), line if isinstance(line, bytes) else line.encode(), text(step="2")]
    data = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in lines) + b"\n"
    (folder / "scores.jsonl").write_bytes(data)
    return Record(folder)


def test_rows_that_were_lost_beside_their_header_are_missed(tmp_path, capsys):
    record = Record(tmp_path / "r", create=True, run="r")
    assert len(Record(tmp_path / "r")) == 0, "of no rows yet the file is there, and empty"
    record.append([GOOD])
    record.close()
    lines = tmp_path / "r" / "scores.jsonl"
    rows = lines.read_bytes()
    lines.unlink()
    for create in (False, True):
        with pytest.raises(RecordError, match=r"r/scores.jsonl is missing, which has the rows .* restore the file"):
            Record(tmp_path / "r", create=create)
    assert main(["lag", str(tmp_path / "r"), "--roi", "IT"]) == 2
    assert "scores.jsonl is missing" in capsys.readouterr().err
    assert not lines.exists(), "opening changes nothing on disk"
    lines.write_bytes(b"")
    assert len(Record(tmp_path / "r")) == 0, "as the message says"
    lines.write_bytes(rows)
    assert Record(tmp_path / "r").scores == (GOOD,)


def test_rows_missing_in_a_record_that_made_their_file_late_are_a_warning_until_it_is_written_to(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    header = {"schema": 1, "run": "r", "benchmarks": {}, "versions": {}}
    (folder / "record.json").write_text(json.dumps(header))
    assert len(Record(folder)) == 0
    header["benchmarks"] = {"b": {"fingerprint": "f"}}
    (folder / "record.json").write_text(json.dumps(header))
    with pytest.warns(UserWarning, match=r"r/scores.jsonl is missing: no probe was written yet, or the file was lost"):
        record = Record(folder)
    record.append([GOOD])
    record.note("versions", {})
    record.close()
    (folder / "scores.jsonl").unlink()
    with pytest.raises(RecordError, match="scores.jsonl is missing, which has the rows"):
        Record(folder)


@pytest.mark.parametrize("name", ["scores.jsonl", "scores/parts.json"])
def test_a_folder_in_the_place_of_a_file_is_refused_by_its_name(tmp_path, name):
    Record(tmp_path / "r", create=True, run="r").close()
    (tmp_path / "r" / name).unlink(missing_ok=True)
    (tmp_path / "r" / name).mkdir(parents=True)
    with pytest.raises(RecordError, match=rf"r/{name} cannot be read \(.*; restore the file from a copy"):
        Record(tmp_path / "r")
    (tmp_path / "r" / "record.json").unlink()
    with pytest.raises(RecordError, match=rf"r/{name} cannot be read"):
        Record(tmp_path / "r", create=True)


def test_a_good_line_is_read(tmp_path):
    record = opened(tmp_path / "r", text())
    assert record.scores[1] == GOOD
    assert opened(tmp_path / "r", text(value="7", newer='"of a later version"')).scores[1].value == 7


@pytest.mark.parametrize("name", COLUMNS)
def test_a_field_of_another_type_is_refused_with_file_line_and_name(tmp_path, name):
    for spelt in WRONG[name]:
        with pytest.raises(RecordError, match=r"scores.jsonl, line 2\b") as said:
            opened(tmp_path / "r", text(**{name: spelt}))
        assert "restore the file from a copy" in str(said.value)
        assert len(str(said.value)) < 500, "no line is longer than what can be read"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:30])
def test_a_line_that_is_no_row_is_refused_with_its_number(tmp_path, line):
    with pytest.raises(RecordError, match=r"scores.jsonl, line 2\b"):
        opened(tmp_path / "r", line)


@pytest.mark.parametrize(
    "line", [b"\xff\xfe{\x00}\x00", text().encode("utf-16"), text(layer='"\xff"').encode("latin-1")]
)
def test_bytes_that_are_not_utf_8_are_refused(tmp_path, line):
    with pytest.raises(RecordError, match=r"scores.jsonl, line [23] is not JSON"):
        opened(tmp_path / "r", line)


def test_mutated_lines_are_rows_as_writing_would_take_them_or_refused(tmp_path):
    """Bytes changed, taken out, doubled and swapped at random: what is read could have been written."""
    Record(tmp_path / "r", create=True, run="r")
    rng, whole = random.Random(0), [text(step=str(step)).encode() for step in range(4)]
    refused = 0
    for _ in range(800):
        data = bytearray(b"\n".join(whole) + b"\n")
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            kind = rng.randrange(4)
            if kind == 0:
                data[at] = rng.choice(b'0123456789.eE+-"{}[]:,\\ntrufals \x00\x1b\xc3\xff')
            elif kind == 1:
                del data[at : at + rng.randint(1, 9)]
            elif kind == 2:
                data[at:at] = data[at : at + rng.randint(1, 20)]
            else:
                data[at:at] = rng.choice([b"NaN", b"1e999", b"[", b'"', b"-", b"null", b"9" * 30])
            data = data or bytearray(b"\n")
        refused += not reads_only_what_can_be_written(tmp_path / "r", bytes(data))
    assert refused > 300


def reads_only_what_can_be_written(folder, data):
    (folder / "scores.jsonl").write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*dropped a torn last line")
            scores = Record(folder).scores
    except RecordError as error:
        return "scores.jsonl, line" not in str(error)
    for score in scores:
        check(score)
        assert all(v is None or math.isfinite(v) for v in (getattr(score, name) for name in NUMBERS))
    return True


@pytest.mark.parametrize(
    "header",
    [
        *('{"schema": true, "run": "r"}', '{"schema": 1.0, "run": "r"}', '{"schema": 1}', '{"schema": 1, "run": 3}'),
        *('{"schema": 1, "schema": 1, "run": "r"}', '{"schema": NaN, "run": "r"}', DEEP, "", "null", "\x00", '"r"'),
        *('{"schema": 1, "run": "r", "benchmarks": []}', '{"schema": 1, "run": "r", "benchmarks": {"b": 1}}'),
        *('{"schema": 1, "run": "r", "benchmarks": {"b": {}}}', '{"schema": 1, "run": "r", "versions": 1}'),
        '{"schema": 1, "run": "r", "identity": 7}',
    ],
    ids=lambda text: text[:50],
)
def test_a_header_that_is_none_is_refused_by_name(tmp_path, header):
    (tmp_path / "record.json").write_text(header)
    with pytest.raises(RecordError, match=r"record\.json"):
        Record(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["parts"][0].update(file="../../elsewhere.parquet"),
        lambda m: m["parts"][0].update(file="/etc/passwd"),
        lambda m: m["parts"][0].update(file=3),
        lambda m: m["parts"][0].update(rows="3"),
        lambda m: m["parts"][0].update(size=True),
        lambda m: m["parts"][0].update(steps=[0]),
        lambda m: m["parts"][0].update(steps=["0", 1]),
        lambda m: m["parts"][0].pop("rows"),
        lambda m: m["taken"].update(size=-1),
        lambda m: m["taken"].update(sha256=0),
        lambda m: m.update(taken=[]),
        lambda m: m.update(parts={"a": 1}),
        lambda m: m.update(parts=[[]]),
        lambda m: m.clear(),
    ],
)
def test_a_list_of_parts_that_is_none_is_refused(tmp_path, change):
    record = Record(tmp_path / "r", create=True, run="r")
    record.append([GOOD])
    record.compact()
    path = tmp_path / "r" / "scores" / "parts.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(RecordError, match=r"parts\.json is not a list of parts"):
        Record(tmp_path / "r")


@pytest.mark.parametrize("field", ["note", "layer"])
def test_what_cannot_be_read_again_is_not_written(tmp_path, field):
    record = Record(tmp_path / "r", create=True, run="r")
    for wrong, name in (("\ud800", field), (2**63, "n_voxels"), (True, "step"), ("x", "value"), ("odd", "kind")):
        known = {**to_row(GOOD), name: wrong}
        with pytest.raises(RecordError, match=f"{name} of a score is"):
            record.append([Score(**known)])
    assert len(record) == 0


def test_a_step_before_the_first_is_not_written(tmp_path):
    record = Record(tmp_path / "r", create=True)
    with pytest.raises(RecordError, match="step is the number of optimizer updates done, 0 or more, got -5"):
        record.append([Score(run="r", step=-5, kind="task", metric="loss", value=1.0)])
    table = pa.table({"run": ["r", "r"], "step": [0, -5], "kind": ["task", "task"]})
    with pytest.raises(RecordError, match="0 or more; the table has -5"):
        record.append_table(table)
    assert len(record) == 0


def test_a_folder_that_is_gone_is_named_as_what_is_wrong(tmp_path):
    record = Record(tmp_path / "r", create=True)
    row = Score(run="r", step=0, kind="task", metric="loss", value=1.0)
    (tmp_path / "r").rename(tmp_path / "moved")
    with pytest.raises(RecordError, match=f"the folder {tmp_path / 'r'} is gone: it was moved or deleted meanwhile"):
        record.append([row])
    (tmp_path / "moved").rename(tmp_path / "r")
    assert record.append([row]) == [row]
