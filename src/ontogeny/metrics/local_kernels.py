"""HSIC over mutual nearest neighbours only, the inside of CKNNA (Huh et al. 2024, arXiv 2405.07987).

A and B say which stimuli j are among the k nearest of i, by either side's kernel, and M = A * B. With K~ = M * K and
L~ = M * L (diagonals zero, neither symmetric),

    HSIC(K, L) = [ sum_ij K~_ij L~_ji + sum(K~) sum(L~) / ((n-1)(n-2)) - 2 1'K~ L~1 / (n-2) ] / (n (n-3))

which is Song et al.'s unbiased HSIC (JMLR 13:1393, equation 5) of the two masked kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int

from ontogeny._arrays import Square
from ontogeny.errors import MetricError
from ontogeny.metrics.nearest import Nearest

__all__ = ["Edges", "Masked", "Sums", "chance_hsic", "hsic", "hsic_over"]

_DOUBLE_UP_TO = 256


def hsic(both_ways: float, sums: float, through: float, n: int) -> float:
    """Equation 5 from its three terms: sum K~_ij L~_ji, sum(K~) sum(L~), and 1'K~ L~1."""
    return (both_ways + sums / ((n - 1) * (n - 2)) - 2 * through / (n - 2)) / (n * (n - 3))


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
    def of(cls, kernel: Square, nearest: Nearest, k: int) -> Sums:
        """Raises MetricError where the side has no structure of its own among its k nearest."""
        n = len(kernel)
        if n < 4:
            raise MetricError(f"CKNNA needs at least 4 stimuli, got {n}")
        mask = nearest.mask(k)
        masked = np.where(mask, kernel, 0.0)
        rows, columns, degree = masked.sum(axis=1), masked.sum(axis=0), mask.sum(axis=0)
        total = float(rows.sum())
        there_and_back = masked * masked.T
        own = hsic(float(there_and_back.sum()), total**2, float(columns @ rows), n)
        if own <= 1e-12 * float(np.square(rows).sum()) / (n * (n - 3)):
            raise MetricError(
                f"CKNNA: among the {k} nearest neighbours there is no structure to align with (the HSIC of the kernel "
                "with itself is not positive); use a larger k"
            )
        return cls(
            n=n,
            k=k,
            total=total,
            both_ways=float(masked[mask & mask.T].sum()),
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


def chance_hsic(mine: Sums, theirs: Sums) -> float:
    """Exact mean of HSIC(K, L) over all permutations of the stimuli of one side."""
    n = mine.n
    two, three = n * (n - 1), n * (n - 1) * (n - 2)
    counts = np.array([two, two, three, three, three, three, three * (n - 3)], dtype=float)
    means = mine.patterns(first=True) * theirs.patterns(first=False) / counts
    return hsic(mine.both_ways * theirs.both_ways / two, float(means.sum()), float(means[1] + means[5]), n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """The layer's side as matrices, to look pairs up in.

    Args:
        kernel: A * K as the real part, A as the imaginary one.
        both_ways: A * A' * K.
    """

    kernel: Complex[np.ndarray, "stimuli stimuli"]
    both_ways: Square

    @classmethod
    def of(cls, kernel: Square, nearest: Nearest, k: int) -> Masked:
        """Look up by place in the matrix."""
        mask = nearest.mask(k)
        joint = np.empty(kernel.shape, np.complex64 if len(kernel) > _DOUBLE_UP_TO else np.complex128)
        joint.real, joint.imag = np.where(mask, kernel, 0.0), mask
        return cls(kernel=joint, both_ways=np.where(mask & mask.T, joint.real, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """A target's side as lists: each stimulus' k nearest and the kernel there. 12 bytes a neighbour.

    Args:
        near: row numbers.
        kernel: L at (i, near).
        both_ways: the same, 0 where i is not among the k nearest of its neighbour.
    """

    near: Int[np.ndarray, "stimuli k"]
    kernel: Float[np.ndarray, "stimuli k"]
    both_ways: Float[np.ndarray, "stimuli k"]

    @classmethod
    def of(cls, kernel: Square, nearest: Nearest, k: int) -> Edges:
        """Keep the k nearest of each stimulus."""
        near = nearest.rows(k)
        values = np.take_along_axis(kernel, near, axis=1)
        back = np.take_along_axis(nearest.mask(k).T, near, axis=1)
        kind = np.float32 if len(kernel) > _DOUBLE_UP_TO else np.float64
        return cls(near=near.astype(np.int32), kernel=values.astype(kind), both_ways=(values * back).astype(kind))


def hsic_over(mine: Masked, theirs: Edges) -> float:
    """HSIC(K, L) over mutual neighbours."""
    n = len(mine.kernel)
    place = theirs.near + np.arange(n)[:, None] * n
    found = mine.kernel.ravel()[place]
    k, l = found.real, theirs.kernel * found.imag  # noqa: E741 - K and L are the papers' names
    rows = l.sum(axis=1, dtype=np.float64)
    through = float((k * rows[theirs.near]).sum())
    both_ways = float(np.einsum("ij,ij->", mine.both_ways.ravel()[place], theirs.both_ways, dtype=np.float64))
    return hsic(both_ways, float(k.sum(dtype=np.float64)) * float(rows.sum()), through, n)
