"""Branches: rows of weights that a run left behind when it was rolled back to an earlier step and went on differently.

They stay where they were written. An event of kind "branch" says which they are: those of later steps than its own,
among the first so many scores and the first so many events that were written. No curve, report or lag sees them;
`Record.left_behind` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from ontogeny.errors import RecordError
from ontogeny.record.arrow import arrow
from ontogeny.record.event import Event
from ontogeny.record.row import Row

__all__ = [
    "WRITTEN",
    "Branch",
    "Written",
    "among_events",
    "as_sql",
    "branch_event",
    "branches_of",
    "is_behind",
    "without",
]

KIND: Final = "branch"
WRITTEN = "written"


class Written(NamedTuple):
    """How many rows were ever written to a record, those that were left behind among them.

    In a record of an older ontogeny, whose events lie among its scores, `scores` counts both.
    """

    scores: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Rows that were left behind.

    Args:
        name: "branch 1", in the order in which they were left.
        after: the step that the run was rolled back to; the rows are of later ones.
        before: the rows are among the first so many that were written.
        note: what was found, and when.
    """

    name: str
    after: int
    before: Written
    note: str = ""


def branch_event(branch: Branch, run: str, weights: str) -> Event:
    """The event that marks it.

    Args:
        branch: what is left behind.
        run: name of the run.
        weights: hash of the first weights that differed.
    """
    return Event(
        run=run,
        step=branch.after,
        kind=KIND,
        metric=branch.name,
        value=float(branch.before.scores),
        unit="rows",
        n_events=branch.before.events,
        weights=weights,
        note=branch.note,
    )


def branches_of(rows: Iterable[Row]) -> tuple[Branch, ...]:
    """The branches that events mark, in their order.

    Raises:
        RecordError: an event of this kind that does not say how many rows.
    """
    found = []
    for row in rows:
        if not isinstance(row, Event) or row.kind != KIND:
            continue
        if row.value is None or row.value < 0 or row.value != int(row.value):
            raise RecordError(f"an event of kind {KIND!r} says how many rows it is about, got {row.value}: {row.key}")
        before = Written(int(row.value), row.n_events)
        found.append(Branch(name=row.metric, after=row.step, before=before, note=row.note))
    return tuple(found)


def among_events(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """The same branches for rows of the file of events, whose order of writing is their own."""
    return tuple(replace(one, before=Written(one.before.events, 0)) for one in branches)


def is_behind(row: Row, written: int, branches: Sequence[Branch]) -> bool:
    """Whether a row was left behind.

    Args:
        row: score or event.
        written: its place in the order of writing, in its file.
        branches: of its record; for the file of events those of `among_events`.
    """
    return row.kind != KIND and any(row.step > one.after and written < one.before.scores for one in branches)


def without(table: Any, branches: Sequence[Branch], *, behind: bool = False) -> Any:
    """The scores of a table that were not left behind; with `behind` those that were.

    Args:
        table: of pyarrow, with the columns `written` and `step`.
        branches: of its record.
        behind: the others.
    """
    compute = arrow("pyarrow.compute")
    mask = compute.less(table.column("step"), table.column("step"))
    for one in branches:
        late = compute.greater(table.column("step"), one.after)
        mask = compute.or_(mask, compute.and_(late, compute.less(table.column(WRITTEN), one.before.scores)))
    return table.filter(mask if behind else compute.invert(mask))


def as_sql(branches: Sequence[Branch]) -> str:
    """The condition, in SQL, of scores that were not left behind."""
    behind = [f"(step > {one.after} AND {WRITTEN} < {one.before.scores})" for one in branches]
    return f"NOT ({' OR '.join(behind)})" if behind else "TRUE"
