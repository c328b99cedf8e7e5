"""Local: worker processes on this machine.

Each has a pipe of its own, so that it is known which checkpoint a worker had when it died (killed, out of memory).
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch

from ontogeny.errors import ConfigError
from ontogeny.replay._worker import CheckpointResult, ModelInUse, Order, SeriesJob, failed, measure_fetched, one_line

__all__ = ["ATTEMPTS", "Local"]

ATTEMPTS = 3
_PATIENCE = 20.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_starting = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Measure in several processes on this machine.

    The cores are shared out among them, and so are the GPUs, one process after the other. A process that dies is
    replaced and its checkpoint begun again, three times at most. Each holds one model, and one download on disk. A
    script that uses them has its main part under `if __name__ == "__main__":`, since each process imports it.

    Args:
        workers: how many processes.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"there should be at least 1 worker, got {self.workers}")

    def places(self) -> int:
        """As many as there are workers."""
        return self.workers

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, CheckpointResult]]:
        """Every order with what came of it, as they come."""
        source, taking = iter(orders), threading.Lock()
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ended = threading.Event()
        workers = [_Worker(number, self.workers, ended) for number in range(self.workers)]

        def take() -> Order | None:
            with taking:
                return None if ended.is_set() else next(source, None)

        def serve(worker: _Worker) -> None:
            try:
                while (order := take()) is not None:
                    results.put((order, worker.measure(order)))
                results.put(None)
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                results.put(error)
            finally:
                worker.end()

        threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            yield from _results(results, self.workers)
        finally:
            ended.set()
            for worker in workers:
                worker.kill()
            for thread in threads:
                thread.join(_PATIENCE)


def _results(results: queue.SimpleQueue[Any], serving: int) -> Iterator[tuple[Order, CheckpointResult]]:
    while serving:
        found = results.get()
        if isinstance(found, BaseException):
            raise found
        if found is None:
            serving -= 1
        else:
            yield found


class _Worker:
    """One process, and the one that takes its place when it dies."""

    def __init__(self, number: int, of: int, ended: threading.Event) -> None:
        self._number, self._of, self._ended = number, of, ended
        self._process: Any = None
        self._pipe: Connection | None = None
        self._knows: SeriesJob | None = None

    def measure(self, order: Order) -> CheckpointResult:
        for _ in range(ATTEMPTS):
            try:
                return self._ask(order)
            except (EOFError, OSError):
                code = self.end()
                if self._ended.is_set():
                    break
        reason = f"the process that measured it died {ATTEMPTS} times (exit code {code}): killed, or out of memory?"
        return failed(order, reason)

    def _ask(self, order: Order) -> CheckpointResult:
        if self._pipe is None:
            self._begin()
        assert self._pipe is not None  # noqa: S101 - begun
        job, item = order
        self._pipe.send_bytes(_packed((job if job is not self._knows else None, item)))
        found: CheckpointResult | str = self._pipe.recv()
        if isinstance(found, str):
            return failed(order, found)
        self._knows = job
        return found

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        own_end, other_end = context.Pipe()
        share = max(1, len(os.sched_getaffinity(0)) // self._of) if hasattr(os, "sched_getaffinity") else 1
        with _starting, _threads(share):
            self._process = context.Process(target=_work, args=(other_end, self._number, share), daemon=True)
            self._process.start()
        other_end.close()
        self._pipe, self._knows = own_end, None

    def kill(self) -> None:
        """At once; whoever waits for it learns that it died."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    def end(self) -> int | None:
        """Its exit code."""
        if self._pipe is None:
            return None
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe = None
        return int(self._process.exitcode)


def _packed(what: Any) -> Any:
    try:
        return ForkingPickler.dumps(what)
    except Exception as error:
        raise ConfigError(
            f"this cannot travel to another process: {error}. Give model, tokenizer, transform and task as "
            "'module:attribute' or as functions of a module, not as lambdas or functions within functions"
        ) from error


@contextmanager
def _threads(share: int) -> Iterator[None]:
    """A new process has BLAS threads for its share of the cores: several pools on the same cores are far slower."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update({name: value or str(share) for name, value in before.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _work(pipe: Connection, number: int, threads: int) -> None:
    """The process: one item after the other, until there are no more."""
    sys.path.insert(0, "")  # as addresses are looked up: in the current folder too
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    gpus = torch.cuda.device_count()
    job, using = None, ModelInUse()
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            try:
                new, item = pipe.recv()
            except (ImportError, AttributeError, TypeError, ValueError) as error:
                why = one_line(error)
                pipe.send(f"a worker cannot take what it was sent: {why}; can it be imported in another process?")
                continue
            if new is not None:
                own_end = f"cuda:{number % gpus}" if gpus and new.device == "auto" else new.device
                job = replace(new, device=own_end)
            assert job is not None  # noqa: S101 - the first item comes with its job
            pipe.send(measure_fetched(job, item, using))
