"""A trainer's own held-out data as the task, where the user named none: read once, without a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

from ontogeny.errors import ProbeError
from ontogeny.monitoring.heldout._plain_datasets import in_memory
from ontogeny.monitoring.heldout.loss import HeldOutLoss, Measured
from ontogeny.monitoring.monitor import Monitor

__all__ = ["HeldOut", "first_of", "of_one_process", "offer_held_out"]

_MOST_VALUES = 1_000_000
_MOST_BYTES = 2 * 10**9
_INSTEAD = (
    "Say how it is measured: task=HeldOutLoss(batches, loss=f) where f(model, batch) gives the loss of each case; or "
    "task=g where g(model) gives a list of ontogeny.monitoring.heldout.loss.Measured; or task=False"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """What a trainer holds out.

    Args:
        about: whose and which of them, or why there are none.
        batches: a loader that nothing else reads now; None where there is none.
        own: what computes the trainer's own loss, where it is not the model's.
    """

    about: str
    batches: Any = None
    own: str = ""


def offer_held_out(monitor: Monitor, find: Callable[[], HeldOut]) -> None:
    """Give a monitor that has no task, and wants one, the trainer's own.

    Every rank calls this. Data that cannot be read become a task that is refused at each probe with the reason, so that
    all ranks still measure together.

    Args:
        monitor: one with a task, or with task=False, is left alone.
        find: asked where a task is wanted; what it raises is shown, and ends nothing.
    """
    if monitor.runner.wants_task:
        monitor.runner.take_task(*_task_of(find), first=monitor.session.recorder is not None)


def _task_of(find: Callable[[], HeldOut]) -> tuple[_Offered | _Unread | None, str]:
    try:
        held = find()
        if held.batches is None:
            return None, held.about
        _refuse_large(held.batches)
        task = HeldOutLoss(held.batches)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the user's own data; the alignment is not lost with it
        reason = f"the trainer's held-out data cannot be read ({type(error).__name__}: {error})"
        return _Unread(reason), f"{reason}; pass task=HeldOutLoss(batches), or task=False"
    many = "its only batch" if len(task) == 1 else f"its first {len(task)} batches"
    by = f", by HeldOutLoss and not by {held.own}" if held.own else ""
    return _Offered(task), f"task: loss on {held.about}, {many}, read once{by}; task= takes another, task=False none"


def _refuse_large(batches: Any) -> None:
    """Refuse unasked to keep a copy of a large data set that a user's own code reads.

    Raises:
        ProbeError: it is one.
    """
    values, size = in_memory(batches, _MOST_VALUES)
    if values >= _MOST_VALUES or size > _MOST_BYTES:
        raise ProbeError(
            f"its data set holds {values:,} values or more and {size / 1e9:.1f} GB in memory, which would have to be "
            "kept while a batch is read; list(itertools.islice(loader, 16)) is short enough"
        )


@dataclass(frozen=True, slots=True)
class _Offered:
    """The loss on data that were not named; where they are of no form that it knows, the refusal says what to pass."""

    loss: HeldOutLoss

    def __call__(self, model: nn.Module) -> Sequence[Measured]:
        try:
            return self.loss(model)
        except ProbeError as error:
            raise ProbeError(f"{error}. {_INSTEAD}") from error


@dataclass(frozen=True, slots=True)
class _Unread:
    """A task that cannot be measured."""

    reason: str

    def __call__(self, model: nn.Module) -> tuple[Measured, ...]:  # noqa: ARG002 - it cannot be measured
        raise ProbeError(self.reason)


def of_one_process(loader: Any) -> Any:
    """A loader that gives all of its data, in the order of one process, where a sampler shares them out among ranks."""
    sampler = getattr(loader, "sampler", None)
    if not isinstance(loader, DataLoader) or not isinstance(sampler, DistributedSampler):
        return loader
    whole, n = copy.copy(sampler), len(sampler.dataset)  # type: ignore[arg-type]
    whole.num_replicas, whole.rank, whole.num_samples, whole.total_size = 1, 0, n, n
    alone, batches = copy.copy(loader), copy.copy(loader.batch_sampler)
    if getattr(batches, "sampler", None) is sampler:
        batches.sampler = whole  # type: ignore[union-attr]
    alone.__dict__.update(sampler=whole, batch_sampler=batches)  # a loader refuses to be given another sampler
    return alone


def first_of(loaders: Any) -> tuple[Any, int]:
    """The first of a loader, or of a list or dict of them however nested; and how many there are."""
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    if not isinstance(loaders, list | tuple):
        return loaders, int(loaders is not None)
    found = [first_of(each) for each in loaders]
    return next((one for one, many in found if many), None), sum(many for _, many in found)
