"""Log: the rows of a log as they were written, whatever wrote them, and the column that counts updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ontogeny._display import one_line
from ontogeny.errors import DataError, nearest
from ontogeny.record.task_logs._task_rows import Logged, TrainerKind

__all__ = ["OUR_STEP", "STEPS", "Log", "is_ours", "no_column", "number", "step_column"]

OUR_STEP = "alignment/step"
"""Where our own rows of a Weights & Biases run have their step."""
STEPS = ("train/global_step", "trainer/global_step", "global_step", "step", "_step", "Step", OUR_STEP)
"""Columns that hold the step, the first of which is taken; "Step" in a table exported from a page of W&B."""
_OURS = ("alignment/", "alignment_ema/", "task/", "task_ema/")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Log:
    """What was logged.

    Args:
        place: where it was read, for messages.
        rows: column -> value, as written; a column that is not there or None has no value in that row.
        step: column of the step.
        writer: whose log it is; None: a table of an unknown writer.
        source: where all its values are from, as in `task_rows`, where that does not depend on the column.
        repeats: whether a resumed run may have logged a step again, so that the later value holds.
    """

    place: str
    rows: Sequence[Mapping[str, Any]]
    step: str
    writer: TrainerKind | None = None
    source: str = ""
    repeats: bool = True

    __repr__ = one_line

    @property
    def columns(self) -> list[str]:
        """All names, in the order in which they appear."""
        return list(dict.fromkeys(str(name) for row in self.rows for name in row))

    def at(self, row: Mapping[str, Any], column: str) -> Any:
        """The step of a column's value as it is written in its row."""
        own = row.get(OUR_STEP) if is_ours(column) else None
        return row.get(self.step) if own is None else own

    def logged(self) -> list[Logged]:
        """Every number with its step; text, and rows without a step, are passed over."""
        return [one for row in self.rows for one in self._numbers(row)]

    def _numbers(self, row: Mapping[str, Any]) -> Iterator[Logged]:
        epoch = number(row.get("epoch"))
        for name, text in row.items():
            value, step = number(text), number(self.at(row, str(name)))
            if value is not None and step is not None and math.isfinite(step):
                yield Logged(step=int(step), metric=str(name), value=value, epoch=epoch)


def is_ours(column: str) -> bool:
    """Whether a column is one that our own sinks write, at the step of its weights."""
    return column.startswith(_OURS)


def step_column(columns: Sequence[str], place: str, given: str = "") -> str:
    """The column of the step: the one that was named, or the first that is known.

    Raises:
        DataError: there is none.
    """
    if given and given not in columns:
        raise no_column(given, columns, place)
    found = given or next((name for name in STEPS if name in columns), "")
    if not found:
        raise DataError(
            f"{place} has no step: none of {_listed(STEPS)} is there; name the column that counts optimizer updates "
            f"(step=, --step). Its columns: {_listed(columns)}"
        )
    return found


def no_column(name: str, columns: Sequence[str], place: str, hint: str = "") -> DataError:
    """An error for a column that is not there, with the nearest names and all of them."""
    near = nearest(name, columns)
    rest = "" if near.startswith("Choices") else f" Its columns: {_listed(columns)}."
    return DataError(f"{place} has no column {name!r}{hint}. {near}{rest}")


def _listed(names: Sequence[str], most: int = 40) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (", ..." if len(names) > most else "")


def number(value: Any) -> float | None:
    """A number, also NaN; None for other text, truth values, infinity as text, and nothing."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if not math.isinf(found) or not isinstance(value, str) else None
