"""Errors and interrupts in the middle of a forward pass, or at any moment of a probe."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from torch.overrides import TorchFunctionMode

__all__ = ["here", "interrupted_after", "interrupted_at_line", "lines_of", "raising"]

_current: _Breaks | None = None


class _Breaks(TorchFunctionMode):
    """Calls `act` at the `at`-th call of torch, once; counts in a file, since a probe puts back all that it reaches."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at, self.act = at, act
        self.file, path = tempfile.mkstemp()
        Path(path).unlink()

    @property
    def calls(self) -> int:
        return os.fstat(self.file).st_size

    def __torch_function__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        os.write(self.file, b".")
        if self.calls == self.at:
            self.act()
        return function(*args, **(kwargs or {}))


def here() -> Any:
    """A model enters this in its forward pass."""
    return _current or nullcontext()


@contextmanager
def raising(at: int, act: Callable[[], None]) -> Iterator[_Breaks]:
    """At the `at`-th call of torch inside the forward passes of models that enter `here`, `act` is called."""
    global _current
    _current = _Breaks(at, act)
    try:
        yield _current
    finally:
        _current = None


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """A real SIGINT from another thread, after some time; the block does not end before it has come."""
    fired = threading.Event()

    def fire() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)
        fired.set()

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        yield
        while not fired.is_set():
            time.sleep(0.0001)
        time.sleep(0.001)
    finally:
        thread.join()


@contextmanager
def lines_of(act: Callable[[int], None]) -> Iterator[None]:
    """`act` is called with the number of each line of Python that is run in the block, in whatever file."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename == __file__:
            return None
        if event == "line":
            count += 1
            act(count)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def interrupted_at_line(number: int) -> Any:
    """A real SIGINT at one line of the block."""

    def act(count: int) -> None:
        if count == number:
            signal.raise_signal(signal.SIGINT)

    return lines_of(act)
