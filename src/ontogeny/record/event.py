"""Event: what happened to a run beside its scores: a finished probe, a refusal, a cost, a checkpoint, a branch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal, get_args

from ontogeny._display import one_line
from ontogeny.record.score import COLUMNS, KEY, Score

__all__ = ["EVENT_COLUMNS", "EVENT_KINDS", "Event", "EventKind", "refusal_of"]

EventKind = Literal["probe", "refusal", "cost", "checkpoint", "branch", "progress"]
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)
_KEY_OF = attrgetter(*KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to a run at one step; no score, though it may have a number.

    The first ten fields are its key, as of a `Score`: a record holds one event per key.

    Args:
        run: name of the training run.
        step: number of optimizer updates done.
        kind: "probe" (a probe is finished: its seconds, and the hash of the weights that were read); "refusal" (what
            could not be read or scored, the reason in `note`); "cost" (share of wall time that watching took so far;
            or a due probe that was left out); "checkpoint" (hash of the weights that the trainer saved at a step that
            was not probed, and its seconds); "branch" (the run was rolled back to this step: its first `value` scores
            and `n_events` events of later steps are of weights that it left); "progress" (tokens or epochs
            that had been seen at a probed step, where the trainer knows).
        benchmark: that was refused; "" where the event is about the whole run.
        fingerprint: of the benchmark.
        subject: whose responses.
        roi: which region.
        layer: that was refused.
        pooling: of the layer.
        metric: that was refused; or what `value` is, e.g. "seconds".
        value: in `unit`; None where the event has no number.
        unit: e.g. "s".
        weights: hash of the weights; "" where none were read.
        n_events: see "branch".
        note: one sentence, mostly empty.

    Example:
        >>> Event(run="a", step=4, kind="refusal", layer="head", note="the layer gave NaN").value is None
        True
    """

    run: str
    step: int
    kind: EventKind
    benchmark: str = ""
    fingerprint: str = ""
    subject: str = ""
    roi: str = ""
    layer: str = ""
    pooling: str = ""
    metric: str = ""
    value: float | None = None
    unit: str = ""
    weights: str = ""
    n_events: int = 0
    note: str = ""

    __repr__ = one_line

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells an event from all others of its record."""
        found: tuple[Any, ...] = _KEY_OF(self)
        return found


EVENT_COLUMNS = tuple(f.name for f in fields(Event))
_COMMON = tuple(name for name in EVENT_COLUMNS if name in COLUMNS and name not in ("kind", "value", "note"))


def refusal_of(score: Score, note: str) -> Event:
    """That what would have been this score could not be read or scored.

    Args:
        score: without a value.
        note: why.
    """
    return Event(kind="refusal", note=note, **{name: getattr(score, name) for name in _COMMON})
