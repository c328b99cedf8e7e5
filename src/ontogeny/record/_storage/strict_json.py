"""JSON as strict as we write it: no word for a number that is none, no key twice, no depth that breaks a reader."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

__all__ = ["parsed"]


def parsed(text: str | bytes) -> Any:
    """What a text in JSON holds.

    Raises:
        ValueError: it is not JSON in UTF-8; a number is not finite; a key stands in an object twice; or it is nested
            too deeply to be read.

    Example:
        >>> parsed(b'{"step": 3}')
        {'step': 3}
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return found
