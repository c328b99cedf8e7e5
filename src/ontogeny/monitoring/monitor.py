"""Monitor: due? probe, task, score, write. The one door of live callbacks and plain loops; replay enters behind it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from typing_extensions import Unpack, override

from ontogeny._messages import warn
from ontogeny.extraction.isolation import NotYetError
from ontogeny.extraction.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    current_process_group,
    n_ranks,
    require_supported_sharding,
)
from ontogeny.extraction.random_state import same_randomness
from ontogeny.monitoring._going_on import going_on
from ontogeny.monitoring._overhead import OverheadBudget
from ontogeny.monitoring._settings import Settings
from ontogeny.monitoring.factory import Options, Watchable, watched_of
from ontogeny.monitoring.heldout.loss import Task
from ontogeny.monitoring.preflight import preflight
from ontogeny.monitoring.probe_runner import ProbeRunner
from ontogeny.monitoring.record_session import Session
from ontogeny.monitoring.recorder import Recorder
from ontogeny.monitoring.schedule import parse_schedule, update_count
from ontogeny.record import Record, Row
from ontogeny.record.progress import Seen, known_progress

__all__ = ["Monitor", "watch"]


def watch(benchmark: Watchable, *, record: str | os.PathLike[str] | None, **options: Unpack[Options]) -> Monitor:
    """`Monitor(benchmark, record=record, ...)`, as a verb."""
    return Monitor(benchmark, record=record, **options)


class Monitor:
    """Watches one model: `monitor(model, step)` after every optimizer update, `monitor.finish(model, step)` at the end.

    Or `with Monitor(...) as monitor:`, whose end does that. In a distributed run every rank calls it: the stimuli are
    shared out, the first rank scores and writes.

    Args:
        benchmark: name (`ontogeny data list`), path of a benchmark folder, object, or several.
        record: folder of the record; made when missing, continued when there. None: a trainer's callback chooses it,
            and gives it by `open`.
        **options: see `ontogeny.monitoring.factory.Options`.

    Raises:
        ConfigError: no option of this name, or nothing to watch.
        RecordError: the record holds another benchmark under the same name, or other weights than raw or averaged ones.

    Example:
        >>> Monitor("planted-language", record=None, tokenizer=lambda text: [*map(len, text.split())], controls=False)
        Monitor('planted-language', record chosen when training starts, schedule 'log', last step None)
    """

    @same_randomness()
    def __init__(
        self, benchmark: Watchable, *, record: str | os.PathLike[str] | None, **options: Unpack[Options]
    ) -> None:
        self.watched, self._settings = watched_of(benchmark, options)
        self.schedule = parse_schedule(self._settings.schedule)
        self.sinks = list(self._settings.sinks)
        self.weights, self.distributed = self._settings.weights, self._settings.distributed
        self.session = Session(self.watched, self._settings, self.sinks)
        self.runner = ProbeRunner(self.watched, self.session.writer, self._settings)
        self._entered = self._waits = False
        self._called: tuple[weakref.ref[nn.Module], int, dict[str, Any]] | None = None
        if record is not None:
            self.open(record)

    def open(self, record: str | os.PathLike[str]) -> None:
        """Write into this folder; a training begins there.

        Raises:
            RecordError: see `Monitor`; or another process writes there.
        """
        self.session.open(record)

    @override
    def __repr__(self) -> str:
        names = ", ".join(repr(w.benchmark.benchmark.name) for w in self.watched)
        record = "chosen when training starts" if self.folder is None else repr(str(self.folder))
        schedule, last = self._settings.schedule, self.session.last_step
        return f"Monitor({names}, record {record}, schedule {schedule!r}, last step {last})"

    def __enter__(self) -> Monitor:
        """`with watch(...) as monitor:` around a plain loop."""
        self._entered = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Probe the last step that was called, and close; after an error close alone."""
        called, self._called, self._entered = self._called, None, False
        if error is None and called is not None and (model := called[0]()) is not None:
            self.finish(model, called[1], **called[2])
        else:
            self.close()

    @property
    def folder(self) -> Path | None:
        """Of the record; None where it is not chosen yet."""
        return self.session.folder

    def another(self, record: str | os.PathLike[str]) -> Monitor:
        """A monitor with the same options for another run, with a record of its own."""
        run, number = self._settings.run, Path(record).name.rpartition("-")[2]
        named = replace(self._settings, run=f"{run}-{number}" if run and number.isdigit() else run)
        options: Any = {field.name: getattr(named, field.name) for field in fields(Settings)}
        return Monitor(self.watched, record=record, **options)

    def ranks(self) -> ProcessGroup:
        """The ranks that probe together."""
        return current_process_group(self._settings.probe_timeout) if self.distributed else SINGLE_PROCESS

    @property
    def latest(self) -> tuple[int, Mapping[str, float]]:
        """The last step that was probed, and its numbers by the keys that sinks get; on every rank."""
        return self.runner.latest

    @property
    def recorder(self) -> Recorder:
        """Who writes the record: one object, on the first rank alone.

        Raises:
            RecordError: the record is not chosen yet.
        """
        return self.session.writer()

    @property
    def record(self) -> Record:
        """The record; on other ranks than the first, as it lies on disk by now.

        Raises:
            RecordError: it is not chosen yet.
        """
        return self.session.record

    @same_randomness(gpu=False)
    def saved(self, model: nn.Module, step: int, *, optimizers: Sequence[Any] = ()) -> None:
        """Note that a checkpoint of these weights was saved, so that a run resumed from it is known to be this one.

        The trainers' callbacks call it; a step that was probed needs no note. Called before the first step of a resumed
        training it says that these weights are the record's run's. Every rank calls it.

        Args:
            model: as for a probe.
            step: optimizer updates done.
            optimizers: of the model.
        """
        note = partial(self.session.saved, model, update_count(step), self.ranks, optimizers)
        going_on(note, lambda error: warn(f"the weights saved at step {step} could not be noted: {error}"))

    @property
    def cost(self) -> OverheadBudget:
        """What watching has cost so far; on other ranks than the first, as the record has it."""
        return self.session.cost

    @property
    def task(self) -> Task | None:
        """What is measured at the same weights."""
        return self.runner.task

    @same_randomness()
    def check(self, model: nn.Module) -> dict[str, tuple[str, ...]]:
        """Benchmark name -> layers that will be read.

        Raises:
            LayerNotFoundError: a layer name that the model does not have.
            ConfigError: the model's weights are sharded in a way that no probe can read.
        """
        require_supported_sharding(model)
        return {w.benchmark.benchmark.name: w.probe.sites(model) for w in self.watched}

    @same_randomness(gpu=False)
    def __call__(
        self,
        model: nn.Module,
        step: int,
        *,
        force: bool = False,
        optimizers: Sequence[Any] = (),
        seen: Seen | None = None,
    ) -> list[Row]:
        """Probe if `step` is due and was not probed yet.

        Args:
            model: the model under training, at the weights after `step` optimizer updates.
            step: optimizer updates done.
            force: probe whatever the schedule says (the last step).
            optimizers: of the model; a schedule-free one is asked for the weights that it would deploy.
            seen: "tokens" or "epochs" -> how many by now, where known: a second axis for the page.

        Returns:
            The scores and events that were written; with `background` those of the probe before, if they are ready; on
            other ranks than the first, none. `latest` has the numbers on every rank.

        Raises:
            RecordError: at the first step of a training alone, the record has it of other weights (another run wrote
                into this folder), or has earlier steps and not this one.
            ProbeError: at the first probe alone, the rehearsal found that no row could come of this model.
            ConfigError: `step` is not a whole number from 0 on, or `seen` is none of the two.
        """
        step, known = update_count(step), known_progress(seen or {})
        if self._entered:  # else nothing of a training is kept alive
            self._called = (weakref.ref(model), step, {"optimizers": optimizers, "seen": known})

        def visit() -> list[Row]:
            if self.session.recorder is not None:
                self.session.recorder.cost.begin()
            if step != self.session.last_step and self.session.meet(model, step, self.ranks, optimizers):
                self.session.last_step = None
            if step == self.session.last_step or not (force or self._waits or self._due(step)):
                return self.flush() if self.runner.ready and (n_ranks() == 1 or not self.distributed) else []
            return self._visit(model, step, force=force, optimizers=optimizers, seen=known)

        try:
            return going_on(visit, partial(self._failed, step))
        except NotYetError as error:
            return going_on(partial(self._wait, step, error), partial(self._failed, step))

    @same_randomness(gpu=False)
    def finish(
        self, model: nn.Module, step: int, *, optimizers: Sequence[Any] = (), seen: Seen | None = None
    ) -> list[Row]:
        """Probe the last step, unless it was probed already, and say what watching cost."""
        scores = self(model, step, force=True, optimizers=optimizers, seen=seen)
        return [*scores, *self.close()]

    @same_randomness(gpu=False)
    def flush(self, *, together: bool = True) -> list[Row]:
        """Wait for what is being scored in the background, and write it.

        Args:
            together: every rank calls this. False: this one alone, after an exception.
        """
        step = self.runner.pending
        if step is None:
            return []
        ranks = self.ranks() if together else SINGLE_PROCESS
        return going_on(partial(self.runner.take, ranks), partial(self._failed, step))

    @same_randomness()
    def close(self) -> list[Row]:
        """Write what is left, let the sinks finish, and say once, in a line, what watching cost."""
        rows = self.flush()
        self.runner.close()
        going_on(self.session.finish, lambda e: warn(f"watching could not be closed: {type(e).__name__}: {e}"))
        return rows

    def doctor(self, model: nn.Module, *, details: bool = False) -> str:
        """Probe once without writing anything; say what stands in the way, what was read, how long it took."""
        return str(preflight(self, model, details=details))

    @same_randomness()
    def measure(self, model: nn.Module, step: int) -> list[Row]:
        """All rows of one probe, nothing written: alignment, controls, task, confounds and refusals."""
        return self.runner.measure(model, step)

    def _due(self, step: int) -> bool:
        try:
            return bool(self.schedule.due(step))
        except BaseException:
            self.schedule = parse_schedule("at:0")
            raise

    @same_randomness()
    def _visit(self, model: nn.Module, step: int, *, force: bool, optimizers: Sequence[Any], seen: Seen) -> list[Row]:
        ranks = self.ranks()
        verdict = ranks.once(lambda: self.session.writer().verdict(step, force=force))
        if verdict == "over the budget":
            return []
        self.runner.rehearse(model, ranks)
        self.session.last_step, self._waits = step, False
        if verdict == "known":
            return []
        return [*self.flush(), *self.runner.probe(model, step, ranks, optimizers, seen)]

    def _wait(self, step: int, error: NotYetError) -> list[Row]:
        if not self._waits and self.session.recorder is not None:
            self.session.recorder.waits(step, error)
        self._waits = True
        return []

    def _failed(self, step: int, error: BaseException) -> None:
        if self._settings.on_error == "raise":
            raise error
        if self.session.recorder is not None:
            self.session.recorder.failed(step, error)
