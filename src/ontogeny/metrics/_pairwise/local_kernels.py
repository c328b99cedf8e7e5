"""HSIC over mutual nearest neighbours only, the inside of CKNNA (Huh et al. 2024, arXiv 2405.07987).

A and B say which stimuli j are among the k nearest of i, by either side's kernel, and M = A * B. With K~ = M * K and
L~ = M * L (diagonals zero, neither symmetric),

    HSIC(K, L) = [ sum_ij K~_ij L~_ji + sum(K~) sum(L~) / ((n-1)(n-2)) - 2 1'K~ L~1 / (n-2) ] / (n (n-3))

which is Song et al.'s unbiased HSIC (JMLR 13:1393, equation 5) of the two masked kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from ontogeny._arrays import Square
from ontogeny.errors import MetricError
from ontogeny.metrics._pairwise.nearest_neighbors import Nearest

__all__ = ["Edges", "Sums", "chance_hsic", "hsic", "hsic_over"]


def hsic(both_ways: float, sums: float, through: float, n: int) -> float:
    """Equation 5 from its three terms: sum K~_ij L~_ji, sum(K~) sum(L~), and 1'K~ L~1."""
    return (both_ways + sums / ((n - 1) * (n - 2)) - 2 * through / (n - 2)) / (n * (n - 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """One side as lists: each stimulus' k nearest, i by i, and the kernel there. 13 bytes a neighbour.

    Args:
        place: i * stimuli + j.
        kernel: K at (i, j).
        back: whether i is among the k nearest of j too.
    """

    place: Int[np.ndarray, " edges"]
    kernel: Float[np.ndarray, " edges"]
    back: Bool[np.ndarray, " edges"]

    @classmethod
    def of(cls, kernel: Square, nearest: Nearest, k: int) -> Edges:
        """Keep the k nearest of each stimulus."""
        near, n = nearest.rows(k), len(kernel)
        place = (near + np.arange(n)[:, None] * n).ravel()
        back = nearest.is_near(near.ravel(), np.repeat(np.arange(n), k), k)
        small = np.int32 if n**2 < 2**31 else np.int64
        return cls(place=place.astype(small), kernel=kernel.ravel()[place], back=back)

    def at(self, places: Int[np.ndarray, " stimuli"] | None) -> Edges:
        """The same where stimulus i has the number `places[i]`, in the order in which they were."""
        if places is None:
            return self
        i, j = np.divmod(self.place, len(places))
        return replace(self, place=(places[i] * len(places) + places[j]).astype(self.place.dtype))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the chance level needs of one side: its kernel on its own neighbours, and who is whose.

    Args:
        n: stimuli.
        k: neighbours a stimulus.
        total: sum of A * K.
        both_ways: the same over pairs that are each other's neighbours.
        columns: sum over j of (column sum of A * K at j) x (column sum of A at j).
        crossed: sum over i of (row sum of A * K at i) x (column sum of A at i).
        own: HSIC of the side with itself.
    """

    n: int
    k: int
    total: float
    both_ways: float
    columns: float
    crossed: float
    own: float

    @classmethod
    def of(cls, edges: Edges, n: int) -> Sums:
        """Add up one side.

        Raises:
            MetricError: fewer than 4 stimuli, or a side without any structure of its own among its k nearest.
        """
        if n < 4:
            raise MetricError(f"CKNNA needs at least 4 stimuli, got {n}")
        k, kernel, column = len(edges.place) // n, edges.kernel, edges.place % n
        rows, columns = kernel.reshape(n, k).sum(axis=1), np.bincount(column, kernel, n)
        degree = np.bincount(column, minlength=n)
        total, both_ways = float(rows.sum()), float(kernel[edges.back].sum())
        own = hsic(float(np.square(kernel[edges.back]).sum()), total**2, float(columns @ rows), n)
        if own <= 1e-12 * float(np.square(kernel).sum()) / n**2:
            raise MetricError(
                f"CKNNA: among the {k} nearest neighbours there is no structure to align with (the HSIC of the kernel "
                "with itself is not positive); use another k"
            )
        return cls(
            n=n,
            k=k,
            total=total,
            both_ways=both_ways,
            columns=float(columns @ degree),
            crossed=float(rows @ degree),
            own=own,
        )

    def patterns(self, *, first: bool) -> Float[np.ndarray, "7"]:
        """Sums over ordered pairs of ordered pairs of (first of ij) x (second of kl), by how the two pairs overlap.

        The side's kernel is `first` and its neighbourhood second, or the other way round. Order: the same pair, the
        same pair turned round, one row, one column, row of the first = column of the second, column = row, none.
        """
        plain, crossed = self.k * self.total - self.both_ways, self.crossed - self.both_ways
        some = [self.total, self.both_ways, (self.k - 1) * self.total, self.columns - self.total]
        some += [crossed, plain] if first else [plain, crossed]
        return np.array([*some, self.total * self.n * self.k - sum(some)])


def chance_hsic(left: Sums, right: Sums) -> float:
    """Exact mean of HSIC(K, L) over all permutations of the stimuli of one side."""
    n = left.n
    two, three = n * (n - 1), n * (n - 1) * (n - 2)
    counts = np.array([two, two, three, three, three, three, three * (n - 3)], dtype=float)
    means = left.patterns(first=True) * right.patterns(first=False) / counts
    return hsic(left.both_ways * right.both_ways / two, float(means.sum()), float(means[1] + means[5]), n)


def hsic_over(kernel: Square, nearest: Bool[np.ndarray, "stimuli stimuli"], right: Edges) -> float:
    """HSIC(K, L) over mutual neighbours.

    Args:
        kernel: K, the layer's side.
        nearest: A, whether the column is among the row's k nearest by K.
        right: the target's k nearest, and L there.
    """
    n = len(kernel)
    shared = np.flatnonzero(nearest.ravel()[right.place])
    place = right.place[shared]
    i, j = np.divmod(place, n)
    left, other = kernel.ravel()[place], right.kernel[shared]
    through = left @ np.bincount(i, other, n)[j]
    back = right.back[shared] & nearest[j, i]
    return hsic(float(left[back] @ other[back]), float(left.sum() * other.sum()), float(through), n)
