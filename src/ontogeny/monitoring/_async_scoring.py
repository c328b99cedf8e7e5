"""Scoring beside the training: one thread, a queue of one, never a skip."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from ontogeny.extraction.random_state import GlobalState

__all__ = ["Background", "without_random_numbers"]

T = TypeVar("T")


class Background(Generic[T]):
    """One job at a time in one thread; a second one has to wait until the first was taken out."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._job: Future[T] | None = None

    @property
    def ready(self) -> bool:
        """Whether a result can be taken out without waiting."""
        return self._job is not None and self._job.done()

    def start(self, job: Callable[[], T]) -> None:
        """Give a job.

        Raises:
            RuntimeError: the one before was not taken out.
        """
        if self._job is not None:
            raise RuntimeError("the job before was not taken out; call take() first")
        if self._pool is None:
            # As many threads for its sums as in the foreground, so that they round alike.
            self._pool = ThreadPoolExecutor(1, "ontogeny", torch.set_num_threads, (torch.get_num_threads(),))
        self._job = self._pool.submit(torch.no_grad()(job))

    def take(self) -> T:
        """The result, waited for; the job's own error is raised.

        Raises:
            RuntimeError: no job was given.
        """
        if self._job is None:
            raise RuntimeError("there is no job to take out; call start(job) first")
        job, self._job = self._job, None
        return job.result()

    def close(self) -> None:
        """End the thread."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def without_random_numbers(work: Callable[[], T]) -> tuple[T, bool]:
    """Do `work`; say whether it left the global random states alone. In a thread the training would feel a draw."""
    before = GlobalState(gpu=False)
    result = work()
    return result, not before.moved()
