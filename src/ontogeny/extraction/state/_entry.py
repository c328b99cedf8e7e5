"""What was saved of one object, and how it is put back in place.

Each entry holds one object with its content. `restore()` puts the content back into the very same object and returns
what was different: nothing, `ITSELF`, or the keys of a dictionary or attributes of an object.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["ITSELF", "MISSING", "CannotRestoreError", "Saved"]

ITSELF = ("",)
MISSING: Any = object()


class CannotRestoreError(Exception):
    """What cannot be put back, and why."""


@runtime_checkable
class Saved(Protocol):
    """One saved object."""

    def restore(self) -> tuple[Any, ...]:
        """Put it back.

        Returns:
            What was different: nothing, `ITSELF`, or keys.

        Raises:
            CannotRestoreError: it cannot be put back.
        """
        ...
