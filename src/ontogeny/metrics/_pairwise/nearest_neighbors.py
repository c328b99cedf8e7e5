"""Nearest neighbours of every stimulus, for all k at once, and sets of them as bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.errors import MetricError
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_squares

__all__ = [
    "Bits",
    "Likeness",
    "Nearest",
    "intersection_size",
    "keys_of",
    "likeness_of",
    "n_intersecting",
    "neighbours",
    "pack_bits",
    "view_of",
]

Likeness = Literal["cosine", "inner", "euclidean"]
Bits = UInt64[np.ndarray, "stimuli words"]

_STEPS = 2.0**40
_LOW = 20
_BLOCK = 8


def view_of(x: Float[Tensor, "stimuli columns"] | Float[np.ndarray, "stimuli columns"], *, z: bool) -> LayerGeometry:
    """Features or responses as all metrics see them, z-scored or not."""
    view = LayerGeometry(torch.as_tensor(x))
    return view.standardised if z else view


def likeness_of(view: LayerGeometry, likeness: Likeness) -> Square:
    """How alike stimuli are, in the features' own unit: "cosine" or "inner" product of the rows, or -d^2."""
    if likeness == "euclidean":
        return -view.squared_distances.numpy() * view.scale**2
    raw: Square = view.inner.numpy()
    if likeness == "inner":
        return raw * view.scale**2
    norms = np.maximum(np.sqrt(raw.diagonal()), 1e-300)
    raw /= norms[:, None]
    raw /= norms[None, :]
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The others of each stimulus, nearest first.

    Likenesses that differ by less than 2^-40 of the largest in their row are ties, so that no rounding of a matrix
    product decides; of ties the lower row number comes first.

    Args:
        keys: smaller is nearer, all different; a stimulus' own is the largest.
        ordered: the keys of each row, sorted; a key's last 20 bits are the row number.
    """

    keys: Int[np.ndarray, "stimuli stimuli"]
    ordered: Int[np.ndarray, "stimuli stimuli"]

    @classmethod
    def of(cls, likeness: Square) -> Nearest:
        """Sort each row once, for any number of k.

        Raises:
            TooLargeError: no memory for two numbers a pair more.
        """
        check_squares("sorted neighbours", len(likeness), 3)
        keys = keys_of(likeness, np.arange(len(likeness)))
        return cls(keys=keys, ordered=np.sort(keys, axis=1))

    def rows(self, k: int) -> Int[np.ndarray, "stimuli k"]:
        """Row numbers of each stimulus' k nearest others.

        Raises:
            MetricError: k is not between 1 and stimuli - 1.
        """
        return self.ordered[:, : self._possible(k)] & ((1 << _LOW) - 1)

    def mask(self, k: int) -> Bool[np.ndarray, "stimuli stimuli"]:
        """Whether the column is among the row's k nearest.

        Raises:
            MetricError: k is not between 1 and stimuli - 1.
        """
        last = self._possible(k) - 1
        return np.asarray(self.keys <= self.ordered[:, last : last + 1])

    def is_near(
        self, rows: Int[np.ndarray, " pairs"], columns: Int[np.ndarray, " pairs"], k: int
    ) -> Bool[np.ndarray, " pairs"]:
        """`mask(k)` at some pairs."""
        last = self._possible(k) - 1
        return np.asarray(self.keys[rows, columns] <= self.ordered[rows, last])

    def _possible(self, k: int) -> int:
        n = len(self.keys)
        if not 1 <= k < n:
            raise MetricError(f"k nearest neighbours among {n} stimuli: k should be 1 to {n - 1}, got {k}")
        return k


def keys_of(
    likeness: Float[np.ndarray, "some stimuli"], own: Int[np.ndarray, " some"]
) -> Int[np.ndarray, "some stimuli"]:
    """The keys of `Nearest` of some stimuli, whose own columns are `own`."""
    others, rows = likeness.copy(), np.arange(len(own))
    others[rows, own] = 0.0
    most = np.abs(others).max(axis=1)
    others *= (-_STEPS / np.where(most > 0, most, 1.0))[:, None]
    keys = np.rint(others, out=others).astype(np.int64)
    keys <<= _LOW
    keys += np.arange(likeness.shape[1])
    keys[rows, own] = np.iinfo(np.int64).max
    return np.asarray(keys)


def neighbours(likeness: Square, k: int) -> Int[np.ndarray, "stimuli k"]:
    """Row numbers of each stimulus' k most alike others, itself excluded; ties as in `Nearest`.

    Raises:
        MetricError: k is not between 1 and stimuli - 1.
    """
    return Nearest.of(likeness).rows(k)


def pack_bits(mask: Bool[np.ndarray, "stimuli stimuli"]) -> Bits:
    """A set per row, one bit per stimulus, in 64-bit words."""
    n = len(mask)
    room = np.zeros((n, -(-n // 64) * 8), np.uint8)
    bits = np.packbits(mask, axis=1, bitorder="little")
    room[:, : bits.shape[1]] = bits
    return room.view(np.uint64)


def intersection_size(left: Bits, right: UInt64[np.ndarray, "targets stimuli words"]) -> Int[np.ndarray, " targets"]:
    """Over all rows, how many members the sets of both sides share."""
    parts = [
        np.bitwise_count(right[i : i + _BLOCK] & left).sum(axis=(1, 2), dtype=np.int64)
        for i in range(0, len(right), _BLOCK)
    ]
    return np.concatenate(parts)


def n_intersecting(left: Bits, right: UInt64[np.ndarray, "targets stimuli words"]) -> Int[np.ndarray, " targets"]:
    """In how many rows the sets of both sides share a member."""
    parts = [(right[i : i + _BLOCK] & left).any(axis=2).sum(axis=1) for i in range(0, len(right), _BLOCK)]
    return np.concatenate(parts)
