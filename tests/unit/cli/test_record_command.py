"""`ontogeny record`: what its verbs print, and the questions that their help shows."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd
import pytest
from tests.unit.record.test_parquet_shards import make, some

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.record import Event, Score


@pytest.fixture
def folder(tmp_path):
    record = make(tmp_path / "r", some(), {80})
    record.append([Event(run="r", step=step, kind="probe", metric="seconds", value=1.0) for step in range(4)])
    record.describe("b", {"fingerprint": "f"})
    return tmp_path / "r"


def told(capsys, *arguments):
    code = main(["record", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_show_says_what_is_there(folder, tmp_path, capsys):
    short = told(capsys, "show", folder)[1]
    assert short.startswith("132 scores of 4 probes, steps 0 to 3 against b; task: loss (4).\n")
    assert not re.search("fingerprint f|identity  |bytes  |events  ", short)
    assert f"next        ontogeny report {folder}\n" in short
    code, out, _ = told(capsys, "show", folder, "--details")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines()[2:])
    assert code == 0
    assert (facts["run"], facts["scores"], facts["events"], facts["refusals"]) == ("r", "132", "4", "0")
    assert facts["probes"] == "4 probes, steps 0 to 3"
    assert facts["benchmarks"] == "b (fingerprint f)"
    assert facts["tasks"] == "loss (4)"
    lines = sum((folder / name).stat().st_size for name in ("scores.jsonl", "events.jsonl"))
    part = folder / "scores" / "part-00000.parquet"
    sizes = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) in", facts["bytes"])]
    assert sizes == [lines, part.stat().st_size]
    Record(tmp_path / "empty", create=True)
    assert "probes      none" in told(capsys, "show", tmp_path / "empty")[1]


def test_compact_moves_all_rows_once(folder, capsys):
    before = Record(folder).scores
    assert re.search(r"Moved 51 rows into .*part-00001.parquet: [\d,]+ bytes", told(capsys, "compact", folder)[1])
    assert Record(folder).scores == before
    assert told(capsys, "compact", folder)[1] == "All rows are in Parquet already.\n"


def test_best_and_query_print_and_write(folder, tmp_path, capsys):
    pytest.importorskip("duckdb")
    record = Record(folder)
    assert told(capsys, "best", folder, "--metric", "rsa")[1].split()[:5] == ["roi", "step", "layer", "value", "n"]
    code, out, _ = told(
        capsys, "best", folder, "--by", "metric", "--step", 3, "--roi", "IT", "--out", tmp_path / "b.csv"
    )
    assert (code, out) == (0, f"Wrote 2 rows to {tmp_path / 'b.csv'}.\n")
    want = record.best("layer", by=["metric"], step=3, roi="IT")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "b.csv"), want, check_dtype=False)
    told(capsys, "query", folder, "SELECT * FROM scores WHERE roi = 'V1'", "--out", tmp_path / "v.parquet")
    assert len(pd.read_parquet(tmp_path / "v.parquet")) == len(record.select(roi="V1"))
    assert told(capsys, "query", folder, "SELECT 1", "--out", tmp_path / "v.txt")[2].strip().endswith("v.txt")


def test_a_question_that_is_wrong_is_one_clear_line(folder, capsys):
    pytest.importorskip("duckdb")
    code, _, err = told(capsys, "best", folder)
    assert code == 2
    assert "choose metric from ['cka', 'rsa'], or group by it" in err


REACHING = [
    "COPY scores TO 'there.csv'",
    "COPY (SELECT 1) TO '{part}'",
    "ATTACH 'there.db'",
    "CREATE TABLE mine AS SELECT 1",
    "INSTALL httpfs",
    "SET enable_external_access = true",
    "EXPORT DATABASE 'there'",
    "DROP VIEW scores",
    "SELECT 1; SELECT 2",
    "",
]
READING = [
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM sys",
    "SELECT count(*) FROM scores, read_parquet('{outside}')",
]


@pytest.mark.parametrize("sql", REACHING + READING)
def test_a_question_reaches_nothing_but_the_record(folder, tmp_path, capsys, monkeypatch, sql):
    pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "outside.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(outside)
    part = folder / "scores" / "part-00000.parquet"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = told(capsys, "query", folder, sql.format(outside=outside, part=part))
    assert (code, out) == (2, "")
    assert ("is one SELECT, got" if sql in REACHING else "query failed") in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_question_may_read_and_write_files_when_it_is_asked_to(folder, tmp_path, capsys):
    pytest.importorskip("duckdb")
    assert told(capsys, "query", folder, f"COPY scores TO '{tmp_path}/there.csv'", "--files")[0] == 0
    assert len(pd.read_csv(tmp_path / "there.csv")) == 132
    assert "132" in told(capsys, "query", folder, f"SELECT count(*) FROM '{tmp_path}/there.csv'", "--files")[1]


def test_names_in_a_record_are_no_commands_to_the_terminal(tmp_path, capsys):
    pytest.importorskip("duckdb")
    odd = "IT\x1b[2J\x1b]0;title\x07\r\x9b31m\u202e\x00"
    record = Record(tmp_path / "r", create=True, run=f"run {odd}\nprobes      9")
    record.append([Score(run="r", step=0, kind="alignment", roi=odd, layer=odd, metric=odd, value=0.5)])
    record.append([Score(run="r", step=0, kind="task", metric=odd, value=0.5)])
    record.describe(odd, {"fingerprint": odd})
    printed = [
        told(capsys, "show", tmp_path / "r"),
        told(capsys, "best", tmp_path / "r"),
        told(capsys, "query", tmp_path / "r", "SELECT roi, layer FROM scores"),
        told(capsys, "best", tmp_path / "r", "--metric", odd, "--of", odd),
    ]
    for _, out, err in printed:
        assert {c for c in out + err if unicodedata.category(c) in ("Cc", "Cf")} <= {"\n"}
    assert printed[0][1].count("\nprobes ") == 1
    assert "IT?[2J" in printed[2][1]


@pytest.mark.parametrize("verb", ["show", "best", "query", "compact", ""])
def test_the_examples_of_the_help_run(folder, capsys, verb):
    """Every SQL statement that the help shows is one that the record answers."""
    pytest.importorskip("duckdb")
    text = told(capsys, *filter(None, [verb, "--help"]))[1]
    assert "ontogeny record" in text
    for sql in re.findall(r'"(SELECT [^"]*)"', text):
        assert told(capsys, "query", folder, sql)[0] == 0, sql
