"""Ctrl-C is held back while state is saved or put back."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Callable
from typing import Any

__all__ = ["HeldInterrupts"]


class HeldInterrupts:
    """Ctrl-C waits while a context manager enters or exits; in between it is raised at once, as ever.

    Whether it has to wait is told by the frame that it interrupts, so that no instruction lies in between. Outside the
    main thread, where Python delivers no signals, nothing is done.

    Args:
        owner: the context manager, whose `__enter__` and `__exit__` are not to be interrupted.
        *others: functions that are not to be interrupted either; `deliver` comes after each.
    """

    def __init__(self, owner: Any, *others: Callable[..., Any]) -> None:
        functions = (type(owner).__enter__, type(owner).__exit__, *others)
        self._codes = {function.__code__ for function in functions}
        self._before: Any = None
        self._waiting: tuple[int, types.FrameType | None] | None = None

    def hold(self) -> None:
        """Begin; the first thing in `__enter__`."""
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._handle)

    def release(self) -> None:
        """End, the last thing in `__exit__`; what waited is raised now."""
        if self._before is None:
            return
        before, self._before = self._before, None
        signal.signal(signal.SIGINT, before)
        self._raise_waiting(before)

    def deliver(self) -> None:
        """Raise what waited, in between."""
        if self._before is not None:
            self._raise_waiting(self._before)

    def _raise_waiting(self, handler: Any) -> None:
        """The frame is not kept: it would keep all that was saved alive."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            try:
                handler(*waiting)
            finally:
                del waiting

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        at = frame
        while at is not None:
            if at.f_code in self._codes:
                self._waiting = (number, frame)
                return
            at = at.f_back
        self._before(number, frame)
