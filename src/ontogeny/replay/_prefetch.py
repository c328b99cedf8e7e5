"""Download or read the next checkpoint while this one is used; delete downloads afterwards. At most two are on disk."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator, Iterable
from contextlib import suppress

from ontogeny.errors import CheckpointError
from ontogeny.replay._worker import Order

__all__ = ["prefetched"]

_PATIENCE = 5.0


def prefetched(orders: Iterable[Order]) -> Generator[tuple[Order, Exception | None], None, None]:
    """Orders one after the other, each with its checkpoint on this machine, or why it is not.

    The next one is being fetched meanwhile, in one thread. A checkpoint that cannot be fetched arrives with its error,
    and the rest goes on. When the generator is closed early, what is on disk is deleted; a download that is under way
    then is not waited for longer than five seconds, and deletes itself when it is through. A caller that may raise
    closes it: `with contextlib.closing(prefetched(...)) as arrivals:`.

    Args:
        orders: taken one ahead of the one that is being used.
    """
    source = iter(orders)
    first = next(source, None)
    ahead = _Fetch(first) if first is not None else None
    while ahead is not None:
        now, ahead = ahead, None
        try:
            error = now.wait()
            if (order := next(source, None)) is not None:
                ahead = _Fetch(order)
            yield now.order, error
        except BaseException:
            now.abandon()
            if ahead is not None:
                ahead.abandon()
            raise
        if ahead is None or not ahead.is_for(now.order):
            now.drop()


class _Fetch:
    """One fetch in a thread of its own."""

    def __init__(self, order: Order) -> None:
        self.order = order
        job, item = order
        self._series, self._step, self._keep = job.series, item.step, job.keep
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._done = self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"ontogeny fetch {item.step}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._series.fetch(self._step)
            with suppress(OSError):  # whoever loads it says what is wrong with it
                self._series.read_ahead(self._step)
        except Exception as error:  # noqa: BLE001 - delivered where the step is
            self._error = error
        with self._lock:
            self._done = True
            abandoned = self._abandoned
        if abandoned:
            self.drop()

    def wait(self) -> Exception | None:
        self._thread.join()
        return self._error

    def is_for(self, other: Order) -> bool:
        """Whether it brings the checkpoint of another order."""
        job, item = other
        return (self._series, self._step) == (job.series, item.step)

    def abandon(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            done, self._abandoned = self._done, True
        if done:
            self.drop()
        else:
            self._thread.join(_PATIENCE)

    def drop(self) -> None:
        """Delete what was downloaded, unless it is to be kept."""
        if self._keep:
            return
        try:
            self._series.forget(self._step)
        except CheckpointError:
            pass  # it has no place on disk: it could not even be found
        except OSError as error:
            warnings.warn(f"{self._series.where(self._step)} could not be deleted: {error}", stacklevel=3)
