"""Dictionaries, lists, sets, attributes and slots, by their content."""

from __future__ import annotations

import _thread
import array
import collections
import mmap
from collections.abc import Sequence
from itertools import chain, compress, repeat
from operator import is_, is_not
from typing import Any, TypeGuard

from typing_extensions import override

from ontogeny.extraction.state._entry import ITSELF, MISSING

__all__ = [
    "SavedAttributes",
    "SavedBytes",
    "SavedDict",
    "SavedMemory",
    "SavedSequence",
    "SavedSet",
    "SavedSlots",
    "SavedTogether",
]

_LARGEST = 256 * 2**20


class SavedDict:
    """A dictionary of any class, by content and order."""

    __slots__ = ("keys", "kind", "live", "values")

    def __init__(self, live: dict[Any, Any]) -> None:
        self.kind: Any = collections.OrderedDict if isinstance(live, collections.OrderedDict) else dict
        self.live, self.keys, self.values = live, list(self.kind.keys(live)), list(self.kind.values(live))

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        keys, values = list(self.kind.keys(self.live)), list(self.kind.values(self.live))
        if _same_items(keys, self.keys):
            different = list(compress(range(len(keys)), map(is_not, values, self.values)))
            for place in different:
                self.kind.__setitem__(self.live, keys[place], self.values[place])
            return tuple(keys[place] for place in different)
        before, now = (dict(zip(*pair, strict=True)) for pair in ((self.keys, self.values), (keys, values)))
        self.kind.clear(self.live)
        for key, value in before.items():
            self.kind.__setitem__(self.live, key, value)
        return tuple(k for k in {**before, **now} if before.get(k, MISSING) is not now.get(k, MISSING)) or ITSELF


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


class SavedTogether:
    """Several dictionaries, asked at once whether each is as it was: most are, and C sees it twenty times as fast.

    Args:
        saved: of any class but those that `fits` leaves out.
    """

    __slots__ = ("_classes", "_keys", "_lives", "_owned", "_owners", "_sizes", "_values")

    def __init__(self, saved: Sequence[SavedDict]) -> None:
        self._lives = [one.live for one in saved]
        self._sizes = [len(one.keys) for one in saved]
        self._keys = [key for one in saved for key in one.keys]
        self._values = [value for one in saved for value in one.values]
        owned = [one for one in saved if isinstance(one, SavedAttributes)]
        self._owners, self._classes = [one.owner for one in owned], [one.cls for one in owned]
        self._owned = [one.live for one in owned]

    @staticmethod
    def fits(saved: Any) -> TypeGuard[SavedDict]:
        """Whether base methods of `dict` see all of it: not an OrderedDict's order, nor attributes of a thread."""
        if not isinstance(saved, SavedDict) or (saved.kind is not dict and len(saved.keys) > 1):
            return False
        return not (isinstance(saved, SavedAttributes) and isinstance(saved.owner, _thread._local))

    def unchanged(self) -> bool:
        """Whether none was changed; False where that cannot be seen at once."""
        try:
            return (
                list(map(dict.__len__, self._lives)) == self._sizes
                and all(map(is_, chain.from_iterable(map(dict.keys, self._lives)), self._keys))
                and all(map(is_, chain.from_iterable(map(dict.values, self._lives)), self._values))
                and all(map(is_, map(type, self._owners), self._classes))
                and all(map(is_, map(object.__getattribute__, self._owners, repeat("__dict__")), self._owned))
            )
        except Exception:  # noqa: BLE001 - each is looked at alone then
            return False


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
    return len(now) == len(before) and all(map(is_, now, before))
