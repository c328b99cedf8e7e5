"""Shapes and types are checked in the first calls of each function in each test.

A check costs ten times as much as a short function. A hot loop calls one a hundred thousand times with the same shapes,
and was the seventh part of all tests. So `first_calls` stands in the place of `beartype` (pyproject.toml), and
`tests/conftest.py` begins each test with `check_again`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from beartype import beartype

__all__ = ["CHECKED_CALLS", "check_again", "first_calls"]

CHECKED_CALLS = 5
_calls: Counter[tuple[str, str]] = Counter()
_left_alone: list[Any] = []


def first_calls(signature: Callable[..., Any]) -> Callable[..., Any]:
    """What jaxtyping calls before and after a function, with what its signature allows.

    Args:
        signature: an empty function with the name, place and annotations of the one that is checked.
    """
    check = None
    place = (signature.__module__, signature.__qualname__)

    def checked(*args: Any, **kwargs: Any) -> Any:
        nonlocal check
        check = check or beartype(signature)  # at the first call: most functions are called in few of the processes
        _calls[place] += 1
        if _calls[place] > 2 * CHECKED_CALLS:  # before and after each call
            _leave_alone(place)
        return check(*args, **kwargs)

    return checked


def check_again() -> None:
    """Begin anew: the next calls of every function are checked."""
    _calls.clear()
    while _left_alone:
        _left_alone.pop().__no_type_check__ = False


def _leave_alone(place: tuple[str, str]) -> None:
    """jaxtyping passes over a function that has this mark; one that cannot be found by its name stays checked."""
    found: Any = sys.modules.get(place[0])
    for name in place[1].split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    for part in ("__func__", "fget", "func"):
        found = getattr(found, part, found)
    if hasattr(found, "__wrapped__"):
        found.__no_type_check__ = True
        _left_alone.append(found)
