"""Ray: checkpoints are tasks of a Ray cluster. ray stands behind this module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ontogeny.errors import ConfigError, require
from ontogeny.replay._worker import CheckpointResult, Order, SeriesJob, failed, measure_fetched

__all__ = ["Ray"]

_RETRIES = 3
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ray:
    """Measure on a Ray cluster.

    A task whose worker or machine dies is begun again by Ray, three times at most. All machines need the same packages,
    and reach the same files, or the hub.

    Args:
        workers: most checkpoints at once; None: as many as the cluster has room for.
        address: "auto" for the cluster that this machine belongs to, "host:port", "ray://host:port"; None: one of this
            process' own, on this machine (or the one that ray.init was called for already).
        cpus: of one worker.
        gpus: of one worker; .5 lets two share one.
    """

    workers: int | None = None
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"there should be at least 1 worker, got {self.workers}")
        if self.cpus < 0 or self.gpus < 0 or not self.cpus + self.gpus:
            raise ConfigError(f"a worker needs CPUs or GPUs, got {self.cpus} and {self.gpus}")

    def places(self) -> int:
        """As many as the cluster has room for, now; it may grow."""
        there = self._ray().cluster_resources()
        needed = {"CPU": self.cpus, "GPU": self.gpus}
        room = min(int(there.get(name, 0) / amount) for name, amount in needed.items() if amount)
        if not room:
            has = ", ".join(f"{there.get(name, 0):g} {name}s" for name in needed)
            raise ConfigError(f"no machine of this Ray cluster has room for a worker: it has {has}, wanted {needed}")
        return room if self.workers is None else min(room, self.workers)

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, CheckpointResult]]:
        """Every order with what came of it, as they come."""
        ray, source, jobs = self._ray(), iter(orders), _Jobs()
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=_RETRIES)(measure_fetched)
        running: dict[Any, Order] = {}
        try:
            while True:
                while len(running) < self.places() and (order := next(source, None)) is not None:
                    job, item = order
                    running[task.remote(jobs.sent(ray, job), item)] = order
                if not running:
                    return
                for reference in ray.wait(list(running), timeout=_PATIENCE)[0]:
                    done = running.pop(reference)
                    yield done, _came(ray, reference, done)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _ray(self) -> Any:
        ray = require("ray", "ray")
        if not ray.is_initialized():
            own = self.address is None
            options = {"num_cpus": self.workers, "include_dashboard": False} if own else {"address": self.address}
            ray.init(log_to_driver=False, **options)
        return ray


class _Jobs:
    """A job goes to the cluster once."""

    def __init__(self) -> None:
        self._job: SeriesJob | None = None
        self._reference: Any = None

    def sent(self, ray: Any, job: SeriesJob) -> Any:
        if job is not self._job:
            self._job, self._reference = job, ray.put(job)
        return self._reference


def _came(ray: Any, reference: Any, order: Order) -> CheckpointResult:
    try:
        found: CheckpointResult = ray.get(reference)
    except ray.exceptions.RayError as error:
        inner = getattr(error, "cause", None) or error
        lines = [line for line in str(inner).strip().splitlines() if line] or [repr(inner)]
        reason = f"its Ray worker failed: {type(inner).__name__}: {lines[-1] if inner is not error else lines[0]}"
        return failed(order, reason)
    return found
