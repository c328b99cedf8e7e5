"""Plain output: what a command prints, without control characters that names in a file may have brought along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ontogeny._messages import printable

__all__ = ["PlainOutput"]


class PlainOutput:
    """A text stream that passes on what is printable.

    Args:
        out: the stream itself.
    """

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write the text; how many characters it had."""
        self._out.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)
