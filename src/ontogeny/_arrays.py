"""Axis names and array aliases, used alike in annotations, arguments and columns.

Axes: `stimuli`, `features`, `voxels`, `pairs` (stimulus pairs i < j, in the order of `numpy.triu_indices`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Real

__all__ = ["Numbers", "Pairs", "PerVoxel", "Responses", "Square", "digest", "digest_of", "symmetric", "upper"]

Responses: TypeAlias = Float[np.ndarray, "stimuli voxels"]
PerVoxel: TypeAlias = Float[np.ndarray, " voxels"]
Square: TypeAlias = Float[np.ndarray, "stimuli stimuli"]
Numbers: TypeAlias = Real[np.ndarray, "..."] | Sequence[float] | Sequence[int]
Pairs: TypeAlias = Float[np.ndarray, " pairs"]


def digest(*parts: Any) -> str:
    """Sha256 (first 16 hex digits) over strings, bytes and arrays; a part's type and shape count too."""
    return digest_of(parts)


def digest_of(parts: Iterable[Any]) -> str:
    """The same of parts that come one at a time, so that large ones need not be in memory together."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        elif isinstance(part, bytes):
            sha.update(part)
        else:
            sha.update(repr(part).encode())
        sha.update(b"\x00")
    return sha.hexdigest()[:16]


def upper(square: Square, room: Pairs | None = None) -> Pairs:
    """Entries i < j of a square, put into `room` where given; by rows, as a gather takes ten times as long."""
    n, end = len(square), 0
    out = np.empty(n * (n - 1) // 2) if room is None else room
    for i in range(n - 1):
        start, end = end, end + n - 1 - i
        out[start:end] = square[i, i + 1 :]
    return out


def symmetric(pairs: Pairs) -> Square:
    """The matrix with these entries i < j, the same below the diagonal, and 0 on it."""
    n, end = round((1 + (1 + 8 * len(pairs)) ** 0.5) / 2), 0
    out = np.zeros((n, n), pairs.dtype)
    for i in range(n - 1):
        start, end = end, end + n - 1 - i
        out[i, i + 1 :] = out[i + 1 :, i] = pairs[start:end]
    return out
