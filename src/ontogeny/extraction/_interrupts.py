"""Ctrl-C waits while a model is read, but for the user's own code, where it is raised at once."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["at_once", "deliver", "entering", "held", "leaving", "waits"]

P = ParamSpec("P")
R = TypeVar("R")


class _Interrupts:
    """The handler of SIGINT while something is held; whether it waits depends on the frame that it interrupts."""

    def __init__(self) -> None:
        self.depth = 0
        self.before: Any = None
        self.waits = False

    def __call__(self, _number: int, frame: types.FrameType | None) -> None:
        at = frame
        while at is not None:
            if at.f_code is at_once.__code__:
                break
            if at.f_code in _WAITING:
                self.waits = True
                return
            at = at.f_back
        self.before(signal.SIGINT, frame)


_INTERRUPTS = _Interrupts()
_WAITING: set[types.CodeType] = set()


def waits(function: Callable[P, R]) -> Callable[P, R]:
    """What interrupts this function, or what it calls, waits, where it is called between `entering` and `leaving`."""
    _WAITING.add(function.__code__)
    return function


def at_once(function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Call the user's own code, however long it takes: an interrupt is raised in it, wherever it is called from."""
    return function(*args, **options)


def _hold() -> None:
    """Begin to handle interrupts; outside the main thread, where Python delivers no signals, nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        return
    if _INTERRUPTS.depth == 0:
        if not callable(before := signal.getsignal(signal.SIGINT)):
            return
        _INTERRUPTS.before, _INTERRUPTS.waits = before, False
        signal.signal(signal.SIGINT, _INTERRUPTS)
    _INTERRUPTS.depth += 1


def _release() -> None:
    """End what `_hold` began; what waited is raised at the end of the outermost."""
    if threading.current_thread() is not threading.main_thread() or _INTERRUPTS.depth == 0:
        return
    _INTERRUPTS.depth -= 1
    if _INTERRUPTS.depth == 0:
        signal.signal(signal.SIGINT, _INTERRUPTS.before)
        deliver()


def deliver() -> None:
    """Raise what waited now, where nothing is half done."""
    if _INTERRUPTS.waits and threading.current_thread() is threading.main_thread():
        _INTERRUPTS.waits = False
        _INTERRUPTS.before(signal.SIGINT, sys._getframe())


def held(function: Callable[P, R]) -> Callable[P, R]:
    """Interrupts wait until the end of this function, or until it comes to `at_once` or `deliver`."""

    @functools.wraps(function)
    @waits
    def holding(*args: P.args, **options: P.kwargs) -> R:
        _hold()
        try:
            return function(*args, **options)
        finally:
            _release()

    return holding


def entering(function: Callable[P, R]) -> Callable[P, R]:
    """For `__enter__`: interrupts wait in it, and are handled here until `leaving`, or until it fails."""

    @functools.wraps(function)
    @waits
    def enter(*args: P.args, **options: P.kwargs) -> R:
        _hold()
        try:
            return function(*args, **options)
        except BaseException:
            _release()
            raise

    return enter


def leaving(function: Callable[P, R]) -> Callable[P, R]:
    """For `__exit__`: interrupts wait in it; what waited is raised at its end, whatever happens."""

    @functools.wraps(function)
    @waits
    def leave(*args: P.args, **options: P.kwargs) -> R:
        try:
            return function(*args, **options)
        finally:
            _release()

    return leave
