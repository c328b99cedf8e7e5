"""Series: one curve out of a record, averaged over subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ontogeny._display import one_line
from ontogeny.errors import RecordError
from ontogeny.record.complete import complete, incomplete_note
from ontogeny.record.score import KEY, OWN_STIMULI, Score

__all__ = ["Series", "curve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve out of a record.

    Args:
        name: what the curve is of.
        steps: optimizer updates, rising.
        values: one per step, in `unit`; the mean where several subjects were asked for.
        unit: unit of the values.
        chance: one per step (NaN where not known).
        ceiling: one per step (NaN where not known).
        source: "measured", or what else the values come from.
        note: what has to be said of the mean: that its subjects saw different stimuli.
        notes: who is left out of the mean because a value is missing, see `ontogeny.record.complete`.
    """

    name: str
    steps: Int[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    unit: str
    chance: Float[np.ndarray, " steps"]
    ceiling: Float[np.ndarray, " steps"]
    source: str = "measured"
    note: str = ""
    notes: tuple[str, ...] = ()

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.steps)


def curve(found: Sequence[Score]) -> Series:
    """The curve that the scores of one layer, ROI, metric, ... make.

    Raises:
        RecordError: they are of several curves.
    """
    for name in (name for name in KEY if name not in ("step", "subject")):
        if len(seen := sorted({str(getattr(score, name)) for score in found})) > 1:
            raise RecordError(
                f"these rows are {len(seen)} curves, not one: choose {name} from {', '.join(map(repr, seen))}"
            )
    steps, subjects = sorted({s.step for s in found}), list(dict.fromkeys(s.subject for s in found))
    first = found[0]
    parts = [first.roi, first.metric, first.layer, first.pooling] if first.kind != "task" else [first.metric]
    known = np.isfinite(_table(found, "value", subjects, steps))
    kept, whole = complete(known)
    left_out = incomplete_note(known, subjects, steps)

    def means(name: str) -> Float[np.ndarray, " steps"]:
        return np.where(whole, _means(_table(found, name, subjects, steps)[kept]), np.nan)

    return Series(
        name=" · ".join(p for p in parts if p),
        steps=np.asarray(steps, dtype=np.int64),
        values=means("value"),
        unit=first.unit,
        chance=means("chance"),
        ceiling=means("ceiling"),
        source=first.source,
        note=_note(found),
        notes=(f"{left_out[0].upper()}{left_out[1:]}.",) if left_out else (),
    )


def _note(found: Sequence[Score]) -> str:
    own = {s.subject: s.n_stimuli for s in found if s.note.startswith(OWN_STIMULI)}
    low, high = (min(own.values()), max(own.values())) if own else (0, 0)
    n = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {len(own)} subjects who saw different stimuli, {n} each" if len(own) > 1 else ""


def _table(
    found: Sequence[Score], name: str, subjects: Sequence[str], steps: Sequence[int]
) -> Float[np.ndarray, "subjects steps"]:
    """One number per subject and step; NaN where there is none."""
    row, column = ({key: place for place, key in enumerate(keys)} for keys in (subjects, steps))
    out = np.full((len(subjects), len(steps)), np.nan)
    for score in found:
        value = getattr(score, name)
        out[row[score.subject], column[score.step]] = np.nan if value is None else value
    return out


def _means(table: Float[np.ndarray, "subjects steps"]) -> Float[np.ndarray, " steps"]:
    """Of the known values; NaN where none is known."""
    known = np.isfinite(table)
    count = known.sum(axis=0)
    return np.where(count, np.where(known, table, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
