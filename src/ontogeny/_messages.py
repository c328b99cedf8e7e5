"""Lines and warnings for whoever watches a training. Whatever happens to them, the training goes on.

A closed or broken stderr, `python -W error`, a logger that raises: nothing of that reaches the caller. Names that come
from models and files are shown without control characters, so that no terminal takes them for commands.
"""

from __future__ import annotations

import inspect
import logging
import signal
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

__all__ = ["has_to_pass", "printable", "say", "warn"]

_LOG = logging.getLogger("ontogeny")
_INSIDE = ("ontogeny", "contextlib")
_KEPT = "\n\t"
_HIDDEN = ("Cc", "Cs")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""The text with "?" for each control character but line feed and tab, and for those that turn the way of writing.

    Example:
        >>> printable("IT\x1b[2J")
        'IT?[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if _is_control(letter) else letter for letter in text)


def _is_control(letter: str) -> bool:
    return letter not in _KEPT and (unicodedata.category(letter) in _HIDDEN or letter in _TURNING)


def say(text: str, *, log: bool = False) -> None:
    """One line on stderr, without breaking a progress bar.

    Args:
        text: the line.
        log: give it to the logger "ontogeny" too.
    """
    if sys.stderr is not None:
        with suppress(Exception):
            from tqdm import tqdm

            tqdm.write(f"ontogeny: {printable(text)}", file=sys.stderr)
    if log:
        with suppress(Exception):
            _LOG.info(printable(text))


def warn(text: str) -> None:
    """A `UserWarning`, said of the first caller outside this package; a line where warnings are errors."""
    try:
        warnings.warn(printable(text), stacklevel=_outside())
    except UserWarning as error:
        _as_error(error)
    except Exception:  # noqa: BLE001 - nothing can be shown: stderr is closed
        return


def _as_error(error: UserWarning) -> None:
    """Of a warning that a filter made an error: the training is not to end by it."""
    say(f"warning: {error}")


def has_to_pass(error: BaseException) -> bool:
    """Whether an error in other code was not made by that code: Ctrl-C, and what a signal's handler raises.

    All others, `SystemExit` too, are failures of a metric, a sink, a task, which training outlives.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return any(code in handlers for code in _codes(error.__traceback__))


def _code(handler: Any) -> Any:
    """Of a function, a method or an object that is called; None of the system's own handlers."""
    if not callable(handler):
        return None
    for called in (handler, type(handler).__call__):
        if (code := getattr(inspect.unwrap(called), "__code__", None)) is not None:
            return code
    return None


def _codes(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        yield trace.tb_frame.f_code
        trace = trace.tb_next


def _outside() -> int:
    """The level, counted from `warn`, of the first caller outside this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        frame, level = frame.f_back, level + 1
    return level
