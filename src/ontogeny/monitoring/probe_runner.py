"""ProbeRunner: a due step becomes a snapshot, its scores, and rows of the record; scored here or in a thread.

Before the first one it rehearses: it finds out how the model is read, and reports that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ontogeny._messages import warn
from ontogeny.extraction.process_group import SINGLE_PROCESS, ProcessGroup
from ontogeny.monitoring._async_scoring import Background, without_random_numbers
from ontogeny.monitoring._settings import Settings
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.heldout.loss import NO_TASK, Task
from ontogeny.monitoring.record_session import UnreadableError, read_hash
from ontogeny.monitoring.recorder import Recorder
from ontogeny.monitoring.rehearsal_report import rehearse
from ontogeny.monitoring.snapshot import ScoredSnapshot, Snapshot, score, take_snapshot
from ontogeny.record import Row
from ontogeny.record.progress import Seen
from ontogeny.sinks import metric_keys

__all__ = ["ProbeRunner"]

_DRAWS = (
    "a metric drew from a global random state, which training would feel from another thread: scoring stays in the "
    "foreground. Let the metric draw from numpy.random.default_rng(seed)"
)


class ProbeRunner:
    """Probes one model, on every rank.

    Args:
        watched: benchmarks with their probes.
        recorder: of the run; asked for on the first rank alone.
        settings: of the monitor.
    """

    def __init__(self, watched: Sequence[BenchmarkProbe], recorder: Callable[[], Recorder], settings: Settings) -> None:
        self.watched = watched
        self.task: Task | None = settings.task or None
        self._about_task = NO_TASK.format("none was given") if settings.task is None else ""
        self._recorder = recorder
        self._weights = settings.weights
        self._rehearsal = settings.rehearsal
        self._rehearsed = False
        self._thread: Background[ScoredSnapshot] | None = Background() if settings.background else None
        self._scored_quietly = False
        self._pending: Snapshot | None = None
        self.latest: tuple[int, Mapping[str, float]] = (-1, {})
        self._latest_weights = ""

    @property
    def wants_task(self) -> bool:
        """Whether there is no task, and none was asked for."""
        return self.task is None and bool(self._about_task)

    def take_task(self, task: Task | None, about: str, *, first: bool) -> None:
        """Take what a trainer holds out for the task.

        Args:
            task: None where the trainer holds out nothing.
            about: said before training, or now: which data they are, or what is missing.
            first: whether this rank writes the record.
        """
        self.task = task
        self._about_task = about if task is not None else NO_TASK.format(about)
        if self._rehearsed and first:
            self._recorder().describe_task(self._about_task)

    def rehearse(self, model: nn.Module, ranks: ProcessGroup) -> None:
        """Find out how the model is read, and report it, before the first update; once.

        Raises:
            NotYetError: the first batch has to come first.
            UnreadableError: no benchmark can be read.
        """
        if self._rehearsed:
            return
        if self._rehearsal:
            lines, readable = rehearse(self.watched, model, ranks)
            if not readable:
                raise UnreadableError("no layer of this model can be read. " + "\n".join(lines))
            if ranks.first:
                self._recorder().rehearsed(lines)
        if self._about_task and ranks.first:
            self._recorder().describe_task(self._about_task)
        self._rehearsed = True

    @property
    def pending(self) -> int | None:
        """The step that is being scored in the thread, or waits to be written; None where there is none."""
        return None if self._pending is None else self._pending.step

    @property
    def ready(self) -> bool:
        """Whether `take` would not have to wait."""
        return self._thread is not None and self._thread.ready

    def probe(
        self,
        model: nn.Module,
        step: int,
        ranks: ProcessGroup,
        optimizers: Sequence[Any] = (),
        seen: Seen | None = None,
    ) -> list[Row]:
        """Read the model now; score and write now, or leave that to the thread and to `take`.

        Args:
            model: at the weights after `step` updates.
            step: optimizer updates done.
            ranks: who reads; all of them call this.
            optimizers: of the model.
            seen: tokens and epochs by then.

        Returns:
            The rows that were written, on the first rank.
        """
        snapshot = take_snapshot(model, step, self.watched, self.task, ranks=ranks, optimizers=optimizers)
        snapshot = replace(snapshot, seen=seen or {})
        if self._thread is None or not self._scored_quietly:
            return self._record(ranks, snapshot, self._score_here)
        self._pending = snapshot
        if ranks.first:
            self._thread.start(partial(self._score, snapshot))
        return []

    def take(self, ranks: ProcessGroup) -> list[Row]:
        """Wait for the thread, and write; on every rank."""
        snapshot, self._pending = self._pending, None
        return [] if snapshot is None else self._record(ranks, snapshot, self._score_of_thread)

    def measure(self, model: nn.Module, step: int) -> list[Row]:
        """All rows of one probe by this process alone, nothing written."""
        snapshot = take_snapshot(model, step, self.watched, self.task, ranks=SINGLE_PROCESS)
        return self._recorder().complete(self._score(snapshot))

    def is_latest(self, model: nn.Module, ranks: ProcessGroup, optimizers: Sequence[Any] = ()) -> bool:
        """Whether the numbers in `latest` are of these weights; every rank asks."""
        weights = read_hash(model, ranks, optimizers)
        return bool(ranks.once(lambda: weights == self._latest_weights))

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.close()

    def _score(self, snapshot: Snapshot) -> ScoredSnapshot:
        return score(snapshot, self.watched, self._recorder().record.run)

    def _score_here(self, snapshot: Snapshot) -> ScoredSnapshot:
        scored, self._scored_quietly = without_random_numbers(partial(self._score, snapshot))
        if self._thread is not None and not self._scored_quietly:
            warn(_DRAWS)
        return scored

    def _score_of_thread(self, snapshot: Snapshot) -> ScoredSnapshot:
        start = time.perf_counter()
        assert self._thread is not None  # noqa: S101 - the snapshot was given to it
        scored, waited = self._thread.take(), time.perf_counter() - start
        return replace(scored, seconds=snapshot.seconds + waited, stages={**snapshot.stages, "score": waited})

    def _record(
        self, ranks: ProcessGroup, snapshot: Snapshot, scored: Callable[[Snapshot], ScoredSnapshot]
    ) -> list[Row]:
        """Score and write on the first rank, and let every rank know what it has to."""
        written = ranks.once(lambda: self._recorder().write(scored(snapshot)), spread=False) or []
        shared = ranks.once(lambda: (metric_keys(written, self._weights), self._scored_quietly))
        assert shared is not None  # noqa: S101 - the first rank gave it
        metrics, self._scored_quietly = shared
        self.latest, self._latest_weights = (snapshot.step, metrics), snapshot.weights
        return written
