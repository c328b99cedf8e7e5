"""Branches: rows of weights that a run left behind when it was rolled back to an earlier step and went on differently.

They stay where they were written. A row of kind "branch" says which they are: those of later steps than its own, among
the first `value` rows that were written. No curve, report or lag sees them; `Record.left_behind` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ontogeny.errors import RecordError
from ontogeny.record.arrow import arrow
from ontogeny.record.score import Score

__all__ = ["WRITTEN", "Branch", "as_sql", "branch_row", "branches_of", "is_behind", "without"]

KIND = "branch"
WRITTEN = "written"


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
    before: int
    note: str = ""


def branch_row(branch: Branch, run: str, weights: str) -> Score:
    """The row that marks it.

    Args:
        branch: what is left behind.
        run: name of the run.
        weights: hash of the first weights that differed.
    """
    about = {"metric": branch.name, "value": float(branch.before), "unit": "rows", "note": branch.note}
    return Score(run=run, step=branch.after, kind=KIND, weights=weights, **about)  # type: ignore[arg-type]


def branches_of(scores: Iterable[Score]) -> tuple[Branch, ...]:
    """The branches that rows mark, in their order.

    Raises:
        RecordError: a row of this kind that does not say how many rows.
    """
    found = []
    for score in scores:
        if score.kind != KIND:
            continue
        if score.value is None or score.value < 0 or score.value != int(score.value):
            raise RecordError(f"a row of kind {KIND!r} says how many rows it is about, got {score.value}: {score.key}")
        found.append(Branch(name=score.metric, after=score.step, before=int(score.value), note=score.note))
    return tuple(found)


def is_behind(score: Score, written: int, branches: Sequence[Branch]) -> bool:
    """Whether a row was left behind.

    Args:
        score: the row.
        written: its place in the order of writing.
        branches: of its record.
    """
    return score.kind != KIND and any(score.step > one.after and written < one.before for one in branches)


def without(table: Any, branches: Sequence[Branch], *, behind: bool = False) -> Any:
    """The rows of a table that were not left behind; with `behind` those that were.

    Args:
        table: of pyarrow, with the columns `written`, `step` and `kind`.
        branches: of its record.
        behind: the others.
    """
    compute = arrow("pyarrow.compute")
    kinds = compute.equal(table.column("kind").cast(arrow().string()), KIND)
    mask = compute.and_(kinds, False)
    for one in branches:
        late = compute.greater(table.column("step"), one.after)
        mask = compute.or_(mask, compute.and_(late, compute.less(table.column(WRITTEN), one.before)))
    mask = compute.and_(mask, compute.invert(kinds))
    return table.filter(mask if behind else compute.invert(mask))


def as_sql(branches: Sequence[Branch]) -> str:
    """The condition, in SQL, of rows that were not left behind."""
    behind = [f"(step > {one.after} AND {WRITTEN} < {one.before})" for one in branches]
    return f"(kind = '{KIND}' OR NOT ({' OR '.join(behind)}))" if behind else "TRUE"
