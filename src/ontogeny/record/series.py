"""Series: one curve out of a record, averaged over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ontogeny._display import one_line
from ontogeny.errors import RecordError
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
    """

    name: str
    steps: Int[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    unit: str
    chance: Float[np.ndarray, " steps"]
    ceiling: Float[np.ndarray, " steps"]
    source: str = "measured"
    note: str = ""

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
            raise RecordError(f"these rows are {len(seen)} curves, not one: choose {name} from {seen}")
    steps = sorted({s.step for s in found})
    at: dict[int, list[Score]] = {step: [] for step in steps}
    for score in found:
        at[score.step].append(score)
    first = found[0]
    parts = [first.roi, first.metric, first.layer, first.pooling] if first.kind != "task" else [first.metric]
    return Series(
        name=" · ".join(p for p in parts if p),
        steps=np.asarray(steps, dtype=np.int64),
        values=_means(at, "value"),
        unit=first.unit,
        chance=_means(at, "chance"),
        ceiling=_means(at, "ceiling"),
        source=first.source,
        note=_note(found),
    )


def _note(found: Sequence[Score]) -> str:
    own = {s.subject: s.n_stimuli for s in found if s.note.startswith(OWN_STIMULI)}
    low, high = (min(own.values()), max(own.values())) if own else (0, 0)
    n = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {len(own)} subjects who saw different stimuli, {n} each" if len(own) > 1 else ""


def _means(at: Mapping[int, Sequence[Score]], name: str) -> Float[np.ndarray, " steps"]:
    out = []
    for scores in at.values():
        known = [value for s in scores if (value := getattr(s, name)) is not None]
        out.append(float(np.mean(known)) if known else float("nan"))
    return np.asarray(out, dtype=np.float64)
