"""Files, memory of C and modules of TorchScript."""

from __future__ import annotations

import ctypes
import io
from typing import Any

from ontogeny.extraction.state._entry import ITSELF, CannotRestoreError

__all__ = ["SavedC", "SavedFile", "SavedScript"]


class SavedFile:
    """Where an open file stands; of one in memory, its content too."""

    __slots__ = ("content", "live", "position")

    def __init__(self, live: io.IOBase) -> None:
        self.live: Any = live
        self.position = live.tell()
        self.content = live.getvalue() if isinstance(live, io.BytesIO | io.StringIO) else None

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.closed:
            raise CannotRestoreError("the file was closed")
        if self.live.tell() == self.position and (self.content is None or self.live.getvalue() == self.content):
            return ()
        if self.content is not None:
            self.live.seek(0)
            self.live.truncate()
            self.live.write(self.content)
        self.live.seek(self.position)
        return ITSELF


class SavedC:
    """A number, array or structure of ctypes."""

    __slots__ = ("content", "live")

    def __init__(self, live: Any) -> None:
        self.live, self.content = live, bytes(memoryview(live).cast("B"))

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if bytes(memoryview(self.live).cast("B")) == self.content:
            return ()
        ctypes.memmove(ctypes.addressof(self.live), self.content, len(self.content))
        return ITSELF


class SavedScript:
    """Attributes of a TorchScript module, its buffers among them."""

    __slots__ = ("live", "values")

    def __init__(self, live: Any) -> None:
        self.live, self.values = live, self._now(live)

    @staticmethod
    def _now(live: Any) -> dict[str, Any]:
        if not hasattr(live, "_concrete_type"):
            return {}
        names = [*live._concrete_type.get_attributes(), *(name for name, _ in live.named_buffers(recurse=False))]
        return {name: live._c.getattr(name) for name in names}

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._now(self.live)
        changed = [n for n, value in self.values.items() if not (now[n] is value or _same_number(now[n], value))]
        for name in changed:
            self.live._c.setattr(name, self.values[name])
        return tuple(changed)


def _same_number(a: Any, b: Any) -> bool:
    return isinstance(a, bool | int | float | str) and type(a) is type(b) and a == b
