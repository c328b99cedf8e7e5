"""What verbs print: lines, tables and JSON, without control characters that names in a file may have brought along."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ontogeny._messages import printable

__all__ = ["PlainOutput", "print_answer", "print_json", "print_table", "say"]


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


def say(text: str = "") -> None:
    """One line (or several), at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_answer(lines: Sequence[str]) -> None:
    """Lines of which the first sentence is the answer; on a terminal that is bold."""
    out = getattr(sys.stdout, "_out", sys.stdout)
    end = next((i for i, line in enumerate(lines) if not line), 1)
    if out.isatty() and "NO_COLOR" not in os.environ:
        out.write(f"\033[1m{printable(chr(10).join(lines[:end]))}\033[0m\n")
        lines = lines[end:]
    say("\n".join(lines))


def print_json(content: Any) -> None:
    """The content as JSON; numbers that JSON lacks are null."""
    from ontogeny.report.figures import plain_json

    say(json.dumps(plain_json(content), indent=1, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns of one width each; the last as long as it is."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
