"""Likenesses and distances of all pairs of stimuli, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import FeatureError

__all__ = ["Rows", "tiles"]

TILE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What inner products of the rows become.

    Args:
        values: float64.
        kind: "likeness" (the products), "dissimilarity" (1 less them) or "distance" (squared Euclidean).
        squares: sum of squares of each row, for "distance".
        scale: largest absolute value that there was, which they are divided by.
    """

    values: Float[np.ndarray, "stimuli columns"]
    kind: str
    squares: Float[np.ndarray, " stimuli"]
    scale: float

    @classmethod
    def of(cls, x: Any, measure: str, *, alike: bool = False) -> Rows:
        """Rows of features or responses.

        Args:
            x: stimuli x columns.
            measure: "correlation", "cosine", "euclidean" or "inner".
            alike: likenesses, not dissimilarities.

        Raises:
            FeatureError: a row without variance ("correlation") or length ("cosine").
        """
        values = np.array(x, dtype=np.float64)
        scale = max(float(values.max()), -float(values.min())) or 1.0
        values /= scale
        if measure == "correlation":
            lengths = np.sqrt(np.einsum("sc,sc->s", values, values))
            values -= values.mean(axis=1, keepdims=True)
            _to_unit(values, 1e-12 * lengths, "a correlation between stimuli needs features that vary within each")
        elif measure == "cosine" and alike:
            values /= np.maximum(np.sqrt(np.einsum("sc,sc->s", values, values)), 1e-300)[:, None]
        elif measure == "cosine":
            _to_unit(values, np.zeros(len(values)), "a cosine needs features that are not all zero")
        elif measure == "euclidean":
            values -= values.mean(axis=0)
        kind = "distance" if measure == "euclidean" else "likeness" if alike else "dissimilarity"
        return cls(values=values, kind=kind, squares=np.einsum("sc,sc->s", values, values), scale=scale)

    def tile(self, rows: slice, columns: slice) -> Float[np.ndarray, "rows columns"]:
        """The values of some pairs."""
        out: np.ndarray = self.values[rows] @ self.values[columns].T
        if self.kind == "dissimilarity":
            np.subtract(1, out, out=out)
        elif self.kind == "distance":
            out *= -2
            out += self.squares[rows, None]
            out += self.squares[None, columns]
            np.maximum(out, 0, out=out)
        return out

    def pairs(self, rows: slice, columns: slice) -> Float[np.ndarray, " pairs"]:
        """The values of a tile's pairs i < j."""
        tile = self.tile(rows, columns)
        return tile[np.triu_indices(len(tile), 1)] if rows == columns else tile.ravel()

    def spread_out(self, pairs: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """The same order of pairs, where distances are many times as large as others: their logarithms."""
        return np.log(pairs + (1e-9 * float(self.squares.mean()) or 1.0)) if self.kind == "distance" else pairs

    def ordered(self, places: Int[np.ndarray, " stimuli"]) -> Rows:
        """The same of permuted stimuli."""
        return replace(self, values=self.values[places], squares=self.squares[places])


def _to_unit(values: np.ndarray, least: np.ndarray, needed: str) -> None:
    """Divide rows by their lengths, which have to be above `least`."""
    lengths = np.sqrt(np.einsum("sc,sc->s", values, values))
    if values.shape[1] < 2 or (lengths <= least).any():
        raise FeatureError(f"{needed}; {int((lengths <= least).sum())} stimuli do not, of {values.shape[1]} feature(s)")
    values /= lengths[:, None]


def tiles(n: int) -> Iterator[tuple[slice, slice]]:
    """All tiles with pairs i < j; on the diagonal rows and columns are equal."""
    cuts = [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]
    return ((a, b) for i, a in enumerate(cuts) for b in cuts[i:])
