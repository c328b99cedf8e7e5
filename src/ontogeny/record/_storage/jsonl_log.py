"""JsonlLog: a file of rows, one JSON object a line, that is only ever appended to, whole or not at all.

When a Parquet part has taken its rows, the file is emptied. A process killed between the two leaves rows in both
places; the part's manifest says which bytes those are, so that they are read once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ontogeny._atomic_write import unwritable
from ontogeny._messages import warn
from ontogeny.errors import RecordError
from ontogeny.record._storage.strict_json import parsed
from ontogeny.record.row import Row, from_row

__all__ = ["CommittedPrefix", "JsonlLog", "read_jsonl_log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedPrefix:
    """The head of a file of lines that a Parquet part has taken.

    Args:
        size: how many bytes.
        sha256: of these bytes.
    """

    size: int = 0
    sha256: str = ""

    def heads(self, content: bytes) -> bool:
        """Whether the file still begins with what was taken."""
        return 0 < self.size <= len(content) and self.sha256 == _sha256(content[: self.size])


_NOTHING = CommittedPrefix()


@dataclass(slots=True, kw_only=True)
class JsonlLog:
    """The file, as far as this process knows it.

    Args:
        path: the file.
        rows: what its whole lines hold, without those that a part has taken.
        taken: bytes at its head that a part has taken; the first append cuts them off.
        whole: bytes of its whole lines, those taken among them.
        torn: bytes of a last line that was torn; the first append cuts them off.
    """

    path: Path
    rows: Sequence[Row]
    taken: int = 0
    whole: int
    torn: int

    def append(self, text: str) -> int:
        """Append whole lines behind the last whole one, or leave the file as it was; the size that it had before."""
        data = text.encode()
        if not data:
            return self.whole
        try:
            self._cut(0 if self.taken == self.whole else self.whole)
            _append_or_undo(self.path, data, self.whole)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.whole += len(data)
        return self.whole - len(data)

    def undo(self, size: int) -> None:
        """Take back what was appended beyond this size, as far as the disk lets us."""
        with suppress(OSError):
            os.truncate(self.path, size)
            self.whole = size

    def head(self) -> CommittedPrefix:
        """All whole lines, to be taken by a part.

        Raises:
            RecordError: another process wrote there.
        """
        self.check()
        content = self.path.read_bytes()[: self.whole] if self.whole else b""
        return CommittedPrefix(size=len(content), sha256=_sha256(content)) if content else CommittedPrefix()

    def empty(self) -> None:
        """Cut off everything, once a part has taken it; what cannot be cut now is at the next append."""
        self.taken = self.whole
        with suppress(OSError):
            self._cut(0)

    def _cut(self, size: int) -> None:
        if self.check() > size:
            os.truncate(self.path, size)
        self.whole, self.torn, self.taken = size, 0, min(self.taken, size)

    def check(self) -> int:
        """The file's size; no other process may have written there.

        Raises:
            RecordError: another process did.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        if size not in (self.whole, self.whole + self.torn):
            raise RecordError(
                f"{self.path} has {size} bytes, {self.whole} were expected: another process wrote there since it "
                "was opened. Give each run its own record folder"
            )
        return size


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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_jsonl_log(
    path: Path, content: bytes, taken: CommittedPrefix = _NOTHING, *, made: type[Row] | None = None
) -> JsonlLog:
    """Read what a file of rows holds; drop a torn last line with a warning. Nothing changes on disk.

    Args:
        path: where it lies.
        content: its bytes.
        taken: the head that a part has taken, if the file still has it.
        made: what all rows are; None: scores, and events where an older ontogeny wrote them.

    Raises:
        RecordError: a broken line that is not the last, or a line that is no such row; the file and the line are named.
    """
    skipped = taken.size if taken.heads(content) else 0
    whole, newline, torn = content[skipped:].rpartition(b"\n")
    if torn:
        warn(f"{path}: dropped a torn last line of {len(torn)} bytes")
    lines = whole.split(b"\n") if newline else []
    rows = [_row(path, number, line, made) for number, line in enumerate(lines, 1)]
    return JsonlLog(path=path, rows=rows, taken=skipped, whole=skipped + len(whole) + len(newline), torn=len(torn))


def _row(path: Path, number: int, line: bytes, made: type[Row] | None) -> Row:
    try:
        found = parsed(line)
    except ValueError as error:
        raise RecordError(f"{path}, line {number} is not JSON ({error}); restore the file from a copy") from error
    try:
        row = from_row(found)
    except RecordError as error:
        raise RecordError(f"{path}, line {number}: {error}; restore the file from a copy") from error
    if made is not None and type(row) is not made:
        raise RecordError(f"{path}, line {number}: kind {row.kind!r} is not of an event; restore the file from a copy")
    return row
