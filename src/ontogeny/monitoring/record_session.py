"""Session: one training's stay in a record. Is it the record's own run, and does it go on as the record has it?

Where it begins, the record may know the weights of that step: if they differ, another run wrote there, and this one is
refused before it trains. So it is where the record knows earlier steps and not this one: whose they are cannot be told.
Later steps that the record knows already are compared when they come: where weights differ, the run was rolled back and
went on differently, and what the record has of later steps becomes a branch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ontogeny.errors import ProbeError, RecordError
from ontogeny.extraction.process_group import ProcessGroup
from ontogeny.extraction.weights import deployed_weights, weights_hash
from ontogeny.monitoring.recorder import Recorder

__all__ = ["BeforeTrainingError", "OtherRunError", "Session", "UnreadableError", "read_hash"]


class BeforeTrainingError(Exception):
    """Said whatever `on_error` is, before anything is trained."""


class OtherRunError(RecordError, BeforeTrainingError):
    """The record belongs to another run."""


class UnreadableError(ProbeError, BeforeTrainingError):
    """No row could come of this model, or not without a trace."""


def read_hash(model: nn.Module, ranks: ProcessGroup, optimizers: Sequence[Any]) -> str:
    """Hash of the weights that a probe would read, on the first rank; every rank has to ask."""
    with deployed_weights(optimizers):
        return next(iter(ranks.each(lambda: weights_hash(model))), "")


class Session:
    """One training, on every rank.

    Args:
        writer: of the record; asked for on the first rank alone.
    """

    def __init__(self, writer: Callable[[], Recorder]) -> None:
        self._writer = writer
        self._begun = False
        self._reached = -1
        self._ahead: set[int] = set()

    def meet(self, model: nn.Module, step: int, asked: Callable[[], ProcessGroup], optimizers: Sequence[Any]) -> bool:
        """Compare weights where the record knows this step from before; every rank calls this at every step.

        Args:
            model: as for a probe.
            step: optimizer updates done.
            asked: the ranks, asked for where there is something to compare.
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
        ranks = asked()
        if back or not self._begun:
            known = not back or ranks.once(lambda: bool(self._writer().known_weights(step)))
            text = ranks.once(lambda: self._writer().taken())
            text = text or (self.other_run(model, step, ranks, optimizers) if known else "")
            if text:
                raise OtherRunError(text)
            self._ahead = set(ranks.once(lambda: self._writer().begin(step)) or ())
            self._begun = True
            return True
        weights, _ = self._hashed(model, ranks, optimizers)
        self._ahead.discard(step)
        if ranks.once(lambda: self._writer().meet(step, weights)):
            self._ahead.clear()
        return False

    def other_run(self, model: nn.Module, step: int, ranks: ProcessGroup, optimizers: Sequence[Any]) -> str:
        """Why these weights are another run's, or may be; "" where nothing says so; every rank asks."""
        if not ranks.once(lambda: self._writer().known_weights(step)):
            return ranks.once(lambda: self._writer().unknown_start(step)) or ""
        weights, _ = self._hashed(model, ranks, optimizers)
        return ranks.once(lambda: self._writer().other_run(step, weights)) or ""

    def saved(self, model: nn.Module, step: int, ranks: ProcessGroup, optimizers: Sequence[Any]) -> None:
        """Note the weights of a checkpoint, where the record does not know them yet; every rank calls this."""
        if not ranks.once(lambda: self._writer().known_weights(step)):
            weights, seconds = self._hashed(model, ranks, optimizers)
            ranks.once(lambda: self._writer().saved(step, weights, seconds))

    def _hashed(self, model: nn.Module, ranks: ProcessGroup, optimizers: Sequence[Any]) -> tuple[str, float]:
        """The hash, and how many seconds it took, which are counted as a cost of watching."""
        start = time.perf_counter()
        weights = read_hash(model, ranks, optimizers)
        seconds = time.perf_counter() - start
        if ranks.first:
            self._writer().cost.hashing += seconds
        return weights, seconds
