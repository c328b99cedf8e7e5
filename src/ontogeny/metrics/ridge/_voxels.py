"""All voxels' side of ridge, made once: sorted by fold, centred and scaled, with sums fold by fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.errors import MetricError
from ontogeny.metrics.folds import Folds

__all__ = ["Cuts", "Voxels", "arrange", "blocks", "middle", "with_moments"]

_CONSTANT = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Where each fold lies in fold order.

    Args:
        order: row number of each stimulus, fold by fold.
        edges: first place of each fold, and the end.
    """

    order: np.ndarray
    edges: tuple[int, ...]

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.edges) - 1

    def test(self, fold: int) -> slice:
        """The places that a fold holds out."""
        return slice(self.edges[fold], self.edges[fold + 1])

    def others(self, out: tuple[int, ...]) -> list[int]:
        """All folds but `out`."""
        return [fold for fold in range(self.n_folds) if fold not in out]

    def train(self, array: np.ndarray, out: tuple[int, ...], *, axis: int) -> np.ndarray:
        """The places of all folds but `out`; a view where they lie side by side."""
        ends = [-1, *sorted(out), self.n_folds]
        runs = [(self.edges[a + 1], self.edges[b]) for a, b in pairwise(ends) if b > a + 1]
        parts = [array[a:b] if axis == 0 else array[:, a:b] for a, b in runs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voxels:
    """All voxels' side, made once: in fold order, each voxel centred and with standard deviation 1.

    Args:
        cuts: where each fold lies.
        y: responses, float32, voxel-major.
        sums: of each fold's held-out responses.
        squares: sum of squares of each fold's held-out responses.
    """

    cuts: Cuts
    y: Float[np.ndarray, "voxels stimuli"]
    sums: Float[np.ndarray, "folds voxels"]
    squares: Float[np.ndarray, "folds voxels"]

    def mean(self, out: tuple[int, ...], some: slice) -> PerVoxel:
        """Mean response of some voxels over the stimuli of all folds but `out`."""
        others = self.cuts.others(out)
        n = sum(self.cuts.edges[f + 1] - self.cuts.edges[f] for f in others)
        mean: PerVoxel = self.sums[others, some].sum(axis=0) / n
        return mean

    def energy(self, out: tuple[int, ...], some: slice) -> PerVoxel:
        """Sum of squares about that mean, over the same stimuli."""
        others = self.cuts.others(out)
        total = self.sums[others, some].sum(axis=0)
        return np.asarray(self.squares[others, some].sum(axis=0) - total * self.mean(out, some))

    def spread(self, fold: int, some: slice) -> PerVoxel:
        """Norm of a fold's held-out responses about their own mean."""
        m = self.cuts.edges[fold + 1] - self.cuts.edges[fold]
        return np.asarray(np.sqrt(self.squares[fold, some] - self.sums[fold, some] ** 2 / m))


def arrange(y: Responses, folds: Folds) -> Voxels:
    """Sort responses by fold and scale them.

    Raises:
        MetricError: NaN, rows that do not fit the folds, or a voxel that is constant over a held-out fold.
    """
    if len(folds.held_out) != len(y):
        raise MetricError(f"the folds are for {len(folds.held_out)} stimuli, the responses have {len(y)} rows")
    finite = np.isfinite(y).all(axis=0)
    if not finite.all():
        raise MetricError(
            f"{int((~finite).sum())} of {y.shape[1]} voxels hold NaN or infinity; drop them with usable_voxels()"
        )
    held = [test for _, test in folds]
    cuts = Cuts(order=np.concatenate(held), edges=tuple(int(e) for e in np.cumsum([0, *map(len, held)])))
    out = np.empty((y.shape[1], len(y)), dtype=np.float32)
    constant = np.zeros(y.shape[1], dtype=bool)
    tests = [cuts.test(fold) for fold in range(cuts.n_folds)]
    for chunk in blocks(y.shape[1]):
        rows = y[:, chunk].T[:, cuts.order].astype(np.float64)
        rows -= middle([rows[:, cut].mean(axis=1) for cut in tests])[:, None]
        for cut in tests:
            constant[chunk] |= np.ptp(rows[:, cut], axis=1) <= _CONSTANT * np.abs(rows[:, cut]).max(axis=1)
        out[chunk] = rows / np.where(constant[chunk], 1, rows.std(axis=1))[:, None]
    fewest = min(map(len, held))
    if constant.any() or fewest < 2:
        raise MetricError(
            f"{int(constant.sum())} voxel(s) are constant over the {fewest} stimuli of a held-out fold, so that no "
            "correlation is defined there; use fewer folds or drop these voxels"
        )
    return with_moments(out, cuts)


def middle(means: Sequence[Float[np.ndarray, " columns"]]) -> Float[np.ndarray, " columns"]:
    """The middle one of the folds' means, as a centre that one stimulus far from all others moves by nothing."""
    return np.asarray(np.median(means, axis=0))


def with_moments(y: Float[np.ndarray, "voxels stimuli"], cuts: Cuts) -> Voxels:
    """Responses that are in fold order and centred, with their sums fold by fold."""
    sums, squares = np.empty((2, cuts.n_folds, len(y)))
    for fold in range(cuts.n_folds):
        held = y[:, cuts.test(fold)]
        sums[fold] = held.sum(axis=1, dtype=np.float64)
        squares[fold] = np.einsum("vt,vt->v", held, held, dtype=np.float64)
    return Voxels(cuts=cuts, y=y, sums=sums, squares=squares)


def blocks(n: int, size: int = 512) -> Iterator[slice]:
    """Slices of at most `size` that cover 0 .. n - 1."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
