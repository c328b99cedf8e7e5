"""Session: one training's stay in a record. Is it the record's own run, and does it go on as the record has it?

Where it begins, the record may know the weights of that step: if they differ, another run wrote there, and this one is
refused before it trains. So it is where the record knows earlier steps and not this one: whose they are is not known.
Later steps that the record knows already are compared when they come: where weights differ, the run was rolled back and
went on differently, and what the record has of later steps becomes a branch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny.errors import ProbeError, RecordError
from ontogeny.extraction.fsdp1 import gathered
from ontogeny.extraction.process_group import ProcessGroup, is_first
from ontogeny.extraction.weights import deployed_weights, weights_hash
from ontogeny.monitoring._going_on import BeforeTrainingError
from ontogeny.monitoring._overhead import OverheadBudget
from ontogeny.monitoring._settings import Settings
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.recorder import Recorder
from ontogeny.record import Record, Row
from ontogeny.sinks import Sink

__all__ = ["OtherRunError", "Session", "UnreadableError", "read_hash"]


class OtherRunError(RecordError, BeforeTrainingError):
    """The record belongs to another run."""


class UnreadableError(ProbeError, BeforeTrainingError):
    """No row could come of this model, or not without a trace."""


def read_hash(model: nn.Module, ranks: ProcessGroup, optimizers: Sequence[Any], *, like: str = "") -> str:
    """Hash of the weights that a probe would read, on the first rank; every rank has to ask.

    Args:
        model: as for a probe.
        ranks: who reads.
        optimizers: of the model.
        like: see `ontogeny.extraction.weights.weights_hash`.
    """

    def read() -> str:
        with gathered(model, ranks.timeout):
            return weights_hash(model, like=like)

    with deployed_weights(optimizers):
        return next(iter(ranks.each(read)), "")


class Session:
    """One training in one record, on every rank; on the first one with the recorder that writes it.

    Args:
        watched: benchmarks with their probes.
        settings: of the monitor.
        sinks: where the numbers go beside the record; a list that may grow.
    """

    def __init__(self, watched: Sequence[BenchmarkProbe], settings: Settings, sinks: list[Sink]) -> None:
        self._made_of = (watched, settings, sinks)
        self._together = settings.distributed
        self.folder: Path | None = None
        self.recorder: Recorder | None = None
        self.begin()

    def open(self, folder: str | os.PathLike[str]) -> None:
        """Write into this folder; a training begins there.

        Raises:
            RecordError: see `Recorder`.
        """
        self.folder = Path(folder)
        self.recorder = self._opened() if is_first() or not self._together else None
        self.begin()

    def begin(self) -> None:
        """The next step is the first one of a training: its weights are the record's, if that knows the step."""
        self.last_step: int | None = None
        self._begun = False
        self._reached = -1
        self._ahead: set[int] = set()

    def writer(self) -> Recorder:
        """Asked for on the first rank alone; made now where no launcher had said that this is the first.

        Raises:
            RecordError: no folder is chosen yet; or see `Recorder`.
        """
        if self.recorder is None:
            self.recorder = self._opened()
        return self.recorder

    def _opened(self) -> Recorder:
        if self.folder is None:
            raise RecordError("this monitor has no record yet: give it one by open(folder)")
        watched, settings, sinks = self._made_of
        return Recorder(watched, self.folder, settings, sinks)

    @property
    def record(self) -> Record:
        """The record; on other ranks than the first, as it lies on disk by now.

        Raises:
            RecordError: it is not chosen yet.
        """
        if self.folder is None:
            raise RecordError("this monitor has no record yet: it is chosen when training starts")
        return self.recorder.record if self.recorder is not None else Record(self.folder)

    def meet(
        self, model: nn.Module, step: int, get_ranks: Callable[[], ProcessGroup], optimizers: Sequence[Any]
    ) -> bool:
        """Compare weights where the record knows this step from before; every rank calls this at every step.

        Args:
            model: as for a probe.
            step: optimizer updates done.
            get_ranks: the ranks, asked for where there is something to compare.
            optimizers: of the model.

        Returns:
            Whether a training begins at this step.

        Raises:
            OtherRunError: at the first step of the session, they differ, or the record has rows of earlier steps and
                not the weights of this one, or another process writes into it. Steps that go back are another first
                step: a second loop, or a run that was rolled back, to a step that need not have been noted.
        """
        back, self._reached = step < self._reached, step
        if self._begun and not back and step not in self._ahead:
            return False
        ranks = get_ranks()
        if back or not self._begun:
            known = not back or ranks.once(lambda: bool(self.writer().known_weights(step)))
            text = ranks.once(lambda: self.writer().taken())
            text = text or (self.other_run(model, step, ranks, optimizers) if known else "")
            if text:
                raise OtherRunError(text)
            self._ahead = set(ranks.once(lambda: self.writer().begin(step)) or ())
            self._begun = True
            return True
        like = ranks.once(lambda: self.writer().known_weights(step)) or ""
        weights, _ = self._hashed(model, ranks, optimizers, like=like)
        self._ahead.discard(step)
        if ranks.once(lambda: self.writer().meet(step, weights)):
            self._ahead.clear()
        return False

    def other_run(self, model: nn.Module, step: int, ranks: ProcessGroup, optimizers: Sequence[Any]) -> str:
        """Why these weights are another run's, or may be; "" where nothing says so; every rank asks."""
        like = ranks.once(lambda: self.writer().known_weights(step))
        if not like:
            return ranks.once(lambda: self.writer().unknown_start(step)) or ""
        weights, _ = self._hashed(model, ranks, optimizers, like=like)
        return ranks.once(lambda: self.writer().other_run(step, weights)) or ""

    def saved(
        self, model: nn.Module, step: int, get_ranks: Callable[[], ProcessGroup], optimizers: Sequence[Any]
    ) -> list[Row]:
        """Note the weights of a checkpoint, where the record does not know them yet; every rank calls this."""
        ranks = get_ranks()
        if ranks.once(lambda: self.writer().known_weights(step)):
            return []
        weights, seconds = self._hashed(model, ranks, optimizers)
        return ranks.once(lambda: self.writer().saved(step, weights, seconds), spread=False) or []

    def finish(self) -> list[Row]:
        """Let sinks finish, and say what watching cost; nothing is written."""
        if self.recorder is not None:
            self.recorder.finish()
        return []

    @property
    def cost(self) -> OverheadBudget:
        """What watching has cost so far; on other ranks than the first, as the record has it."""
        if self.recorder is not None:
            return self.recorder.cost
        return OverheadBudget.continued(None, self.record.events())

    def _hashed(
        self, model: nn.Module, ranks: ProcessGroup, optimizers: Sequence[Any], *, like: str = ""
    ) -> tuple[str, float]:
        """The hash, and how many seconds it took, which are counted as a cost of watching."""
        start = time.perf_counter()
        weights = read_hash(model, ranks, optimizers, like=like)
        seconds = time.perf_counter() - start
        if ranks.first:
            self.writer().cost.hashing += seconds
        return weights, seconds
