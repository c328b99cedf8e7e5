"""Lines: a file of scores, one JSON object a line, that is only ever appended to, whole or not at all."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.errors import RecordError
from ontogeny.scores import Score, from_row

__all__ = ["Lines", "read_lines"]


@dataclass(slots=True, kw_only=True)
class Lines:
    """The file, as far as this process knows it.

    Args:
        path: the file; made by the first append.
        scores: what its whole lines hold.
        whole: bytes of its whole lines.
        torn: bytes of a last line that was torn; the first append cuts them off.
    """

    path: Path
    scores: Sequence[Score]
    whole: int
    torn: int

    def append(self, text: str) -> None:
        """Append whole lines behind the last whole one, or leave the file as it was."""
        data = text.encode()
        try:
            size = self.path.stat().st_size if self.path.exists() else 0
            if size not in (self.whole, self.whole + self.torn):
                raise RecordError(
                    f"{self.path} has {size} bytes, {self.whole} were expected: another process wrote there since it "
                    "was opened. Give each run its own record folder"
                )
            if size > self.whole:
                os.truncate(self.path, self.whole)
            self.torn = 0
            _append_or_undo(self.path, data, self.whole)
        except OSError as error:
            raise RecordError(
                f"cannot write {self.path}: {error}; free some disk space or choose another folder"
            ) from error
        self.whole += len(data)


def _append_or_undo(path: Path, data: bytes, size: int) -> None:
    try:
        with path.open("ab") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, size)
        raise


def read_lines(path: Path) -> Lines:
    """Read a file of scores; drop a torn last line with a warning. Nothing changes on disk.

    Raises:
        RecordError: a broken line that is not the last, or a line that is no score.
    """
    content = path.read_bytes() if path.exists() else b""
    whole, newline, torn = content.rpartition(b"\n")
    if torn:
        warnings.warn(f"{path}: dropped a torn last line of {len(torn)} bytes", stacklevel=3)
    scores = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            scores.append(from_row(json.loads(line)))
        except ValueError as error:
            raise RecordError(f"{path}, line {number} is not JSON ({error}); restore the file from a copy") from error
    return Lines(path=path, scores=scores, whole=len(whole) + len(newline), torn=len(torn))
