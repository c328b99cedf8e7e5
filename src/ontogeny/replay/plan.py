"""Which checkpoints of a series still need scoring; and, for a dry run, what it would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ontogeny.errors import UnreachableError
from ontogeny.record import Record
from ontogeny.replay.checkpoint_series import CheckpointSeries
from ontogeny.replay.sources.hub_client import asking_once

__all__ = ["Plan", "known_weights", "missing", "plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a walk would do.

    Args:
        steps: that would be measured.
        known: that the record has already.
        bytes: to be downloaded, from the sizes of the first and the last; None where the source does not say.
        seconds: expected, from the record's own probes; None without any.
        unsized: why the source does not say its size; "" where it does.
    """

    steps: tuple[int, ...]
    known: tuple[int, ...]
    bytes: int | None
    seconds: float | None
    unsized: str = ""


def plan(series: CheckpointSeries, record: Record | None, benchmarks: Sequence[str], *, places: int = 1) -> Plan:
    """What `replay` would do; nothing is downloaded, and two checkpoints' sizes are asked for, each once.

    Args:
        series: where the weights are.
        record: None where there is none yet.
        benchmarks: names of what would be watched.
        places: how many checkpoints are measured at once.
    """
    lacking = missing(record, series.steps, benchmarks)
    steps = tuple(step for step in series.steps if lacking[step])
    timed = [probe.value for probe in record.events(kind="probe") if probe.value] if record is not None else []
    sizes, unsized = _sizes(series, steps)
    known = [size for size in sizes if size is not None]
    return Plan(
        steps=steps,
        known=tuple(step for step in series.steps if not lacking[step]),
        bytes=round(len(steps) * sum(known) / len(known)) if len(known) == len(sizes) and known else None,
        seconds=len(steps) * sum(timed) / len(timed) / places if timed else None,
        unsized=unsized,
    )


def _sizes(series: CheckpointSeries, steps: Sequence[int]) -> tuple[list[int | None], str]:
    """Bytes of the first and the last; where they are not known, why."""
    try:
        with asking_once():
            return [series.size(step) for step in sorted({*steps[:1], *steps[-1:]})], ""
    except UnreachableError as error:
        return [None], str(error)


def known_weights(record: Record) -> dict[int, str]:
    """Step -> hash of the weights that the record has of it."""
    return {probe.step: probe.weights for probe in record.events(kind="probe")}


def missing(record: Record | None, steps: Iterable[int], benchmarks: Sequence[str]) -> Mapping[int, tuple[int, ...]]:
    """Step -> places of the benchmarks of which the record has no row there; () where it has all."""
    if record is None:
        return {step: tuple(range(len(benchmarks))) for step in steps}
    probed = known_weights(record)
    there = {(score.step, score.benchmark) for score in record.select(kind="confound")}
    there |= {(event.step, event.benchmark) for event in record.events(kind="refusal")}
    return {
        step: tuple(i for i, name in enumerate(benchmarks) if step not in probed or (step, name) not in there)
        for step in steps
    }
