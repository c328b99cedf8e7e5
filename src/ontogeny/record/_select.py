"""Selecting: the scores and events of a record whose columns have the values that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.errors import RecordError, nearest
from ontogeny.record._storage.parquet_shards import as_filter
from ontogeny.record._storage.store import Store
from ontogeny.record.event import EVENT_COLUMNS, EVENT_KINDS, Event
from ontogeny.record.row import Row
from ontogeny.record.score import COLUMNS, KEY, Score

__all__ = ["asks_for_events", "hint", "known_filter", "row_of", "select_events", "select_scores"]


def select_scores(store: Store, columns: Mapping[str, Any]) -> list[Score]:
    """See `ontogeny.record.record.Record.select`."""
    filters = _wanted(columns, COLUMNS)
    return [score for score in store.select(as_filter(columns)) if _matches(score, filters)]


def select_events(store: Store, columns: Mapping[str, Any]) -> list[Event]:
    """See `ontogeny.record.record.Record.events`."""
    filters = _wanted(columns, EVENT_COLUMNS)
    return [event for event in store.events() if _matches(event, filters)]


def asks_for_events(columns: Mapping[str, Any]) -> bool:
    """Whether a kind is asked for that is no score's."""
    kinds = columns.get("kind", ())
    return not set(kinds if isinstance(kinds, list | tuple) else (kinds,)).isdisjoint(EVENT_KINDS)


def row_of(store: Store, key: tuple[Any, ...]) -> Row | None:
    """The score or event of this key."""
    if (recent := store.get(key)) is not None:
        return recent
    columns = dict(zip(KEY, key, strict=True))
    rows = store.parts.events if asks_for_events(columns) else store.parts.select(as_filter(columns))
    return next((row for row in rows if row.key == key), None)


def known_filter(columns: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Column -> values, of columns that a score has."""
    return {name: tuple(want) for name, want in _wanted(columns, COLUMNS).items()}


def hint(store: Store, columns: Mapping[str, Any]) -> str:
    """Which of these values, of those that no score was found with, does not occur, and what does."""
    for name, filters in columns.items():
        recent = {str(getattr(score, name)) for score in store.recent_scores()}
        have = sorted(store.parts.words(name) | recent)
        for want in filters if isinstance(filters, list | tuple) else (filters,):
            if str(want) not in have:
                return f"{name}: {nearest(str(want), have)}"
    return "No row matches all of them at once; leave one out."


def _wanted(columns: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    for name in columns:
        if name not in known:
            raise RecordError(f"a record has no column {name!r}. {nearest(name, known)}")
    return {name: want if isinstance(want, list | tuple) else (want,) for name, want in columns.items()}


def _matches(row: Row, filters: Mapping[str, Any]) -> bool:
    return all(getattr(row, name) in want for name, want in filters.items())
