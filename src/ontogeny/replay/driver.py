"""The walk: every checkpoint of a series measured, and written by the one Monitor into a record like a live run's."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from ontogeny.extraction.random_state import same_randomness
from ontogeny.monitoring import Monitor
from ontogeny.monitoring.recorder import Recorder
from ontogeny.monitoring.snapshot import FeatureCache
from ontogeny.record.progress import progress_events
from ontogeny.replay._loading.dtypes import known_types, note_types, type_lines
from ontogeny.replay._worker import CheckpointResult, Order, Outcome, SeriesJob, WorkItem
from ontogeny.replay.checkpoint_series import CheckpointProblem, CheckpointSeries
from ontogeny.replay.engines import Engine, Here
from ontogeny.replay.plan import known_weights, missing

__all__ = ["ReplayReport", "replay", "replay_many"]

_OUTCOMES: tuple[Outcome, ...] = ("scored", "known", "changed", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What became of a series of checkpoints.

    Args:
        results: one per checkpoint, in the order of the series.
        problems: what was wrong with the series when it was listed.
    """

    results: tuple[CheckpointResult, ...]
    problems: tuple[CheckpointProblem, ...]

    @property
    def whole(self) -> bool:
        """Whether every checkpoint that was asked for is in the record now, and none was lost or changed."""
        return not self.problems and all(r.outcome in ("scored", "known") for r in self.results)

    @property
    def visits(self) -> tuple[CheckpointResult, ...]:
        """The old name of `results`, for one release."""
        warnings.warn("ReplayReport.visits is now called results", DeprecationWarning, stacklevel=2)
        return self.results

    def lines(self) -> list[str]:
        """The closing table: how many of each outcome, then what went wrong."""
        counts = Counter(r.outcome for r in self.results)
        outcomes = ", ".join(f"{counts[name]} {name}" for name in _OUTCOMES if counts[name]) or "nothing to do"
        bad = [f"  step {r.step:>8}  {r.outcome:<8} {r.reason}" for r in self.results if r.reason]
        types = type_lines((r.step, r.stored, r.dtype) for r in self.results if r.outcome == "scored")
        head = f"{len(self.results)} checkpoints: {outcomes}"
        more = [*types, *_without(self.results), *map(str, self.problems)]
        return [head, *bad, *(f"  {line}" for line in more)]


def _without(results: Sequence[CheckpointResult]) -> list[str]:
    """What failed at checkpoints that are in the record now, and so are not measured again."""
    lines = []
    for what in dict.fromkeys(name for result in results for name in result.without):
        lost = [result for result in results if what in result.without]
        lines.append(
            f"{what} failed at {len(lost)} of them, first at step {lost[0].step:,}: {lost[0].without[what]}; once that "
            "is mended, replay into a new record: what a record holds is not measured again"
        )
    return lines


def replay(
    series: CheckpointSeries,
    monitor: Monitor,
    *,
    engine: Engine | None = None,
    keep: bool = False,
    verify: bool = False,
    device: str = "auto",
    kept: FeatureCache | None = None,
    progress: bool = False,
) -> ReplayReport:
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
        kept: a `DiskFeatureCache`, so that features are read once for the same weights.
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
    kept: FeatureCache | None = None,
    progress: bool = False,
) -> list[ReplayReport]:
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
        One report per pair, in their order.
    """
    using = engine if engine is not None else Here()
    jobs: list[SeriesJob] = []
    records: dict[int, Callable[[WorkItem, CheckpointResult], int]] = {}
    done: dict[int, dict[int, CheckpointResult]] = {}
    with tqdm(total=0, disable=not progress, unit=" checkpoints", delay=0.1) as bar:

        def orders() -> Iterator[Order]:
            for series, monitor in pairs:
                job = _job(series, monitor, device=device, keep=keep, kept=kept)
                items = _items(job, monitor, using, verify=verify)
                jobs.append(job)
                done[id(job)] = {}
                records[id(job)] = _recording(job, monitor, Counter(item.step for item in items), done[id(job)])
                bar.total = (bar.total or 0) + len({item.step for item in items})
                bar.set_description(series.name)
                yield from ((job, item) for item in items)

        with contextlib.closing(using.run(orders())) as arriving:  # type: ignore[type-var]
            for (job, item), result in arriving:
                bar.update(records[id(job)](item, result))
        bar.leave = bool(bar.total)  # of nothing to do no empty bar is left
    return [_report(job.series, done[id(job)]) for job in jobs]


def _report(series: CheckpointSeries, done: Mapping[int, CheckpointResult]) -> ReplayReport:
    known = {s: CheckpointResult(step=s, outcome="known", where=series.where(s)) for s in series.steps}
    return ReplayReport(results=tuple((known | {**done})[step] for step in series.steps), problems=series.problems)


def _job(
    series: CheckpointSeries, monitor: Monitor, *, device: str, keep: bool, kept: FeatureCache | None
) -> SeriesJob:
    return SeriesJob(
        series=series,
        watched=monitor.watched,
        task=monitor.task,
        run=monitor.record.run,
        device=device,
        keep=keep,
        kept=kept,
    )


def _items(job: SeriesJob, monitor: Monitor, engine: Engine, *, verify: bool) -> list[WorkItem]:
    """What is to be measured; steps that are left alone are not in it.

    A step is one item, but where there are more places than steps and nothing to download: then one per benchmark.
    """
    series, names = job.series, [w.benchmark.benchmark.name for w in monitor.watched]
    lacking, hashes = missing(monitor.record, series.steps, names), known_weights(monitor.record)
    types = known_types(monitor.record)
    steps = [step for step in series.steps if lacking[step] or verify or not series.downloads]
    apart = not series.downloads and len(steps) < engine.places()
    return [
        WorkItem(step=step, places=places, task=n == 0, known=hashes.get(step, ""), dtype=types.get(step, ""))
        for step in steps
        for n, places in enumerate([(p,) for p in lacking[step]] if apart and lacking[step] else [lacking[step]])
    ]


def _recording(
    job: SeriesJob, monitor: Monitor, parts: Mapping[int, int], done: dict[int, CheckpointResult]
) -> Callable[[WorkItem, CheckpointResult], int]:
    """What takes the results of one series as they come, and writes a checkpoint when all of it is there.

    Args:
        job: of the series.
        monitor: writes.
        parts: step -> in how many parts it is measured.
        done: step -> what became of it, filled in.

    Returns:
        A function of an item and its result, which says how many checkpoints are done by that, 0 or 1.
    """
    waiting: dict[int, list[tuple[tuple[int, ...], CheckpointResult]]] = {}
    for problem in job.series.problems:
        what, reason = f"(checkpoint {problem.what})", f"{problem.kind}: {problem.reason}"
        monitor.recorder.refused(problem.step or 0, what, reason)
    if not parts:
        monitor.close()

    def take(item: WorkItem, result: CheckpointResult) -> int:
        there = waiting.setdefault(item.step, [])
        there.append((item.places, result))
        if len(there) < parts[item.step]:
            return 0
        whole = _joined([part for _, part in sorted(waiting.pop(item.step), key=lambda part: part[0])])
        _write(monitor.recorder, whole, series=job.series)
        without = whole.scored.failed if whole.scored is not None else {}
        done[item.step] = replace(whole, scored=None, without=without)
        if len(done) == len(parts):
            monitor.close()
        return 1

    return take


def _joined(parts: Sequence[CheckpointResult]) -> CheckpointResult:
    """One result of a checkpoint's parts."""
    if (lost := next((part for part in parts if part.outcome == "failed"), None)) is not None:
        return lost
    first = parts[0]
    scored = [part.scored for part in parts if part.scored is not None]
    if len({part.outcome for part in parts}) > 1 or len({one.weights for one in scored}) > 1:
        return replace(first, outcome="failed", reason="its weights changed while it was measured")
    if not scored:
        return first
    rows = tuple(row for one in scored for row in one.rows)
    return replace(first, scored=replace(scored[0], rows=rows, seconds=sum(one.seconds for one in scored)))


@same_randomness(gpu=False)
def _write(recorder: Recorder, result: CheckpointResult, *, series: CheckpointSeries) -> None:
    if result.outcome == "failed":
        recorder.refused(result.step, f"(checkpoint {result.where})", result.reason)
    if result.scored is None:
        return
    if "parameters" not in recorder.record.header:
        recorder.record.note("parameters", result.parameters)
    seen = progress_events({"tokens": series.tokens_at(result.step)}, run=recorder.record.run, step=result.step)
    recorder.write(replace(result.scored, rows=(*result.scored.rows, *seen)))
    note_types(recorder.record, result.step, result.dtype)
