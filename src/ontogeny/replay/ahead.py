"""Download the next checkpoint while this one is used; delete it afterwards. At most two are on disk."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from ontogeny.errors import CheckpointError
from ontogeny.replay.series import CheckpointSeries

__all__ = ["Arrival", "prefetched"]

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A step whose checkpoint is on this machine now, or why it is not.

    Args:
        step: optimizer updates.
        error: why it could not be fetched; None where it could.
    """

    step: int
    error: Exception | None = None


def prefetched(
    series: CheckpointSeries, steps: Iterable[int] | None = None, *, keep: bool = False
) -> Generator[Arrival, None, None]:
    """Steps one after the other, each fetched; the next one is being fetched meanwhile, in one thread.

    A step that cannot be fetched arrives with its error, and the rest goes on. When the generator is closed early, what
    is on disk is deleted; a download that is under way then is not waited for longer than five seconds, and deletes
    itself when it is through. A caller that may raise closes it: `with contextlib.closing(prefetched(...)) as steps:`.

    Args:
        series: where from.
        steps: optimizer updates, in the order wanted; all of them where not given.
        keep: leave what was downloaded.
    """
    wanted = list(series.steps if steps is None else steps)
    ahead = _Fetch(series, wanted[0], keep) if wanted else None
    for place, step in enumerate(wanted):
        assert ahead is not None  # noqa: S101 - there is a step, so there is a fetch
        now, ahead = ahead, None
        try:
            arrival = now.wait()
            if place + 1 < len(wanted):
                ahead = _Fetch(series, wanted[place + 1], keep)
            yield arrival
        except BaseException:
            now.abandon()
            if ahead is not None:
                ahead.abandon()
            raise
        if step not in wanted[place + 1 :]:
            now.drop()


class _Fetch:
    """One fetch in a thread of its own."""

    def __init__(self, series: CheckpointSeries, step: int, keep: bool) -> None:
        self._series, self._step, self._keep = series, step, keep
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._done = self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"ontogeny fetch {step}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._series.fetch(self._step)
        except Exception as error:  # noqa: BLE001 - delivered where the step is
            self._error = error
        with self._lock:
            self._done = True
            abandoned = self._abandoned
        if abandoned:
            self.drop()

    def wait(self) -> Arrival:
        self._thread.join()
        return Arrival(step=self._step, error=self._error)

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
