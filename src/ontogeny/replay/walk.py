"""The walk: every checkpoint of a series through the one door, the Monitor, into a record like that of a live run."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from tqdm import tqdm

from ontogeny.errors import OntogenyError
from ontogeny.monitor import Monitor
from ontogeny.replay.ahead import Arrival, prefetched
from ontogeny.replay.pretrained import check_vocabulary
from ontogeny.replay.series import CheckpointSeries, Problem
from ontogeny.scores import Score
from ontogeny.weights import weights_hash

__all__ = ["Plan", "Visit", "Walk", "plan", "replay"]

Outcome = Literal["scored", "known", "changed", "failed"]
_OUTCOMES: tuple[Outcome, ...] = ("scored", "known", "changed", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What became of one checkpoint.

    Args:
        step: optimizer updates.
        outcome: "scored"; "known": the record had it already; "changed": the record has this step of other weights, and
            keeps them; "failed": it could not be fetched, loaded or read.
        where: the checkpoint.
        seconds: for loading and scoring.
        reason: why, where it failed or changed.
    """

    step: int
    outcome: Outcome
    where: str
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk through a series.

    Args:
        visits: one a checkpoint, in the order of the walk.
        problems: what was wrong with the series when it was listed.
    """

    visits: tuple[Visit, ...]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether every checkpoint that was asked for is in the record now, and none was lost or changed."""
        return not self.problems and all(v.outcome in ("scored", "known") for v in self.visits)

    def lines(self) -> list[str]:
        """The closing table: how many of each outcome, then what went wrong."""
        counts = Counter(v.outcome for v in self.visits)
        told = ", ".join(f"{counts[name]} {name}" for name in _OUTCOMES if counts[name]) or "nothing to do"
        bad = [f"  step {v.step:>8}  {v.outcome:<8} {v.reason}" for v in self.visits if v.reason]
        return [f"{len(self.visits)} checkpoints: {told}", *bad, *(f"  {problem}" for problem in self.problems)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a walk would do.

    Args:
        steps: that would be scored.
        known: that the record has already.
        bytes: to be downloaded; None where the source does not say.
        seconds: expected for reading and scoring, from the record's own probes; None without any.
    """

    steps: tuple[int, ...]
    known: tuple[int, ...]
    bytes: int | None
    seconds: float | None


def plan(series: CheckpointSeries, monitor: Monitor) -> Plan:
    """What `replay` would do; nothing is downloaded."""
    known = _known(monitor)
    steps = tuple(step for step in series.steps if step not in known)
    sizes = [series.size(step) for step in steps]
    timed = [s.value for s in monitor.record.select(kind="probe") if s.value]
    return Plan(
        steps=steps,
        known=tuple(step for step in series.steps if step in known),
        bytes=None if any(size is None for size in sizes) else sum(size for size in sizes if size is not None),
        seconds=len(steps) * sum(timed) / len(timed) if timed else None,
    )


def replay(
    series: CheckpointSeries, monitor: Monitor, *, keep: bool = False, verify: bool = False, progress: bool = False
) -> Walk:
    """Read every checkpoint of a series that the record does not hold yet.

    The rows are those that a live run would have written at these weights, in the same record format: a record of the
    live run can be continued. An interrupted walk goes on where it was; a second one does nothing.

    Args:
        series: where the weights are.
        monitor: what is watched; its schedule is not asked, every step of the series is read.
        keep: leave what was downloaded on disk; else at most two checkpoints are there at a time.
        verify: load steps that the record holds too, and compare the hashes of the weights: notices a checkpoint that
            was changed under its old name. Those that lie on this machine are always verified.
        progress: show a bar.

    Returns:
        What became of each. A checkpoint that fails is in the record as a refusal, and the rest goes on.
    """
    known = _known(monitor)
    visits = {s: _met(s, series) for s in series.steps if s in known and not verify and series.size(s) != 0}
    steps = [step for step in series.steps if step not in visits]
    _record_problems(series, monitor)
    with (
        contextlib.closing(prefetched(series, steps, keep=keep)) as arrivals,
        tqdm(total=len(steps), disable=not progress, unit="checkpoint", desc=series.name) as bar,
    ):
        for arrival in arrivals:
            visits[arrival.step] = _visit(series, monitor, arrival, known.get(arrival.step))
            bar.update()
    monitor.close()
    return Walk(visits=tuple(visits[step] for step in series.steps), problems=series.problems)


def _met(step: int, series: CheckpointSeries) -> Visit:
    return Visit(step=step, outcome="known", where=series.where(step))


def _known(monitor: Monitor) -> dict[int, str]:
    """Step -> hash of the weights that the record has of it."""
    return {s.step: s.weights for s in monitor.record.select(kind="probe")}


def _visit(series: CheckpointSeries, monitor: Monitor, arrival: Arrival, known: str | None) -> Visit:
    step, where, start = arrival.step, series.where(arrival.step), time.perf_counter()
    try:
        if arrival.error is not None:
            raise arrival.error
        model = series.load(step)
        for reader in (w.probe.reader for w in monitor.watched):
            if hasattr(reader, "__len__"):  # a Hugging Face tokenizer, not a function
                check_vocabulary(reader, model, where)
        if known is not None:
            return _compared(step, where, known, weights_hash(model))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            monitor(model, step, force=True)
            monitor.flush()
        if step not in _known(monitor):
            raise OntogenyError("; ".join(str(w.message) for w in caught) or "nothing was written")
    except (OntogenyError, OSError, RuntimeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, OntogenyError) else str(error)
        _refuse(monitor, step, where, reason)
        return Visit(step=step, outcome="failed", where=where, reason=reason)
    return Visit(step=step, outcome="scored", where=where, seconds=time.perf_counter() - start)


def _compared(step: int, where: str, known: str, now: str) -> Visit:
    if now == known:
        return Visit(step=step, outcome="known", where=where)
    reason = f"the weights at {where} are {now}, the record's are {known}: changed since; the record's rows are kept"
    return Visit(step=step, outcome="changed", where=where, reason=reason)


def _record_problems(series: CheckpointSeries, monitor: Monitor) -> None:
    for problem in series.problems:
        _refuse(monitor, problem.step or 0, problem.what, f"{problem.kind}: {problem.reason}")


def _refuse(monitor: Monitor, step: int, where: str, reason: str) -> None:
    layer = f"(checkpoint {where})"
    monitor.record.append([Score(run=monitor.record.run, step=step, kind="refusal", layer=layer, note=reason)])
