"""A value that is missing never makes an effect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from tests.unit.report.test_run_data import score

from ontogeny.findings import Cells
from ontogeny.findings.statistics._half_rises import half_points
from ontogeny.record import Record
from ontogeny.record.complete import complete, incomplete_note
from ontogeny.record.curve_groups import curve_groups


def test_whatever_keeps_more_values_is_kept():
    known = np.ones((4, 10), dtype=bool)
    assert [part.all() for part in complete(known)] == [True, True]
    known[1, 3] = False
    subjects, steps = complete(known)
    assert subjects.all()
    assert np.flatnonzero(~steps).tolist() == [3]
    assert incomplete_note(known, list("abcd"), range(10)) == "1 step (3) lacks a subject and is left out"
    known[1, 2:] = False
    subjects, steps = complete(known)
    assert np.flatnonzero(~subjects).tolist() == [1]
    assert steps.all()
    assert (
        incomplete_note(known, list("abcd"), range(10)) == "subject b lacks 8 of 10 steps and is left out of the mean"
    )


@given(arrays(np.bool_, (4, 6)))
def test_what_is_kept_is_complete_and_something_where_there_is_anything(known):
    subjects, steps = complete(known)
    assert known[subjects][:, steps].all()
    assert bool(subjects.any() and steps.any()) == bool(complete_exists(known))
    assert not (steps & ~known.any(axis=0)).any()


def complete_exists(known):
    someone, somewhen = known.any(axis=1), known.any(axis=0)
    if not someone.any():
        return False
    return (known[:, somewhen].all(axis=1) & someone).any() or (known[someone].all(axis=0) & somewhen).any()


def rising(run: str, gone: tuple[str, int]):
    """Subjects of unequal height: without one of them the mean would dip or jump."""
    noise = 0.003 * np.random.default_rng(0).standard_normal(31)
    for step in range(1, 31):
        for subject, height in zip("abcd", (0.1, 0.2, 0.3, 1.0), strict=True):
            value = height / (1 + (8 / step) ** 4) + float(noise[step])
            yield score(run=run, step=step, subject=subject, value=None if (subject, step) == gone else value)


def test_one_missing_value_moves_neither_curve_nor_lag_nor_finding(tmp_path):
    record = Record(tmp_path / "r", create=True)
    rows = list(rising(record.run, ("d", 20)))
    record.append(rows)
    series = record.series(roi="IT", layer="one")
    expected = np.asarray([0.4 / (1 + (8 / step) ** 4) for step in range(1, 31)])
    here = np.isfinite(series.values)
    assert np.flatnonzero(~here).tolist() == [19]
    assert series.values[here] == pytest.approx(expected[here], abs=0.01)
    assert series.notes == ("1 step (20) lacks a subject and is left out.",)
    (panel,) = curve_groups(rows)
    assert panel.means.value[0] == pytest.approx(series.values, nan_ok=True)
    assert panel.missing == ("1 step (20) lacks a subject and is left out",)
    (half,) = half_points(Cells.of_records([record]))
    assert half.step == pytest.approx(8, rel=0.1)


def test_columns_hold_what_select_finds(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.append(rising(record.run, ("d", 20)))
    record.compact()
    record.append([score(run=record.run, step=99, roi="V1", value=0.5, ceiling=0.7)])
    for asked in ({}, {"roi": "V1"}, {"step": [20, 21], "subject": "d"}):
        table, rows = record.columns(**asked), record.select(**asked)
        assert len(table) == len(rows)
        for name in ("subject", "roi", "kind"):
            assert table.text(name).tolist() == [getattr(row, name) for row in rows]
        values = [np.nan if row.value is None else row.value for row in rows]
        assert table.numbers["value"] == pytest.approx(values, nan_ok=True)
        assert table.numbers["step"].tolist() == [row.step for row in rows]
    assert record.columns(roi="V1").numbers["ceiling"].tolist() == [0.7]
