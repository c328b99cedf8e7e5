"""Monitor: due? probe, task, score, write. The one door: live callbacks, plain loops and replay all call it."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn
from typing_extensions import override

from ontogeny._messages import has_to_pass, warn
from ontogeny.errors import ConfigError, RecordError
from ontogeny.extraction.isolation import NotYetError
from ontogeny.extraction.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    current_process_group,
    is_first,
    require_supported_sharding,
)
from ontogeny.extraction.random_state import same_randomness
from ontogeny.monitoring._async_scoring import Background, without_random_numbers
from ontogeny.monitoring._overhead import OverheadBudget
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.heldout.loss import NO_TASK, Task
from ontogeny.monitoring.preflight import preflight
from ontogeny.monitoring.record_session import BeforeTrainingError, Session, UnreadableError, read_hash
from ontogeny.monitoring.recorder import Recorder, closing_event
from ontogeny.monitoring.schedule import Schedule, parse_schedule
from ontogeny.monitoring.snapshot import Snapshot, constants, rehearse, score, take_snapshot
from ontogeny.record import Record, Row
from ontogeny.sinks import Sink, metric_keys

__all__ = ["Monitor", "OnError", "Weights"]

OnError = Literal["warn", "raise"]
Weights = Literal["raw", "ema"]
_DRAWS = (
    "a metric drew from a global random state, which training would feel from another thread: scoring stays in the "
    "foreground. Let the metric draw from numpy.random.default_rng(seed)"
)


class Monitor:
    """Watches one model: `monitor(model, step)` after every optimizer update, `monitor.finish(model, step)` at the end.

    In a distributed run every rank calls it: the stimuli are shared out, the first rank scores and writes.

    Args:
        watched: benchmarks with their probes.
        record: folder of the record; made when missing, continued when there. None: a trainer's callback chooses it,
            and gives it by `open`.
        schedule: "log", "every:100", "at:0,10,100" or a schedule object. Step 0 and the last step are always probed.
        task: what the model is trained for, measured on held-out data at the probed weights. None: a callback takes the
            trainer's own held-out data, if there are any, and a line says which or what is missing; False: none.
        sinks: where the numbers go beside the record.
        budget: largest share of wall time for probes, .02 for 2 %; due probes beyond it are left out, and recorded so.
        say_every: print, and log (logger "ontogeny"), one plain line after every so many probes; 0: none.
        background: score in a thread while the model trains on; a probe waits until the one before is scored.
        on_error: "warn": a failing probe warns and is recorded, training goes on; "raise": it ends training.
        weights: which weights the model given holds, "raw" or "ema"; goes into the record and into the names in sinks.
        distributed: False: this process alone is watched, whatever other ranks there are.
        run: name of the run; the record folder's name where empty.
        rehearsal: read eight stimuli several times before the first update, and report what was found: a model of which
            no row could come, or that reading would change for good, is an error then. False: no report, and such a
            model is a warning at every probe.

    Raises:
        RecordError: the record holds another benchmark under the same name, or other weights than raw or averaged ones.
    """

    def __init__(  # noqa: PLR0913 - options of one object, all keyword-only
        self,
        watched: Sequence[BenchmarkProbe],
        *,
        record: str | os.PathLike[str] | None,
        schedule: str | Schedule = "log",
        task: Task | Literal[False] | None = None,
        sinks: Sequence[Sink] = (),
        budget: float | None = None,
        say_every: int = 0,
        background: bool = False,
        on_error: OnError = "warn",
        weights: Weights = "raw",
        distributed: bool = True,
        run: str = "",
        rehearsal: bool = True,
    ) -> None:
        if not watched:
            raise ConfigError("a monitor needs at least one benchmark to watch")
        for name, value, choices in (("on_error", on_error, ("warn", "raise")), ("weights", weights, ("raw", "ema"))):
            if value not in choices:
                raise ConfigError(f"{name} is {choices[0]!r} or {choices[1]!r}, got {value!r}")
        self.watched = tuple(watched)
        self.schedule = parse_schedule(schedule)
        self.task: Task | None = None if task is False else task
        self._about_task = NO_TASK.format("none was given") if task is None else ""
        self.sinks = list(sinks)
        self.on_error = on_error
        self.weights = weights
        self.distributed = distributed
        self.rehearsal = rehearsal
        self.latest: tuple[int, Mapping[str, float]] = (-1, {})
        self._latest_weights = ""
        self._folder: Path | None = None
        self._run = run
        self._others: dict[str, Any] = {
            **{"schedule": schedule, "task": task, "sinks": list(sinks), "budget": budget, "say_every": say_every},
            **{"background": background, "on_error": on_error, "weights": weights, "distributed": distributed},
            "rehearsal": rehearsal,
        }
        self._of_writer: dict[str, Any] = {"weights": weights, "budget": budget, "say_every": say_every}
        self._writer: Recorder | None = None
        self._session = Session(self._the_writer)
        self._last_step: int | None = None
        self._entered = False
        self._called: tuple[weakref.ref[nn.Module], int, Sequence[Any]] | None = None
        self._background: Background[list[Row]] | None = Background() if background else None
        self._scored_quietly = False
        self._pending: Snapshot | None = None
        self._rehearsed = False
        self._waits = False
        if record is not None:
            self.open(record)

    def open(self, record: str | os.PathLike[str]) -> None:
        """Write into this folder; a training begins there.

        Raises:
            RecordError: see `Monitor`; or another process writes there.
        """
        self._folder = Path(record)
        self._writer = self._opened() if is_first() or not self.distributed else None
        self.begin()

    @override
    def __repr__(self) -> str:
        names = ", ".join(repr(w.benchmark.benchmark.name) for w in self.watched)
        record = "chosen when training starts" if self._folder is None else repr(str(self._folder))
        return f"Monitor({names}, record {record}, schedule {self._others['schedule']!r}, last step {self._last_step})"

    def __enter__(self) -> Monitor:
        """`with watch(...) as monitor:` around a plain loop."""
        self._entered = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Probe the last step that was called, and close; after an error close alone."""
        called, self._called, self._entered = self._called, None, False
        model = called[0]() if called is not None else None
        if error is None and called is not None and model is not None:
            self.finish(model, called[1], optimizers=called[2])
        else:
            self.close()

    @property
    def folder(self) -> Path | None:
        """Of the record; None where it is not chosen yet."""
        return self._folder

    def begin(self) -> None:
        """The next call is the first step of a training: its weights are the record's, if that knows the step."""
        self._session = Session(self._the_writer)
        self._last_step = None

    def another(self, record: str | os.PathLike[str]) -> Monitor:
        """A monitor with the same options for another run, with a record of its own."""
        number = Path(record).name.rpartition("-")[2]
        run = f"{self._run}-{number}" if self._run and number.isdigit() else self._run
        return Monitor(self.watched, record=record, run=run, **self._others)

    @property
    def record(self) -> Record:
        """The record; on other ranks than the first, as it lies on disk by now.

        Raises:
            RecordError: it is not chosen yet.
        """
        if self._folder is None:
            raise RecordError("this monitor has no record yet: it is chosen when training starts")
        return self._writer.record if self._writer is not None else Record(self._folder)

    def belongs(self, model: nn.Module, step: int, *, optimizers: Sequence[Any] = ()) -> bool:
        """Whether the record has these weights at this step, or nothing that says otherwise; every rank asks.

        Args:
            model: as for a probe.
            step: optimizer updates done.
            optimizers: of the model.
        """
        return not self._session.other_run(model, step, self._ranks(), optimizers)

    def is_latest(self, model: nn.Module, *, optimizers: Sequence[Any] = ()) -> bool:
        """Whether the numbers in `latest` are of these weights; every rank asks."""
        ranks = self._ranks()
        weights = read_hash(model, ranks, optimizers)
        return bool(ranks.once(lambda: weights == self._latest_weights))

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

        def note() -> list[Row]:
            self._session.saved(model, step, self._ranks(), optimizers)
            return []

        self._going_on(note, lambda error: warn(f"the weights saved at step {step} could not be noted: {error}"))

    @property
    def cost(self) -> OverheadBudget:
        """What watching has cost so far; on other ranks than the first, as the record has it."""
        if self._writer is not None:
            return self._writer.cost
        return OverheadBudget.continued(None, self.record.events())

    @property
    def wants_task(self) -> bool:
        """Whether there is no task, and nobody said that there should be none."""
        return self.task is None and bool(self._about_task)

    def take_task(self, task: Task | None, about: str) -> None:
        """Take what a trainer holds out for the task.

        Args:
            task: None where the trainer holds out nothing.
            about: said once before training, or now: which data they are, or what is missing.
        """
        self.task = task
        self._about_task = about if task is not None else NO_TASK.format(about)
        if self._rehearsed and self._writer is not None:
            self._writer.said(self._about_task)

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
        self, model: nn.Module, step: int, *, force: bool = False, optimizers: Sequence[Any] = ()
    ) -> list[Row]:
        """Probe if `step` is due and was not probed yet.

        Args:
            model: the model under training, at the weights after `step` optimizer updates.
            step: optimizer updates done.
            force: probe whatever the schedule says (the last step).
            optimizers: of the model; a schedule-free one is asked for the weights that it would deploy.

        Returns:
            The scores and events that were written; with `background` those of the probe before, if they are ready; on
            other ranks than the first, none. `latest` has the numbers on every rank.

        Raises:
            RecordError: at the first step of a training alone, the record has it of other weights (another run wrote
                into this folder), or has earlier steps and not this one.
            ProbeError: at the first probe alone, the rehearsal found that no row could come of this model.
        """
        if self._entered:  # else nothing of a training is kept alive
            self._called = (weakref.ref(model), step, optimizers)

        def visit() -> list[Row]:
            if self._writer is not None:
                self._writer.cost.begin()
            if step != self._last_step:
                self._session.meet(model, step, self._ranks, optimizers)
            if step == self._last_step or not (force or self._waits or self._due(step)):
                return self._take_ready()
            return self._visit(model, step, force=force, optimizers=optimizers)

        try:
            return self._going_on(visit, partial(self._failed, step))
        except NotYetError as error:
            return self._going_on(partial(self._wait, step, error), partial(self._failed, step))

    @same_randomness(gpu=False)
    def finish(self, model: nn.Module, step: int, *, optimizers: Sequence[Any] = ()) -> list[Row]:
        """Probe the last step, unless it was probed already, and say what watching cost."""
        scores = self(model, step, force=True, optimizers=optimizers)
        return [*scores, *self.close()]

    @same_randomness(gpu=False)
    def flush(self, *, together: bool = True) -> list[Row]:
        """Wait for what is being scored in the background, and write it.

        Args:
            together: every rank calls this. False: this one alone, after an exception.
        """
        reading, self._pending = self._pending, None
        if reading is None:
            return []
        ranks = self._ranks() if together else SINGLE_PROCESS
        return self._going_on(lambda: self._take(reading, ranks), partial(self._failed, reading.step))

    @same_randomness()
    def close(self) -> list[Row]:
        """Write what is left, let the sinks finish, and say once, in a line, what watching cost."""
        rows = self.flush()
        if self._background is not None:
            self._background.close()
        self._going_on(self._finish, lambda error: warn(f"watching could not be closed: {_named(error)}"))
        return rows

    def _finish(self) -> list[Row]:
        if self._writer is not None:
            self._writer.finish()
        return []

    def _going_on(self, work: Callable[[], list[Row]], failed: Callable[[BaseException], None]) -> list[Row]:
        """Whatever happens in `work`, training goes on, unless asked otherwise; Ctrl-C and signals pass."""
        try:
            return work()
        except (BeforeTrainingError, NotYetError):
            raise
        except BaseException as error:
            if has_to_pass(error):
                raise
            failed(error)
            return []

    def doctor(self, model: nn.Module) -> str:
        """Probe once without writing anything; say what was read, how long it took, what stands in the way."""
        return str(preflight(self, model))

    @same_randomness()
    def measure(self, model: nn.Module, step: int) -> list[Row]:
        """All rows of one probe, nothing written: alignment, controls, task, confounds and refusals."""
        start = time.perf_counter()
        reading = take_snapshot(model, step, self.watched, self.task, ranks=SINGLE_PROCESS)
        rows = self._score(reading)
        seconds = time.perf_counter() - start
        return [*rows, closing_event(reading, seconds, run=self.record.run, weights=self.weights)]

    @same_randomness(gpu=False)
    def write(self, reading: Snapshot, rows: Sequence[Row], seconds: float) -> list[Row]:
        """Write a probe that was read and scored by somebody else, as by a worker of a replay.

        Args:
            reading: of which weights; its features are not needed any more.
            rows: its scores.
            seconds: that it took.

        Returns:
            The rows that were new, with those that no model moves at the first probe.
        """
        written = self._the_writer().write(reading, self._with_constants(rows), seconds)
        return self._shared(SINGLE_PROCESS, reading, written)

    def _ranks(self) -> ProcessGroup:
        return current_process_group() if self.distributed else SINGLE_PROCESS

    def _due(self, step: int) -> bool:
        try:
            return bool(self.schedule.due(step))
        except BaseException:
            self.schedule = parse_schedule("at:0")
            raise

    @same_randomness()
    def _visit(self, model: nn.Module, step: int, *, force: bool, optimizers: Sequence[Any]) -> list[Row]:
        ranks = self._ranks()
        verdict = ranks.once(lambda: self._the_writer().verdict(step, force=force))
        if verdict == "over the budget":
            return []
        if not self._rehearsed:
            self._rehearse(model, ranks)
        self._last_step, self._waits = step, False
        if verdict == "known":
            return []
        return [*self.flush(), *self._probe(model, step, ranks, optimizers)]

    def _rehearse(self, model: nn.Module, ranks: ProcessGroup) -> None:
        """Find out how the model is read, and report it, before the first update.

        Raises:
            NotYetError: the first batch has to come first.
            UnreadableError: no benchmark can be read.
        """
        if self.rehearsal:
            lines, readable = rehearse(self.watched, model, ranks)
            if not readable:
                raise UnreadableError("no layer of this model can be read. " + "\n".join(lines))
            if ranks.first:
                self._the_writer().rehearsed(lines)
        if self._about_task and ranks.first:
            self._the_writer().said(self._about_task)
        self._rehearsed = True

    def _wait(self, step: int, error: NotYetError) -> list[Row]:
        if not self._waits and self._writer is not None:
            self._writer.waits(step, error)
        self._waits = True
        return []

    def _probe(self, model: nn.Module, step: int, ranks: ProcessGroup, optimizers: Sequence[Any]) -> list[Row]:
        start = time.perf_counter()
        reading = take_snapshot(model, step, self.watched, self.task, ranks=ranks, optimizers=optimizers)
        if self._background is not None and self._scored_quietly:
            self._pending = reading
            if ranks.first:
                self._background.start(partial(self._score, reading))
            return []

        def score_and_write() -> list[Row]:
            rows, self._scored_quietly = without_random_numbers(partial(self._score, reading))
            if self._background is not None and not self._scored_quietly:
                warn(_DRAWS)
            return self._the_writer().write(reading, rows, time.perf_counter() - start)

        return self._shared(ranks, reading, ranks.once(score_and_write, spread=False) or [])

    def _take(self, reading: Snapshot, ranks: ProcessGroup) -> list[Row]:
        """Wait for the thread, and write; on every rank."""
        start = time.perf_counter()

        def write_ready() -> list[Row]:
            assert self._background is not None  # noqa: S101 - the reading was given to it
            rows = self._background.take()
            return self._the_writer().write(reading, rows, reading.seconds + time.perf_counter() - start)

        return self._shared(ranks, reading, ranks.once(write_ready, spread=False) or [])

    def _take_ready(self) -> list[Row]:
        """Write what is ready, between two probes; with several ranks this waits for the next one."""
        ready = self._background is not None and self._background.ready and self._ranks().size == 1
        return self.flush() if ready else []

    def _score(self, reading: Snapshot) -> list[Row]:
        return self._with_constants(score(reading, self.watched, self.record.run))

    def _with_constants(self, rows: Sequence[Row]) -> list[Row]:
        look = partial(self.record.select, step=0)
        done = {s.benchmark for s in (*look(kind="control", layer="random features"), *look(kind="baseline"))}
        return [*rows, *constants(rows, self.watched, self.record.run, done=done)]

    def _shared(self, ranks: ProcessGroup, reading: Snapshot, written: list[Row]) -> list[Row]:
        """What every rank has to know of a probe."""
        shared = ranks.once(lambda: (metric_keys(written, self.weights), self._scored_quietly))
        assert shared is not None  # noqa: S101 - the first rank gave it
        metrics, self._scored_quietly = shared
        self.latest, self._latest_weights = (reading.step, metrics), reading.weights
        return written

    def _the_writer(self) -> Recorder:
        """Asked for on the first rank alone; made now where no launcher had said that this is the first."""
        if self._writer is None:
            self._writer = self._opened()
        return self._writer

    def _opened(self) -> Recorder:
        if self._folder is None:
            raise RecordError("this monitor has no record yet: give it one by open(folder)")
        return Recorder(self.watched, self._folder, run=self._run, sinks=self.sinks, **self._of_writer)

    def _failed(self, step: int, error: BaseException) -> None:
        if self.on_error == "raise":
            raise error
        if self._writer is not None:
            self._writer.failed(step, error)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
