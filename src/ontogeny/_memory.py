"""Memory: does an array fit? Asked before it is allocated, for whatever grows with the square of the stimuli.

What is available is the least of what the system can give, what the job's control group leaves (Slurm, containers) and
what the process may still address (`ulimit -v`). Where nothing tells, everything fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ontogeny.errors import TooLargeError

__all__ = ["available", "fits", "require_memory", "square"]

_GIB = 2**30
_SMALL = 2**26
_UNLIMITED = float("inf")
_CACHE = ("inactive_file", "total_inactive_file")  # what the system gives back by itself


def square(n_stimuli: int) -> int:
    """Bytes of one stimuli x stimuli array of float64."""
    return 8 * n_stimuli**2


def require_memory(n_bytes: float | int, what: str, *, instead: str) -> None:
    """Refuse what does not fit; called before any of it is allocated.

    Args:
        n_bytes: that `what` takes at its highest, beside what is there already.
        what: e.g. "rsa-correlation-spearman of 73,000 stimuli and 8 targets".
        instead: what to do in its place.

    Raises:
        TooLargeError: more than is available; says both.

    Example:
        >>> require_memory(square(1000), "an RDM of 1,000 stimuli", instead="take fewer stimuli")
    """
    if not fits(n_bytes):
        there = available()
        raise TooLargeError(
            f"{what} needs {n_bytes / _GIB:.1f} GiB of memory, and {max(there, 0) / _GIB:.1f} GiB are available; "
            f"{instead}"
        )


def fits(n_bytes: float | int) -> bool:
    """Whether so many bytes are small or available."""
    return n_bytes <= _SMALL or n_bytes <= available()


def available() -> float:
    """Bytes that this process can still have; infinity where the system does not tell."""
    return min(_of_system(), _of_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")), _of_address_space())


def _of_system() -> float:
    """What the system can give without swapping; all its memory where it only tells that."""
    free = _table(Path("/proc/meminfo")).get("MemAvailable")
    if free is not None:
        return free * 1024
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return _UNLIMITED


def _of_groups(own_group: Path, root: Path) -> float:
    """What the control groups of this process leave, the outer ones too (version 1 and 2)."""
    try:
        lines = own_group.read_text().splitlines()
    except OSError:
        return _UNLIMITED
    left = _UNLIMITED
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers not in ("", "memory"):
            continue
        names = ("memory.max", "memory.current") if not controllers else _VERSION_1
        for folder in _upwards(root / controllers, path):
            left = min(left, _left(folder, *names))
    return left


_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """The group's folder and those around it; in a container these may be the top alone."""
    inside = Path(path.lstrip("/"))
    for part in (inside, *inside.parents):
        yield top / part


def _left(folder: Path, limit: str, used: str) -> float:
    try:
        most, now = (float((folder / name).read_text()) for name in (limit, used))
    except (OSError, ValueError):  # no such group here, or "max"
        return _UNLIMITED
    cache = _table(folder / "memory.stat")
    return most - now + max(cache.get(name, 0.0) for name in _CACHE)


def _of_address_space() -> float:
    try:
        import resource
    except ImportError:
        return _UNLIMITED
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return _UNLIMITED
    return limit - _table(Path("/proc/self/status")).get("VmSize", 0.0) * 1024


def _table(path: Path) -> dict[str, float]:
    """Lines `name number` or `name: number kB` of a file of the system; empty where it cannot be read."""
    try:
        rows = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return {}
    return {row[0]: float(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
