"""ProcessGroup: the processes of one distributed run, as far as a probe needs them.

Every rank comes to every probe. The stimuli are shared out, the first rank gathers, scores and writes, and no rank is
left waiting: what fails on one rank is raised on all.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor, nn

from ontogeny._messages import has_to_pass
from ontogeny.errors import ConfigError, ProbeError
from ontogeny.extraction.fsdp1 import require_whole
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.wrappers import fsdp1_units

__all__ = [
    "SINGLE_PROCESS",
    "LostRankError",
    "ProcessGroup",
    "current_process_group",
    "is_first",
    "is_sharded",
    "n_ranks",
    "require_supported_sharding",
]

T = TypeVar("T")


class LostRankError(ProbeError):
    """Another rank did not come in time: what this probe shares between ranks has an end."""


_GROUPS: dict[timedelta, tuple[Any, Any]] = {}
_ALL: list[Any] = []


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among those of its run.

    Args:
        rank: this process, 0 for the one that writes.
        size: how many there are.
        group: the process group that probes talk over (gloo, apart from the training's own).
        timeout: how long a rank waits for another one.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    timeout: timedelta = timedelta(hours=1)

    @property
    def first(self) -> bool:
        """Whether this is the rank that scores and writes."""
        return self.rank == 0

    def each(self, work: Callable[[], T]) -> list[T]:
        """Do `work` on every rank.

        Returns:
            The results in the order of ranks on the first rank, an empty list on the others.

        Raises:
            ProbeError: it failed on any rank; raised on all of them. Alone, and on the rank itself, its own error;
                where ranks failed in different ways, as when one waited for another, the first one's tells of all.
        """
        if self.size == 1:
            return [work()]
        result, error = _tried(work)
        sent: list[Any] = [None] * self.size if self.first else []
        with self._within_timeout():
            dist.gather_object((result, _error_text(error)), sent if self.first else None, dst=0, group=self.group)
        failed = [f"rank {rank} of {self.size}: {why}" for rank, (_, why) in enumerate(sent) if why]
        if type(error) is ProbeError and len({why for _, why in sent if why}) > 1:
            error = ProbeError("; ".join(failed))
        self._raise_together("; ".join(failed), error)
        return [value for value, _ in sent]

    def once(self, work: Callable[[], T], *, spread: bool = True) -> T | None:
        """Do `work` on the first rank alone.

        Args:
            work: what to do.
            spread: give the result to the other ranks too.

        Returns:
            The result; None on the other ranks where it is not spread.

        Raises:
            ProbeError: it failed; on the first rank its own error.
        """
        if self.size == 1:
            return work()
        result, error = _tried(work) if self.first else (None, None)
        self._raise_together(_error_text(error), error)
        return self._from_first(result) if spread else result

    def first_buffers(self, model: nn.Module) -> dict[str, Tensor]:
        """The first rank's buffers, which a checkpoint holds: running statistics differ between ranks after a step.

        Empty for a process that is alone.
        """
        buffers = dict(model.named_buffers())
        if self.size == 1 or not buffers:
            return {}
        own_buffers = {name: value.cpu() for name, value in buffers.items()} if self.first else None
        found: dict[str, Tensor] = self._from_first(own_buffers)
        return found

    def _raise_together(self, why: str, own: BaseException | None) -> None:
        why = self._from_first(why)
        if own is not None:
            raise own
        if why:
            raise ProbeError(why)

    def _from_first(self, item: Any) -> Any:
        box = [item]
        with self._within_timeout():
            dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]

    @contextmanager
    def _within_timeout(self) -> Iterator[None]:
        """Where a rank did not come in time, the connections are broken: the next probe makes new ones."""
        try:
            yield
        except RuntimeError as error:
            if (known := _GROUPS.get(self.timeout)) is not None and known[1] is self.group:
                del _GROUPS[self.timeout]
            raise LostRankError(
                f"rank {self.rank} of {self.size} waited for another rank, which hangs, has ended or needs longer than "
                f"{self.timeout.total_seconds():g} s (probe_timeout=seconds): {error}"
            ) from error


SINGLE_PROCESS = ProcessGroup()


def current_process_group(seconds: float = 3600) -> ProcessGroup:
    """The ranks of this process's run; `SINGLE_PROCESS` outside a distributed run.

    The first call has to be made on every rank: it makes a process group for the probes, on gloo, so that scoring on
    one rank never meets the time limit of the training's own collectives.

    Args:
        seconds: how long a rank waits for another one, the first one's scoring included.
    """
    if n_ranks() == 1:
        return SINGLE_PROCESS
    world = dist.group.WORLD
    timeout = timedelta(seconds=seconds)
    known = _GROUPS.get(timeout)
    if known is None or known[0] is not world:
        known = (world, dist.new_group(backend="gloo", timeout=timeout))
        _GROUPS[timeout] = known
        if not _ALL:
            atexit.register(_leave)
        _ALL.append(known[1])
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), known[1], timeout)


def n_ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _leave() -> None:
    """End the groups before the interpreter does: threads of gloo that outlive it would abort the process."""
    for group in _ALL:
        if dist.is_initialized():
            dist.destroy_process_group(group)
    _ALL.clear()
    _GROUPS.clear()


def is_first() -> bool:
    """Whether this process writes; by its launcher's environment as long as no process group is there."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    if "LOCAL_RANK" in os.environ:
        return os.environ["LOCAL_RANK"] == "0" and os.environ.get("NODE_RANK", "0") == "0"
    return os.environ.get("SLURM_PROCID", "0") == "0"


def is_sharded(model: nn.Module) -> bool:
    """Whether a forward pass needs every rank at once: FSDP2 and tensor parallel (DTensors), units inside FSDP1's."""
    bare = plain_model(model)
    return bool(fsdp1_units(bare)) or any(hasattr(p, "full_tensor") for p in bare.parameters())


def require_supported_sharding(model: nn.Module) -> None:
    """Say that a model cannot be read, before training starts.

    Raises:
        ConfigError: DeepSpeed's ZeRO-3, whose weights are whole only inside the trainer's own forward pass; or a part
            of a model under FSDP1, whose weights the unit around it holds.
    """
    require_whole(model)
    if any(hasattr(p, "ds_id") for p in model.parameters()):
        raise ConfigError(
            "a model under DeepSpeed ZeRO stage 3 cannot be read while it trains: its weights are whole only inside "
            "the trainer's own forward pass. Use DDP or FSDP, or replay the saved checkpoints"
        )


def _tried(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:  # SystemExit too: carried to the first rank, raised on all
        if has_to_pass(error) or isinstance(error, LostRankError):
            raise
        return None, error


def _error_text(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"
