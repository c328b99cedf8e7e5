"""Locks: one process writes into a folder at a time.

The lock is the operating system's (POSIX record locks): it ends with the process, however that ends, and is not handed
on to processes that it forks. Objects of one process share it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ontogeny._atomic_write import unwritable
from ontogeny._messages import printable
from ontogeny.errors import RecordError

try:
    import fcntl
except ImportError:  # where there are no such locks (Windows)
    fcntl = None  # type: ignore[assignment]

__all__ = ["WriteLock", "is_written"]

_SWITCH = "ONTOGENY_RECORD_LOCK"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_FLOCK, _TYPE = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi", 0)  # order of the fields, place of the type
_GUARD = threading.RLock()


@dataclass(slots=True, eq=False)
class _Held:
    """A lock that a process holds: the file, the process, and how many of its objects use it."""

    file: int
    process: int
    users: int


_HELD: dict[Path, _Held] = {}


class WriteLock:
    """The right to write into one folder; taken by `hold`, given back by `release` or the end of the process.

    Args:
        folder: it has to be there when the lock is taken; the file `.lock` in it says who writes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.resolve() / ".lock"
        self._process = 0

    def hold(self) -> bool:
        """Take the lock, or keep it; whether it was taken just now.

        Raises:
            RecordError: another process writes there; or the file system has no locks.
        """
        with _GUARD:
            if self._process == os.getpid() and _is_there(self._path):
                return False
            if not _is_there(self._path):
                _HELD[self._path] = _Held(_locked(self._path), os.getpid(), 0)
            _HELD[self._path].users += 1
            self._process = os.getpid()
            return True

    def release(self) -> None:
        """Give the lock back, once nothing else in this process writes there."""
        with _GUARD:
            held, owned = _HELD.get(self._path), self._process == os.getpid()
            self._process = 0
            if held is None or not owned or held.process != os.getpid():
                return
            held.users -= 1
            if held.users <= 0:
                del _HELD[self._path]
                if held.file >= 0:
                    os.close(held.file)


def is_written(folder: Path) -> bool:
    """Whether a process, this one or another, holds the lock of a folder; False where there are no locks.

    Args:
        folder: of a record.
    """
    path = folder.resolve() / ".lock"
    with _GUARD:
        if _is_there(path):
            return True
        if fcntl is None or not path.exists():
            return False
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:  # asked for, never taken: a writer that begins just now is not to be refused
            answer = fcntl.fcntl(file, fcntl.F_GETLK, _flock(fcntl.F_WRLCK))
        except OSError:
            return False
        finally:
            os.close(file)
    return bool(struct.unpack(_FLOCK, answer)[_TYPE] != fcntl.F_UNLCK)


def _flock(kind: int) -> bytes:
    """The system's `struct flock` of a lock on a whole file."""
    values = (0, 0, 0, kind, 0) if _TYPE else (kind, 0, 0, 0, 0)
    return struct.pack(_FLOCK, *values)


def _is_there(path: Path) -> bool:
    """Whether this process holds the lock, on the file that lies there now."""
    held = _HELD.get(path)
    if held is None or held.process != os.getpid():
        return False
    if held.file < 0:
        return True
    return path.exists() and os.path.samestat(os.fstat(held.file), path.stat())


def _locked(path: Path) -> int:
    """The open file, locked; -1 where nothing is to be locked."""
    if fcntl is None or os.environ.get(_SWITCH, "").lower() == "off":
        return -1
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sign(file)
    except OSError as error:
        text = _signed(file)
        os.close(file)
        raise _refused(path.parent, error, text) from error
    return file


def _sign(file: int) -> None:
    with suppress(OSError):  # a full disk
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _signed(file: int) -> str:
    return os.pread(file, 200, 0).decode(errors="replace")


def _refused(folder: Path, error: OSError, owner: str) -> RecordError:
    if error.errno in _TAKEN:
        return RecordError(
            f"{printable(owner) or 'another process'} is writing into {folder}: one process at a time writes a record. "
            "Give each run its own record folder, or wait until the other one has ended"
        )
    return RecordError(
        f"{folder} cannot be locked against a second writer ({error.strerror}): its file system has no locks. Put the "
        f"record on one that has, or set {_SWITCH}=off in the environment if no other process writes there"
    )
