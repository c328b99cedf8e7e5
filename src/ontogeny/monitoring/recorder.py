"""Writing: what the first rank does with a probe. The record, the cost, the plain line, the sinks."""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ontogeny._messages import has_to_pass, say, warn
from ontogeny.errors import ProbeError, RecordError
from ontogeny.monitoring._overhead import OverheadBudget
from ontogeny.monitoring._progress import KnownSurfaces, progress_line
from ontogeny.monitoring._settings import Settings
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.snapshot import ScoredSnapshot, constants
from ontogeny.record import Event, Record, Row
from ontogeny.record.event import EventKind
from ontogeny.sinks import Refresher, Sink, finish, metric_keys, write

__all__ = ["Recorder"]

_OF_WEIGHTS = ("probe", "checkpoint")
_FIRST = "confound"  # the kind of the first scores of any probe
_LIBRARIES = ("ontogeny", "torch", "numpy", "scipy", "transformers", "lightning")


class Recorder:
    """Keeps the record of one run.

    Args:
        watched: benchmarks, described in the record's header.
        record: folder of the record; made when missing, continued when there.
        settings: name of the run, which weights its probes are of, budget, and how often a line is printed.
        sinks: where the numbers go beside the record; a list that may grow.

    Raises:
        RecordError: the record holds another benchmark under the same name, or other weights than raw or averaged ones.
    """

    def __init__(
        self,
        watched: Sequence[BenchmarkProbe],
        record: str | os.PathLike[str],
        settings: Settings,
        sinks: list[Sink] | None = None,
    ) -> None:
        weights = settings.weights
        self.record = Record(record, create=True, run=settings.run)
        self.record.identify()
        known = self.record.header.get("weights", weights)
        if known != weights:
            raise RecordError(
                f"record {self.record.folder} is of {known} weights, these are {weights}: give them their own folder"
            )
        for w in watched:
            name = w.benchmark.benchmark.name
            self.record.describe(name, w.benchmark.benchmark.describe(w.benchmark.fingerprint))
        self.record.note("versions", _versions())
        self.record.note("weights", weights)
        self.cost = OverheadBudget.continued(settings.budget, self.record.events())
        self.watched = watched
        self.settings = settings
        self.sinks = [] if sinks is None else sinks
        self._start, self._agreed, self._finished = 0, False, False
        self._before = self.record.written
        self._failing: Mapping[str, str] = {}
        self._ahead: set[int] = set()
        self._constant: set[str] = set()
        self._refresh, self._surfaces = Refresher(), KnownSurfaces()
        self.record.close()

    def taken(self) -> str:
        """Become the one process that writes here; why that cannot be, nothing where it can."""
        try:
            self.record.identify()
        except RecordError as error:
            return str(error)
        return ""

    def begin(self, step: int) -> set[int]:
        """A training begins at this step; the later ones that the record knows already, which are to be compared."""
        self._start, self._before, self._agreed = step, self.record.written, False
        self._ahead = {row.step for row in self._of_weights() if row.step > step}
        return set(self._ahead)

    def known_weights(self, step: int) -> str:
        """Hash of the weights that the record has of this step; "" where it has none.

        Of a step that was probed or saved; or of one at which a process was killed between its scores and the event
        that closes them.
        """
        return next((row.weights for row in self._of_weights(step=step)), "")

    def _of_weights(self, **where: Any) -> list[Row]:
        rows: list[Row] = [*self.record.events(kind=_OF_WEIGHTS, **where), *self.record.select(kind=_FIRST, **where)]
        return [row for row in rows if row.weights]

    def unknown_start(self, step: int) -> str:
        """Why a training cannot go on from a step of which the record has no weights; nothing where it can.

        Rows of earlier steps may then be another run's. Later ones are no evidence: few runs repeat to the bit.
        """
        steps = sorted({event.step for event in self.record.events(kind=_OF_WEIGHTS)})
        if not any(known < step for known in steps) or self.known_weights(step):
            return ""
        shown = ", ".join(map(str, steps[:6])) + (f", ... {steps[-1]}" if len(steps) > 6 else "")
        return (
            f"record {self.record.folder} has the weights of step {shown}, not of step {step}, where this training "
            "begins: whether it is the record's run is not known. If it is, say so by monitor.saved(model, "
            f"{step}) before the first call (and after each checkpoint of a step that was not probed), or replay that "
            "checkpoint into the record; else choose another record folder, or resume at a step that it has"
        )

    def other_run(self, step: int, weights: str) -> str:
        """Why a training whose weights have this hash cannot begin here; nothing where it can."""
        known = self.known_weights(step)
        if known in ("", weights):
            return ""
        return (
            f"record {self.record.folder} holds step {step}, of other weights ({known}, now {weights}): another run "
            "wrote there. Choose another record folder for this run, or resume a checkpoint of the record's own run"
        )

    def meet(self, step: int, weights: str) -> bool:
        """Compare a step that the record knew when the training began; whether it goes on differently from there on."""
        known = self.known_weights(step)
        if known in ("", weights):
            self._agreed = True
            return False
        self._leave_behind(f"step {step} has other weights now ({known}, now {weights})", weights)
        return True

    def saved(self, step: int, weights: str, seconds: float) -> list[Row]:
        """Note the weights of a checkpoint at a step that is not probed, so that a run resumed from it is known.

        Args:
            step: optimizer updates done.
            weights: their hash.
            seconds: that it took.
        """
        if self.known_weights(step):
            return []
        return self._note(step, "checkpoint", metric="weights", weights=weights, value=seconds, unit="s")

    def _leave_behind(self, why: str, weights: str) -> None:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        note = f"the run was resumed at step {self._start} and went on differently: {why}; {when}"
        self._constant = set()
        branch = self.record.leave_behind(self._start, before=self._before, note=note, weights=weights)
        self._ahead = set()
        events = self.record.events()
        until = OverheadBudget.continued(self.cost.budget, [event for event in events if event.step <= self._start])
        self.cost.went_back(OverheadBudget.continued(self.cost.budget, events), until)
        warn(
            f"record {self.record.folder}: {note}. What it had of later steps stays on disk as {branch.name} and is in "
            "no curve any more; `ontogeny record show` lists it"
        )

    def _note(self, step: int, kind: EventKind, **about: Any) -> list[Row]:
        return self.record.append([Event(run=self.record.run, step=step, kind=kind, **about)])

    def verdict(self, step: int, *, force: bool) -> str:
        """What to do at a due step: "probe", "known" or "over the budget".

        A step over the budget is recorded as left out once it is past, since the last one is read whatever it costs.
        """
        if self.cost.pending not in (None, step):
            past, self.cost.pending = self.cost.pending or 0, None
            note = f"left out to stay within {self.cost.budget:.1%} of wall time"
            self.cost.skipped += len(self._note(past, "cost", metric="left out", note=note))
        if self._is_probed(step):
            return "known"
        if not (force or step == 0 or self.cost.allows_probe()):
            self.cost.pending = step
            return "over the budget"
        self.cost.pending = None
        return "probe"

    def write(self, scored: ScoredSnapshot) -> list[Row]:
        """The rows on disk, in one piece; then the line, then the sinks.

        Args:
            scored: what was read and scored, here or by a worker of a replay.

        Returns:
            The rows that were written.

        Raises:
            ProbeError: with `on_error="raise"`, once all is written: the task or a metric failed.
        """
        rows = self.complete(scored)
        self.cost.seconds.append(rows[-1].value or 0.0)
        self.cost.count(scored.stages)
        failed = scored.failed
        for name in (name for name in failed if name not in self._failing):
            say(f"{name} is refused at step {scored.step}: {failed[name]}")
        self._failing = failed
        blank = Event(run=self.record.run, step=scored.step, kind="cost", metric="share of wall time", unit="share")
        share = [replace(blank, value=self.cost.share)] if self.cost.running else []
        written = self.record.append([*share, *rows])
        self._surfaces.after(written)
        if self.settings.say_every and len(self.cost.seconds) % self.settings.say_every == 0:
            say(progress_line(written, self._surfaces.of(self.record)), log=True)
        write(self.sinks, scored.step, metric_keys(written, self.settings.weights))
        self.cost.drawing += self._refresh(self.sinks, self.record, sum(self.cost.seconds))
        if failed and self.settings.on_error == "raise":
            why = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise ProbeError(f"the probe at step {scored.step} is recorded, but for what failed: {why}")
        return written

    def complete(self, scored: ScoredSnapshot) -> list[Row]:
        """All rows of a probe: its own, those that no model moves and the record lacks, and its closing event."""
        start = time.perf_counter()
        fixed = constants(scored.rows, self.watched, self.record.run, done=self._with_constants())
        closing = Event(
            run=self.record.run,
            step=scored.step,
            kind="probe",
            metric="seconds",
            value=scored.seconds + time.perf_counter() - start,
            unit="s",
            weights=scored.weights,
            note=", ".join([f"{self.settings.weights} weights", *scored.notes]),
        )
        return [*scored.rows, *fixed, closing]

    def _with_constants(self) -> set[str]:
        """Benchmarks of which the record has what no model moves; asked of the record until it has all."""
        if not self._constant.issuperset(one.benchmark.benchmark.name for one in self.watched if one.controls):
            rows = self.record.select(step=0, kind=["control", "baseline"])
            self._constant = {r.benchmark for r in rows if r.kind == "baseline" or r.layer == "random features"}
        return self._constant

    def refused(self, step: int, layer: str, reason: str) -> None:
        """Record what could not be read at a step, and why."""
        self._note(step, "refusal", layer=layer, note=reason)

    def rehearsed(self, lines: Sequence[str]) -> None:
        """Report what a rehearsal found, before training, and keep it in record.json."""
        for line in lines:
            say(line)
        self.record.note("rehearsal", list(lines))

    def describe_task(self, line: str) -> None:
        """Say a line about the task, and keep it in record.json."""
        say(line)
        self.record.note("task", line)

    def waits(self, step: int, why: Exception) -> None:
        """Say that this step cannot be read, and record it."""
        say(f"step {step} is not read: {why}")
        self._note(step, "cost", metric="left out", note=str(why))

    def failed(self, step: int, error: BaseException) -> None:
        """Warn of a probe that failed, and record it; of one whose rows are stored, say what failed after that."""
        reason = f"{type(error).__name__}: {error}"
        try:
            if self._is_probed(step):
                warn(f"the probe at step {step} is recorded; what failed after that, and training goes on: {reason}")
                return
            warn(f"the probe at step {step} failed and training goes on: {reason}")
            self.refused(step, "(whole probe)", reason)
        except BaseException as second:  # the record of a failure must not end training either
            if has_to_pass(second):
                raise
            warn(f"nor could that be recorded: {second}")

    def finish(self) -> None:
        """Let the sinks finish, and say in a line what watching cost, once; others may write there from now on."""
        try:
            self._settle()
            if not self._finished and self.cost.seconds:
                self._finished = True
                finish(self.sinks, self.record)
                say(f"{self.cost.line()}; record {self.record.folder}")
        finally:
            self.record.close()

    def _settle(self) -> None:
        """Where the training went past its start and never met what the record had of later steps, that is a branch."""
        beyond = {event.step for event in self.record.events(kind="probe")} - self._ahead
        if self._ahead and not self._agreed and any(step > self._start for step in beyond):
            self._leave_behind(f"it ended at step {max(beyond)} without passing steps that were probed before", "")

    def _is_probed(self, step: int) -> bool:
        closing = Event(run=self.record.run, step=step, kind="probe", metric="seconds")
        return self.record.get(closing.key) is not None


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
