"""Disk: a file is replaced as a whole or stays as it was, whenever the process is killed or the power goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ontogeny.errors import RecordError

__all__ = ["replacing", "unwritable"]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
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
    """The error of a file that cannot be written."""
    return RecordError(f"cannot write {path}: {error}; free some disk space or choose another folder")


def _keep_names(folder: Path) -> None:
    """Flush a folder's list of names, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
