"""Dictionaries, lists, sets, attributes and slots, by their content."""

from __future__ import annotations

import _thread
import array
import collections
import mmap
from typing import Any

from typing_extensions import override

from ontogeny.extraction.state._entry import ITSELF, MISSING

__all__ = ["SavedAttributes", "SavedBytes", "SavedDict", "SavedMemory", "SavedSequence", "SavedSet", "SavedSlots"]

_LARGEST = 256 * 2**20


class SavedDict:
    """A dictionary of any class, by content and order."""

    __slots__ = ("items", "kind", "live")

    def __init__(self, live: dict[Any, Any]) -> None:
        self.kind: Any = collections.OrderedDict if isinstance(live, collections.OrderedDict) else dict
        self.live, self.items = live, list(self.kind.items(live))

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = list(self.kind.items(self.live))
        same = len(now) == len(self.items) and all(
            a is c and b is d for (a, b), (c, d) in zip(now, self.items, strict=True)
        )
        if same:
            return ()
        before = dict(self.items)
        different = [k for k in {**before, **dict(now)} if before.get(k, MISSING) is not dict(now).get(k, MISSING)]
        self.kind.clear(self.live)
        for key, value in self.items:
            self.kind.__setitem__(self.live, key, value)
        return tuple(different) or ITSELF


class SavedAttributes(SavedDict):
    """The attributes of an object, by the dictionary that holds them; a replaced dictionary is seen too."""

    __slots__ = ("cls", "owner")

    def __init__(self, owner: Any, live: dict[Any, Any]) -> None:
        super().__init__(live)
        self.owner, self.cls = owner, type(owner)

    @override
    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if type(self.owner) is not self.cls:
            object.__setattr__(self.owner, "__class__", self.cls)
            return ("__class__", *self.restore())
        if isinstance(self.owner, _thread._local):
            return super().restore()
        if object.__getattribute__(self.owner, "__dict__") is self.live:
            return super().restore()
        object.__setattr__(self.owner, "__dict__", self.live)
        return super().restore() or ITSELF


class SavedSlots:
    """The slots of an object."""

    __slots__ = ("names", "owner", "values")

    def __init__(self, owner: Any, names: list[str]) -> None:
        self.owner, self.names = owner, names
        self.values = [getattr(owner, name, MISSING) for name in names]

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        different = []
        for name, value in zip(self.names, self.values, strict=True):
            if getattr(self.owner, name, MISSING) is value:
                continue
            different.append(name)
            if value is MISSING:
                object.__delattr__(self.owner, name)
            else:
                object.__setattr__(self.owner, name, value)
        return tuple(different)


class SavedSequence:
    """A list or deque."""

    __slots__ = ("items", "live")

    def __init__(self, live: list[Any] | collections.deque[Any]) -> None:
        self.live, self.items = live, list(live)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if _same_items(list(self.live), self.items):
            return ()
        kind: Any = collections.deque if isinstance(self.live, collections.deque) else list
        kind.clear(self.live)
        kind.extend(self.live, self.items)
        return ITSELF


class SavedSet:
    """A set."""

    __slots__ = ("items", "live")

    def __init__(self, live: set[Any]) -> None:
        self.live, self.items = live, list(live)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if {id(item) for item in self.live} == {id(item) for item in self.items}:
            return ()
        set.clear(self.live)
        set.update(self.live, self.items)
        return ITSELF


class SavedBytes:
    """A bytearray or `array.array`."""

    __slots__ = ("items", "live")

    def __init__(self, live: bytearray | array.array[Any]) -> None:
        self.live: Any = live
        self.items: Any = live[:]

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if bytes(self.live) == bytes(self.items):
            return ()
        self.live[:] = self.items
        return ITSELF


class SavedMemory:
    """Memory that others may see too: `mmap.mmap`, or a `memoryview` that can be written."""

    __slots__ = ("content", "live")

    def __init__(self, live: mmap.mmap | memoryview) -> None:
        self.live: Any = live
        self.content = b"" if len(live) > _LARGEST else self._now()

    def _now(self) -> bytes:
        return self.live.tobytes() if isinstance(self.live, memoryview) else bytes(self.live[:])

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if not self.content or self._now() == self.content:
            return ()
        if isinstance(self.live, memoryview):
            self.live.cast("B")[:] = self.content
        else:
            self.live[:] = self.content
        return ITSELF


def _same_items(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
