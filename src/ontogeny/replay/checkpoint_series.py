"""CheckpointSeries: saved weights of one run, addressed by step; and what was wrong with some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from torch import nn
from typing_extensions import override

from ontogeny._display import one_line
from ontogeny.errors import CheckpointError

__all__ = ["FINISHED", "UPDATES", "CheckpointProblem", "CheckpointSeries", "Kind", "chosen"]

Kind = Literal["missing", "damaged", "unusable", "twice", "gap", "unread", "tokens"]
T = TypeVar("T")

UPDATES = "optimizer updates"
FINISHED = "finished models"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointProblem:
    """One thing that is wrong with a series; the rest of it can be used.

    Args:
        kind: "missing": a step that was asked for or announced is not there; "damaged": cut off or corrupt; "unusable":
            whole, but not to be read as it is (no weights, other weights than asked for, a renamed folder); "twice":
            two checkpoints of one step; "gap": steps that were saved once and are gone; "unread": a name that does not
            say its step; "tokens": a name whose token count does not fit its step.
        what: the file, folder, revision or repository.
        reason: what is wrong, and what was done about it.
        step: optimizer updates, where known.
    """

    kind: Kind
    what: str
    reason: str
    step: int | None = None

    @override
    def __str__(self) -> str:
        return f"{self.kind}: {self.what}: {self.reason}"


def _nothing(_: int) -> None:
    """Fetch or forget what already lies on this machine: nothing to do, nothing is deleted."""


def _no_bytes(_: int) -> int | None:
    """Nothing to download."""
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSeries:
    """Saved weights of one run.

    Nothing is downloaded or loaded before it is asked for. `load(step)` fetches what it needs; `fetch(step)` does only
    that, so that it can run ahead. A series of this package can be sent to another process, where what makes its
    models is an address or stands in a module.

    Args:
        name: of the run.
        steps: optimizer updates, rising (see `unit`).
        load: step -> the model, in eval mode, at these weights.
        where: step -> what a message calls this checkpoint: a path, or "repository@revision".
        tokens: one per step: tokens seen, None where not known; () where none are.
        size: step -> bytes that `fetch` would download: 0 where nothing, None where not known.
        fetch: step -> get it onto this machine; does nothing the second time, goes on after an interruption.
        forget: step -> delete what `fetch` downloaded; never a file of the user's own.
        read_ahead: step -> have its file in the system's cache; called while another step is being scored.
        reload: a model of another step, step -> whether it now has the weights of this step and is as `load` would make
            it; False where it has to be made anew. None: each is.
        tokenizer: step -> the tokenizer that lies beside the weights; None where the source has none.
        transform: step -> the function image -> tensor that the model takes images by; None where the source has none.
        problems: what was found wrong while listing.
        unit: what `steps` count; "optimizer updates" but where names say only an epoch, or where each is a finished
            model.
        notes: how the steps were found, where no template says so; what contradicts it without being used.
    """

    name: str
    steps: tuple[int, ...]
    load: Callable[[int], nn.Module]
    where: Callable[[int], str]
    tokens: tuple[int | None, ...] = ()
    size: Callable[[int], int | None] = _no_bytes
    fetch: Callable[[int], None] = _nothing
    forget: Callable[[int], None] = _nothing
    read_ahead: Callable[[int], None] = _nothing
    reload: Callable[[nn.Module, int], bool] | None = None
    tokenizer: Callable[[int], Any] | None = None
    transform: Callable[[int], Any] | None = None
    problems: tuple[CheckpointProblem, ...] = ()
    unit: str = UPDATES
    notes: tuple[str, ...] = ()

    __repr__ = one_line

    def __post_init__(self) -> None:
        if list(self.steps) != sorted(set(self.steps)):
            raise CheckpointError(f"the steps of {self.name!r} are not rising: {_few(self.steps)}")
        if self.tokens and len(self.tokens) != len(self.steps):
            raise CheckpointError(f"{self.name!r} has {len(self.steps)} steps but {len(self.tokens)} token counts")

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def downloads(self) -> bool:
        """Whether checkpoints have to be fetched; else they lie on this machine."""
        return self.fetch is not _nothing

    def tokens_at(self, step: int) -> int | None:
        """Tokens seen at a step; None where not known."""
        return dict(zip(self.steps, self.tokens, strict=True)).get(step) if self.tokens else None

    def only(self, steps: Iterable[int]) -> CheckpointSeries:
        """The same series at fewer steps; a step that is not there becomes a problem, the rest goes on.

        Args:
            steps: optimizer updates, in any order.
        """
        requested = sorted(set(steps))
        kept = tuple(step for step in requested if step in set(self.steps))
        lost = tuple(
            CheckpointProblem(
                kind="missing", what=self.name, step=step, reason=f"no checkpoint at step {step}; {self._near(step)}"
            )
            for step in requested
            if step not in set(kept)
        )
        tokens = tuple(self.tokens_at(step) for step in kept) if self.tokens else ()
        return replace(self, steps=kept, tokens=tokens, problems=(*self.problems, *lost))

    def nearest(self, steps: Iterable[int]) -> CheckpointSeries:
        """The same series at the saved steps that are nearest to these, by their logarithms.

        Args:
            steps: optimizer updates at which one would like to look, in any order.
        """
        there = np.log1p(np.asarray(self.steps, dtype=np.float64))
        requested = np.log1p(np.asarray(sorted(set(steps)), dtype=np.float64))
        after = np.clip(np.searchsorted(there, requested), 1, max(len(there) - 1, 1))
        if len(there) < 2:
            return self
        near = np.where(requested - there[after - 1] <= there[after] - requested, after - 1, after)
        return self.only(self.steps[place] for place in np.unique(near))

    def _near(self, step: int) -> str:
        return _nearest(step, self.steps)


def chosen(at: Mapping[int, T], step: int, name: str) -> T:
    """What belongs to a step.

    Raises:
        CheckpointError: the series has no such step.
    """
    if step not in at:
        raise CheckpointError(f"{name} has no checkpoint at step {step}; {_nearest(step, at)}")
    return at[step]


def _nearest(step: int, steps: Iterable[int]) -> str:
    near = sorted(sorted(steps, key=lambda other: abs(other - step))[:2])
    return f"the nearest are {' and '.join(map(str, near))}" if near else "it has none at all"


def _few(steps: Iterable[int]) -> str:
    shown = list(steps)
    return ", ".join(map(str, shown[:8])) + (", ..." if len(shown) > 8 else "")
