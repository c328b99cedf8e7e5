"""One curve out of a log: a column's values at the steps of the weights that they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ontogeny._arrays import Numbers
from ontogeny._csv_files import row_numbers
from ontogeny._display import one_line
from ontogeny.errors import DataError
from ontogeny.record.task_logs._task_rows import Logged, belongs, more_than_once_an_epoch, plain
from ontogeny.record.task_logs.log import Log, is_ours, no_column, number

__all__ = ["LoggedCurve", "curve_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoggedCurve:
    """A column of a log.

    Args:
        name: the column's.
        steps: of the weights that the values belong to, rising.
        values: one per step.
        source: "measured" where they are ours, "table" where their writer is not known, else as in `task_rows`.
        notes: what was done to read it, sentences.
    """

    name: str
    steps: Numbers
    values: Numbers
    source: str
    notes: tuple[str, ...] = ()

    __repr__ = one_line


class _Cell(NamedTuple):
    """A value in its row, the first of which is 1."""

    row: int
    step: float
    value: float


def curve_of(log: Log, column: str, *, where: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> LoggedCurve:
    """The curve of one column; rows of one step complete each other.

    Args:
        log: see `Log`.
        column: by its name in the log.
        where: which rows.

    Raises:
        DataError: no such column; text or infinity where a number should be, no step, or two values at one step, with
            the rows.
    """
    if column not in log.columns:
        raise no_column(column, log.columns, log.place)
    filled = [(i, row) for i, row in enumerate(log.rows, 1) if where(row) and _is_there(row.get(column))]
    cells = _cells(log, column, filled)
    kept = [cell for cell in cells if not math.isnan(cell.value)]
    source, shift = _source(log, column, cells, dict(filled))
    at, notes = _by_step(log, column, kept)
    steps = np.array(sorted(at), dtype=np.float64)
    empty = [cell.row for cell in cells if math.isnan(cell.value)]
    column_notes = [f"{column!r} is NaN in {row_numbers(empty)} of {log.place}, left out"] if empty else []
    if shift:
        column_notes.append(
            f"{column!r}, logged by Lightning at step k, belongs to the weights after k + {shift} updates"
        )
    return LoggedCurve(
        name=column,
        steps=steps + shift,
        values=np.array([at[step].value for step in steps], dtype=np.float64),
        source=source,
        notes=(*column_notes, *notes),
    )


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def _cells(log: Log, column: str, filled: Sequence[tuple[int, Mapping[str, Any]]]) -> list[_Cell]:
    values = _numbers(log, column, [(i, row[column]) for i, row in filled])
    steps = _numbers(log, log.step, [(i, log.at(row, column)) for i, row in filled], of=column)
    bad = [i for (i, _), step in zip(filled, steps, strict=True) if not step >= 0]
    if bad:
        raise DataError(
            f"{log.place}, column {log.step!r}: {row_numbers(bad)}, which {'have' if len(bad) > 1 else 'has'} a value "
            f"of {column!r}, should have a step of 0 or more"
        )
    return [_Cell(i, step, value) for (i, _), step, value in zip(filled, steps, values, strict=True)]


def _numbers(log: Log, column: str, cells: Sequence[tuple[int, Any]], *, of: str = "") -> list[float]:
    """Numbers of some cells.

    Raises:
        DataError: nothing, text or infinity among them.
    """
    found = [(i, text, number(text)) for i, text in cells]
    empty = [i for i, text, _ in found if not _is_there(text)]
    if empty:
        raise DataError(
            f"{log.place}: {row_numbers(empty)} of {len(cells)} have a value of {of!r} and no {column!r}; name the "
            "column that counts optimizer updates (step=, --step)"
        )
    broken = [(i, text) for i, text, value in found if value is None or math.isinf(value)]
    if broken:
        rows = row_numbers([i for i, _ in broken])
        raise DataError(
            f"{log.place}, column {column!r} holds text where a number should be: {broken[0][1]!r} ({rows})"
            if number(broken[0][1]) is None and "inf" not in str(broken[0][1]).lower()
            else f"{log.place}, column {column!r} is infinite ({rows}); take these rows out"
        )
    return [value for _, _, value in found if value is not None]


def _source(log: Log, column: str, cells: Sequence[_Cell], rows: Mapping[int, Mapping[str, Any]]) -> tuple[str, int]:
    """Where the values are from, and by how many updates their weights are ahead of the logged step."""
    name = plain(column)
    if is_ours(column):
        return "measured", 0
    if log.source:
        return log.source, 0
    if log.writer is None:
        return ("trainer_average" if name.startswith("train") else "table"), 0
    logged = [
        Logged(step=int(c.step), metric=column, value=c.value, epoch=number(rows[c.row].get("epoch"))) for c in cells
    ]
    return belongs(name, log.writer, often=bool(more_than_once_an_epoch(logged)))


def _by_step(log: Log, column: str, cells: Sequence[_Cell]) -> tuple[dict[float, _Cell], list[str]]:
    """One cell a step, and what was done for it."""
    at: dict[float, _Cell] = {}
    again: list[_Cell] = []
    for cell in cells:
        before = at.get(cell.step)
        if before is not None and before.value != cell.value:
            again.append(cell)
            if not log.repeats:
                raise DataError(
                    f"{log.place}: {column!r} has two values at step {cell.step:g}, {before.value:g} in row "
                    f"{before.row} and {cell.value:g} in row {cell.row}; name the column that tells runs apart (run=, "
                    "--run), or keep one of the rows"
                )
        at[cell.step] = cell
    notes = []
    if again:
        steps = ", ".join(f"{cell.step:g}" for cell in again[:5]) + (", ..." if len(again) > 5 else "")
        notes.append(f"{column!r} was logged again at {len(again)} steps ({steps}); the later value is taken")
    fallen = [b.row for a, b in pairwise(cells) if b.step < a.step]
    if fallen and not log.repeats:
        notes.append(f"steps of {log.place} fall at {row_numbers(fallen)}; the rows were put in order")
    return at, notes
