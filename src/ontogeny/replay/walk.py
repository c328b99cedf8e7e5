"""The walk: every checkpoint of a series measured, and written by the one Monitor into a record like a live run's."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tqdm import tqdm

from ontogeny.monitor import Monitor
from ontogeny.reading import Keeper
from ontogeny.replay.asking import known_weights, missing
from ontogeny.replay.dtypes import known_types, note_types, type_lines
from ontogeny.replay.engines import Engine, Here
from ontogeny.replay.measuring import Job, Measurement, Order, Unit
from ontogeny.replay.series import CheckpointSeries, Problem
from ontogeny.scores import Score

__all__ = ["Visit", "Walk", "replay", "replay_many"]

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
        dtype: floating types in which its weights were read, "" where they were not.
        stored: those in which they lay in the file.
    """

    step: int
    outcome: Outcome
    where: str
    seconds: float = 0.0
    reason: str = ""
    dtype: str = ""
    stored: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk through a series.

    Args:
        visits: one a checkpoint, in the order of the series.
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
        types = type_lines((v.step, v.stored, v.dtype) for v in self.visits if v.outcome == "scored")
        head = f"{len(self.visits)} checkpoints: {told}"
        return [head, *bad, *(f"  {line}" for line in types), *(f"  {problem}" for problem in self.problems)]


def replay(
    series: CheckpointSeries,
    monitor: Monitor,
    *,
    engine: Engine | None = None,
    keep: bool = False,
    verify: bool = False,
    device: str = "auto",
    kept: Keeper | None = None,
    progress: bool = False,
) -> Walk:
    """Read every checkpoint of a series that the record does not hold yet.

    The rows are those that a live run would have written at these weights, in the same record format: a record of the
    live run can be continued. An interrupted walk goes on where it was; a second one does nothing; a benchmark that was
    added since is measured at the steps that lack it.

    Args:
        series: where the weights are.
        monitor: what is watched, and who writes; its schedule is not asked, every step of the series is read.
        engine: where checkpoints are measured: `Here()` (default), `Local(workers=4)`, `Ray(gpus=1)`.
        keep: leave what was downloaded on disk; else a worker has one checkpoint there at a time, `Here` two.
        verify: load steps that the record holds too, and compare the hashes of the weights: notices a checkpoint that
            was changed under its old name. Those that are not downloaded are always verified.
        device: where models run: "auto" (a GPU where there is one), "cpu", "cuda:1".
        kept: a `KeptFeatures`, so that features are read once for the same weights.
        progress: show a bar.

    Returns:
        What became of each. A checkpoint that fails is in the record as a refusal, and the rest goes on.

    Raises:
        RecordError: the record cannot be written.
    """
    how = {"keep": keep, "verify": verify, "device": device, "kept": kept, "progress": progress}
    return replay_many([(series, monitor)], engine=engine, **how)[0]  # type: ignore[arg-type]


def replay_many(
    pairs: Iterable[tuple[CheckpointSeries, Monitor]],
    *,
    engine: Engine | None = None,
    keep: bool = False,
    verify: bool = False,
    device: str = "auto",
    kept: Keeper | None = None,
    progress: bool = False,
) -> list[Walk]:
    """Several series, each into a record of its own; the workers of an engine are shared out among all.

    Args:
        pairs: series and monitors, taken when there is work for them.
        engine: see `replay`, as are the others.
        keep: leave what was downloaded on disk.
        verify: load steps that the record holds too.
        device: where models run.
        kept: where features are kept.
        progress: show a bar.

    Returns:
        One walk a pair, in their order.
    """
    using = engine if engine is not None else Here()
    tours: dict[int, _Tour] = {}
    with tqdm(total=0, disable=not progress, unit="checkpoint") as bar:

        def orders() -> Iterator[Order]:
            for series, monitor in pairs:
                job = _job(series, monitor, device=device, keep=keep, kept=kept)
                tour = tours[id(job)] = _Tour(job, monitor, _asked(job, monitor, using, verify=verify))
                bar.total = (bar.total or 0) + len(tour.asked)
                bar.set_description(series.name)
                yield from [order for several in tour.asked.values() for order in several]

        with contextlib.closing(using.run(orders())) as arriving:  # type: ignore[type-var]
            for order, measured in arriving:
                bar.update(tours[id(order.job)].take(order.unit, measured))
    return [tour.walk() for tour in tours.values()]


def _job(series: CheckpointSeries, monitor: Monitor, *, device: str, keep: bool, kept: Keeper | None) -> Job:
    return Job(
        series=series,
        watched=monitor.watched,
        task=monitor.task,
        run=monitor.record.run,
        device=device,
        keep=keep,
        kept=kept,
    )


def _asked(job: Job, monitor: Monitor, engine: Engine, *, verify: bool) -> dict[int, list[Order]]:
    """Step -> what is to be measured there; steps that are left alone are not in it.

    A step is one order, but where there are more places than steps and nothing to download: then one a benchmark.
    """
    series, names = job.series, [w.benchmark.benchmark.name for w in monitor.watched]
    lacking, hashes = missing(monitor.record, series.steps, names), known_weights(monitor.record)
    types = known_types(monitor.record)
    steps = [step for step in series.steps if lacking[step] or verify or not series.downloads]
    apart = not series.downloads and len(steps) < engine.places()
    asked: dict[int, list[Order]] = {}
    for step in steps:
        several = [(place,) for place in lacking[step]] if apart and lacking[step] else [lacking[step]]
        known = hashes.get(step, "")
        dtype = types.get(step, "")
        units = [Unit(step=step, places=part, task=n == 0, known=known, dtype=dtype) for n, part in enumerate(several)]
        asked[step] = [Order(job, unit) for unit in units]
    return asked


@dataclass(slots=True, eq=False)
class _Tour:
    """One series on its way into its record.

    Args:
        job: of the series.
        monitor: writes.
        asked: step -> orders.
        came: step -> what came so far.
        visits: step -> what became of it.
    """

    job: Job
    monitor: Monitor
    asked: dict[int, list[Order]]
    came: dict[int, list[tuple[tuple[int, ...], Measurement]]] = field(default_factory=dict)
    visits: dict[int, Visit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for problem in self.job.series.problems:
            self._refuse(problem.step or 0, problem.what, f"{problem.kind}: {problem.reason}")
        if not self.asked:
            self.monitor.close()

    def take(self, unit: Unit, measured: Measurement) -> int:
        """Write a step when all of it is there; how many steps are done by that, 0 or 1."""
        parts = self.came.setdefault(unit.step, [])
        parts.append((unit.places, measured))
        if len(parts) < len(self.asked[unit.step]):
            return 0
        ordered = [part for _, part in sorted(self.came.pop(unit.step), key=lambda part: part[0])]
        self.visits[unit.step] = self._visit(unit, ordered)
        if len(self.visits) == len(self.asked):
            self.monitor.close()
        return 1

    def walk(self) -> Walk:
        series = self.job.series
        met = {step: Visit(step=step, outcome="known", where=series.where(step)) for step in series.steps}
        return Walk(visits=tuple((met | self.visits)[step] for step in series.steps), problems=series.problems)

    def _visit(self, unit: Unit, parts: Sequence[Measurement]) -> Visit:
        step, where, first = unit.step, self.job.series.where(unit.step), parts[0]
        reason = next((part.reason for part in parts if part.reason), "")
        if not reason and len({part.reading.weights for part in parts}) > 1:
            reason = "its weights changed while it was measured"
        if reason:
            self._refuse(step, where, reason)
            return Visit(step=step, outcome="failed", where=where, reason=reason)
        if first.changed:
            return Visit(step=step, outcome="changed", where=where, reason=f"{where}: {first.changed}")
        if not unit.places:
            return Visit(step=step, outcome="known", where=where)
        seconds = sum(part.seconds for part in parts)
        if "parameters" not in self.monitor.record.header:
            self.monitor.record.note("parameters", first.parameters)
        self.monitor.write(first.reading, [row for part in parts for row in part.rows], seconds)
        note_types(self.monitor.record, step, first.dtype)
        types = {"dtype": first.dtype, "stored": first.stored}
        return Visit(step=step, outcome="scored", where=where, seconds=seconds, **types)

    def _refuse(self, step: int, where: str, reason: str) -> None:
        record, layer = self.monitor.record, f"(checkpoint {where})"
        record.append([Score(run=record.run, step=step, kind="refusal", layer=layer, note=reason)])
