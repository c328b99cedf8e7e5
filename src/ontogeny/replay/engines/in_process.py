"""Here: checkpoints one after the other, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ontogeny.replay._prefetch import prefetched
from ontogeny.replay._worker import CheckpointResult, ModelInUse, Order, failed, measure, one_line

__all__ = ["Here"]


@dataclass(frozen=True, slots=True)
class Here:
    """Measure in this process; the next checkpoint is downloaded or read meanwhile. At most two are on disk."""

    def places(self) -> int:
        """One."""
        return 1

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, CheckpointResult]]:
        """Every order with what came of it, in their order."""
        using = ModelInUse()
        with contextlib.closing(prefetched(orders)) as arrivals:
            for order, error in arrivals:
                if error is not None:
                    yield order, failed(order, one_line(error))
                else:
                    yield order, measure(*order, using)
