"""Row: a score or an event as one JSON object, checked field by field in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, TypeAlias

from ontogeny.errors import RecordError
from ontogeny.record.event import EVENT_COLUMNS, EVENT_KINDS, Event
from ontogeny.record.score import COLUMNS, COUNTS, KINDS, NUMBERS, TEXT, Score

__all__ = ["Row", "check", "from_row", "to_row"]

Row: TypeAlias = Score | Event
_MOST = 2**63


def check(row: Row) -> Row:
    """The row itself, if each of its fields is of its type and fits on disk, and its step is 0 or more.

    Raises:
        RecordError: one is not.
    """
    _check({name: getattr(row, name) for name in _columns(type(row))}, type(row))
    if row.step < 0 and row.kind != "branch":  # a branch may leave all rows behind, those of step 0 too
        raise RecordError(f"step is the number of optimizer updates done, 0 or more, got {row.step}")
    return row


def to_row(row: Row) -> dict[str, Any]:
    """A JSON-writable dict: numbers that are not finite become None, with a note."""
    found = {name: getattr(row, name) for name in _columns(type(row))}
    for name in NUMBERS:
        number = found.get(name)
        if number is not None and not math.isfinite(number):
            found[name] = None
            found["note"] = (found["note"] + f" {name} was {number}").strip()
    return found


def from_row(row: Any) -> Row:
    """The score or event that a row holds, equal words one object; columns of another version are left out.

    Raises:
        RecordError: it is no row, a key column is missing, or a field is not of its type.
    """
    if not isinstance(row, Mapping):
        raise RecordError(f"a row of a record is an object, got {_shown(row)}")
    missing = [name for name in ("run", "step", "kind") if name not in row]
    if missing:
        raise RecordError(f"a row of the record lacks {missing}: {_shown(row)}; the file is not a record of ontogeny")
    made = Event if row["kind"] in EVENT_KINDS else Score
    known: dict[str, Any] = {name: row[name] for name in _columns(made) if name in row}
    _check(known, made)
    for name in TEXT:
        if type(word := known.get(name)) is str:
            known[name] = intern(word)
    return made(**known)


def _columns(made: type[Row]) -> tuple[str, ...]:
    return COLUMNS if made is Score else EVENT_COLUMNS


def _check(row: Mapping[str, Any], made: type[Row]) -> None:
    kinds, called = (KINDS, "a score") if made is Score else (EVENT_KINDS, "an event")
    for names, fits, what in _TYPES:
        for name in names:
            if name in row and not fits(row[name]):
                raise RecordError(f"{name} of {called} is {what}, got {_shown(row[name])} ({type(row[name]).__name__})")
    if row["kind"] not in kinds:
        other = f"; {row['kind']!r} is the kind of an Event" if row["kind"] in EVENT_KINDS else ""
        raise RecordError(f"kind of {called} is one of {', '.join(kinds)}, got {_shown(row['kind'])}{other}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST


def _is_number(value: Any) -> bool:
    if value is None or isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST


_TYPES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (TEXT, _is_text, "text"),
    ((*COUNTS, "n_events"), _is_count, "a whole number"),
    (NUMBERS, _is_number, "a number or None"),
)


def _shown(value: Any) -> str:
    """The beginning of a value of whatever kind, however large or deep."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        return "something too large to be shown"
    return text if len(text) <= 80 else f"{text[:80]}..."
