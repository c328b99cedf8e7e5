"""Questions to a record."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ontogeny import Record
from ontogeny.errors import RecordError
from ontogeny.record import Score


def alignment(step, layer="l1", subject="s1", value=0.5, **other):
    known = {"run": "r", "kind": "alignment", "benchmark": "b", "roi": "IT", "metric": "m", "unit": "u", "chance": 0.0}
    return Score(**{**known, "step": step, "layer": layer, "subject": subject, "value": value, **other})


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    record.append(
        [alignment(s, layer, who, v) for s, layer, who, v in [(4, "l1", "s1", 0.3), (4, "l1", "s2", 0.5)]]
        + [alignment(0, "l1", "s1", 0.1, ceiling=0.9), alignment(0, "l1", "s2", 0.2), alignment(0, "l2")]
        + [Score(run="r", step=s, kind="task", metric="loss", value=2.0 - s, unit="nats") for s in (0, 4)]
    )
    return record


def test_a_series_is_sorted_by_step_and_averaged_over_subjects(record):
    curve = record.series(layer="l1")
    assert curve.steps.tolist() == [0, 4]
    np.testing.assert_allclose(curve.values, [0.15, 0.4])
    np.testing.assert_allclose(curve.ceiling, [0.9, np.nan])
    np.testing.assert_allclose(curve.chance, [0, 0])
    assert (curve.unit, curve.name, len(curve)) == ("u", "IT · m · l1", 2)
    assert record.series(layer="l1", subject="s2").values.tolist() == [0.2, 0.5]


def test_task_values_are_rows_too(record):
    loss = record.series(kind="task", metric="loss")
    assert (loss.values.tolist(), loss.name, loss.source) == ([2.0, -2.0], "loss", "measured")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "these rows are 2 curves, not one: choose layer from 'l1', 'l2'"),
        ({"layer": "l3"}, "holds no score with .*layer: Did you mean 'l"),
        ({"layer": "l2", "subject": "s2"}, "No row matches all of them at once"),
        ({"lair": "l1"}, "no column 'lair'. Did you mean 'layer'"),
    ],
)
def test_questions_that_have_no_one_answer(record, question, message):
    with pytest.raises(RecordError, match=message):
        record.series(**question)


def test_a_record_becomes_a_table_and_a_parquet_file(record, tmp_path):
    table = record.to_pandas()
    assert len(table) == 7
    assert table.loc[table.kind == "task", "value"].tolist() == [2.0, -2.0]
    pd.testing.assert_frame_equal(pd.read_parquet(record.to_parquet(tmp_path / "t.parquet")), table)


def test_numbers_that_are_not_finite_are_written_as_nothing_with_a_note(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append([alignment(0, value=float("nan"))])
    again = Record(tmp_path / "r").scores[0]
    assert again.value is None
    assert "value was nan" in again.note


def test_a_header_that_is_not_json_is_named(record):
    (record.folder / "record.json").write_text("{")
    with pytest.raises(RecordError, match=r"record.json cannot be read as JSON"):
        Record(record.folder)
    (record.folder / "record.json").write_text("[]")
    with pytest.raises(RecordError, match="no schema version"):
        Record(record.folder)
