"""What functions, classes and their modules hold beside objects."""

from __future__ import annotations

import contextvars
import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from ontogeny.extraction.state._entry import ITSELF, MISSING, CannotRestoreError

__all__ = ["SavedCache", "SavedCell", "SavedClass", "SavedContext", "SavedSteps", "SavedVariables"]


class SavedCell:
    """A variable that a function closes over."""

    __slots__ = ("cell", "value")

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell
        self.value = _contents(cell)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if _contents(self.cell) is self.value:
            return ()
        if self.value is MISSING:
            del self.cell.cell_contents
        else:
            self.cell.cell_contents = self.value
        return ITSELF


class SavedClass:
    """Data attributes of a class: counters and caches that all its objects share."""

    __slots__ = ("cls", "values", "which")

    def __init__(self, cls: type, which: Callable[[str, Any], bool]) -> None:
        self.cls, self.which = cls, which
        self.values = self._now()

    def _now(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self.cls).items() if self.which(name, value)}

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._now()
        added = [name for name in now if name not in self.values]
        for name in added:
            type.__delattr__(self.cls, name)
        replaced = [name for name, value in self.values.items() if now.get(name, MISSING) is not value]
        for name in replaced:
            type.__setattr__(self.cls, name, self.values[name])
        return (*added, *replaced)


class SavedCache:
    """A function with `functools.lru_cache`: results that were cached meanwhile are dropped, with all others."""

    __slots__ = ("live", "misses")

    def __init__(self, live: functools._lru_cache_wrapper[Any]) -> None:
        self.live, self.misses = live, live.cache_info().misses

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.cache_info().misses == self.misses:
            return ()
        self.live.cache_clear()
        self.misses = 0
        return ITSELF


class SavedVariables:
    """Some of the global variables of a program's own module.

    Args:
        live: all of them.
        names: those that are put back.
        absent: those that are not there, and are deleted again.
    """

    __slots__ = ("absent", "live", "values")

    def __init__(self, live: dict[str, Any], names: Iterable[str], absent: Iterable[str]) -> None:
        self.live, self.values, self.absent = live, {name: live[name] for name in names}, tuple(absent)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        different = [name for name, value in self.values.items() if self.live.get(name, MISSING) is not value]
        self.live.update({name: self.values[name] for name in different})
        new = [name for name in self.absent if name in self.live]
        for name in new:
            del self.live[name]
        return (*different, *new)


class SavedContext:
    """The value of a context variable."""

    __slots__ = ("live", "value")

    def __init__(self, live: contextvars.ContextVar[Any]) -> None:
        self.live, self.value = live, live.get(MISSING)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.get(MISSING) is self.value:
            return ()
        if self.value is MISSING:
            raise CannotRestoreError("a context variable that had no value has one")
        self.live.set(self.value)
        return ITSELF


class SavedSteps:
    """A running generator: it cannot be wound back, so it is watched."""

    __slots__ = ("live", "place")

    def __init__(self, live: types.GeneratorType[Any, Any, Any]) -> None:
        self.live, self.place = live, self._now(live)

    @staticmethod
    def _now(live: types.GeneratorType[Any, Any, Any]) -> tuple[Any, ...]:
        frame = live.gi_frame
        if frame is None:
            return (None,)
        return frame.f_lasti, sorted((name, id(value)) for name, value in frame.f_locals.items())

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self._now(self.live) != self.place:
            raise CannotRestoreError("a running generator cannot be wound back")
        return ()


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
