"""Disk: a file is replaced as a whole or stays as it was, whenever the process is killed or the power goes.

And the order of files: numbers in their names count as numbers.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ontogeny.errors import RecordError

__all__ = ["atomic_write", "by_number", "natural_key", "new_folder", "unwritable", "what_helps"]


def natural_key(text: str) -> tuple[tuple[str | int, ...], str, str]:
    """What to sort names by: whole numbers in them by value, the rest as text.

    2 comes before 10, and zeros in front do not count. No two texts are equal by it: where only zeros in front or the
    form of Unicode differ (é as one or two characters), the text decides. A point and a minus are text: 0.5 comes
    before 0.25.
    """
    composed = unicodedata.normalize("NFC", text)
    parts = re.split("([0-9]+)", composed)
    return tuple(int(part) if odd % 2 else part for odd, part in enumerate(parts)), composed, text


def by_number(paths: Iterable[Path]) -> list[Path]:
    """Paths of one folder by `natural_key` of their names, the endings last; hidden ones are left out."""
    seen = [path for path in paths if not path.name.startswith(".")]
    return sorted(seen, key=lambda path: (natural_key(path.stem), natural_key(path.suffix)))


def new_folder(beside: Path) -> Path:
    """A folder that was not there, made now: `beside`, or with the first free number, "runs/a-2"."""
    number = 1
    while True:
        folder = beside if number == 1 else beside.with_name(f"{beside.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A handle to what `path` will hold: written aside, flushed to disk, renamed when the block ends.

    Raises:
        RecordError: the disk is full or the file cannot be written; `path` is as it was.
    """
    scratch = path.with_name(path.name + ".part")
    try:
        with scratch.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        scratch.replace(path)
        _keep_names(path.parent)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> RecordError:
    """The error of a file that cannot be written, with what would help."""
    return RecordError(f"cannot write {path}: {error}; {what_helps(path, error)}")


def what_helps(path: Path, error: OSError) -> str:
    """What to do about a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some disk space or choose another folder"
    if error.errno == errno.ENOENT and not path.parent.exists():
        return f"the folder {path.parent} is gone: it was moved or deleted meanwhile. Put it back or choose another one"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "ask for the right to write there or choose another folder"
    return "choose another folder"


def _keep_names(folder: Path) -> None:
    """Flush a folder's list of names, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
