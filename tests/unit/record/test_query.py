"""Questions in SQL to a record, against pandas over its JSON lines."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from tests.unit.record.test_parquet_shards import make, some

from ontogeny import Record
from ontogeny.errors import MissingExtraError, RecordError
from ontogeny.record import Score
from ontogeny.record.score import COLUMNS, NUMBERS

pytest.importorskip("duckdb")


@pytest.fixture(params=[(), (20, 25, 80), (139,)], ids=["lines", "both", "parts"])
def record(request, tmp_path):
    folder = tmp_path / "a folder [with] *all?* 'sorts'"
    make(folder, some(), request.param)
    return Record(folder)


@pytest.fixture
def lines(tmp_path):
    """The oracle: the same rows, as JSON lines, read by pandas alone."""
    make(tmp_path / "plain", some())
    text = (tmp_path / "plain" / "scores.jsonl").read_text()
    return pd.DataFrame([json.loads(line) for line in text.splitlines()]).astype(dict.fromkeys(NUMBERS, float))


def test_all_rows_are_there_in_the_order_of_writing(record, lines):
    found = record.query("SELECT * FROM scores ORDER BY written")
    assert found.pop("written").tolist() == list(range(len(lines)))
    assert tuple(found.columns) == COLUMNS
    pd.testing.assert_frame_equal(found, lines, check_dtype=False)


def test_groups_and_means_are_those_of_pandas(record, lines):
    found = record.query("SELECT roi, step, avg(value) AS value, count(*) AS n FROM scores GROUP BY ALL ORDER BY ALL")
    want = lines.groupby(["roi", "step"]).agg(value=("value", "mean"), n=("value", "size")).reset_index()
    pd.testing.assert_frame_equal(found, want, check_dtype=False, rtol=1e-14)


def best(lines, of, by, **where):
    chosen = lines[lines.value.notna()]
    for name, value in where.items():
        chosen = chosen[chosen[name] == value]
    cells = chosen.groupby([*by, of], sort=False).value.agg(["mean", "size"]).reset_index()
    return cells.loc[cells.groupby(by)["mean"].idxmax()].sort_values(by).reset_index(drop=True)


@pytest.mark.parametrize(
    ("of", "by", "where"),
    [
        ("layer", ["roi", "step"], {"metric": "rsa"}),
        ("layer", ["step"], {"metric": "cka", "roi": "IT"}),
        ("roi", ["metric", "layer", "step"], {}),
        ("subject", ["metric", "roi", "layer", "step"], {"kind": "control"}),
        ("metric", ["step", "subject", "roi", "layer", "kind"], {"benchmark": "b"}),
    ],
)
def test_the_best_is_that_of_pandas(record, lines, of, by, where):
    found = record.best(of, by=by, **where)
    want = best(lines, of, by, **(where if "kind" in by else {"kind": "alignment", **where}))
    assert found.columns.tolist() == [*by, of, "value", "n"]
    assert found[[*by, of]].to_numpy().tolist() == want[[*by, of]].to_numpy().tolist()
    assert found.n.tolist() == want["size"].tolist()
    np.testing.assert_allclose(found.value, want["mean"], rtol=1e-14)
    assert len(found) > 1


def test_of_equals_the_first_written_is_best(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append([Score(run="r", step=0, kind="alignment", roi="V1", layer=x, value=0.5) for x in "zab"])
    assert record.best("layer").layer.tolist() == ["z"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.best("layer"), r"do not compare: choose metric from \['cka', 'rsa'\], or group by it"),
        (lambda r: r.best("layer", by=["roi"], metric="rsa"), r"choose step from \['0', '1', '2', '3'\]"),
        (lambda r: r.best("lair"), "'lair' is not one of the columns that name a score. Did you mean 'layer'"),
        (lambda r: r.best("layer", by=["rio"]), "'rio' is not one of the columns .* Did you mean 'roi'"),
        (lambda r: r.best("layer", matric="rsa"), "'matric' is not one of the columns .* Did you mean 'metric'"),
        (lambda r: r.best("layer", by=["layer"]), r"other columns than 'layer', which is compared; got by=\['layer'\]"),
        (lambda r: r.best("layer", by=[]), r"which is compared; got by=\[\]"),
        (lambda r: r.query("SELECT lair FROM scores"), r"(?s)query failed: .*lair.*columns are run, step, kind"),
        (lambda r: r.query("SELEKT"), "query failed: .*SELEKT"),
        (lambda r: r.query("SELECT 1", memory="lots"), "query failed: .*[Mm]emory"),
    ],
)
def test_questions_without_an_answer_say_why(record, ask, message):
    with pytest.raises(RecordError, match=message):
        ask(record)


def test_an_empty_record_has_no_rows(tmp_path):
    record = Record(tmp_path / "r", create=True)
    assert record.query("SELECT count(*) AS n FROM scores").n.tolist() == [0]
    assert len(record.best("layer")) == 0


def test_without_duckdb_it_says_what_to_install(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for ask in (lambda: record.query("SELECT 1"), lambda: record.best("layer")):
        with pytest.raises(MissingExtraError, match=r"needs 'duckdb'.*pip install '\.\[query\]'"):
            ask()


def test_a_question_changes_nothing_on_disk(record):
    before = {p: p.read_bytes() for p in record.folder.rglob("*") if p.is_file()}
    record.query("SELECT count(*) FROM scores")
    assert {p: p.read_bytes() for p in record.folder.rglob("*") if p.is_file()} == before
