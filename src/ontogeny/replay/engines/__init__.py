"""Engines: where checkpoints are measured. The rows are the same; they differ in what may be lost with a machine.

    in_process.py      Here: in this process, the next checkpoint is downloaded meanwhile
    local_workers.py   Local: processes on this machine; one that dies is replaced, and its checkpoint begun again
    ray_cluster.py     Ray: a Ray cluster; a worker or machine that dies is replaced by Ray, GPUs are given out by
                       resources

Whoever runs an engine alone writes the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from ontogeny.replay._worker import CheckpointResult, Order
from ontogeny.replay.engines.in_process import Here
from ontogeny.replay.engines.local_workers import Local
from ontogeny.replay.engines.ray_cluster import Ray

__all__ = ["Engine", "Here", "Local", "Ray"]


@runtime_checkable
class Engine(Protocol):
    """What an engine is."""

    def places(self) -> int:
        """How many checkpoints can be measured at once."""
        ...

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, CheckpointResult]]:
        """Every order with what came of it, in any order. Orders are taken when there is a free place for them."""
        ...
