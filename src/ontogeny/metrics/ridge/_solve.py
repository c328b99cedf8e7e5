"""Ridge, fold by fold: one factorisation of the training features serves every penalty and every voxel.

With centred training features of singular values s and left vectors U, z = U'y and w = s^2 / (s^2 + penalty):

    prediction of held-out stimuli    X_test V S^-1 (w z)
    RSS(penalty)                      |y - U z|^2 + sum_i z_i^2 (1 - w_i)^2

Wide features (dual): eigenvectors of the train x train block of the one Gram matrix that all metrics share. Narrow ones
(primal): of the features' products, which are made once a fold and added up without the folds left out. (Taking a fold
away from the total would be less work, and would lose all digits where that fold holds a stimulus of high leverage.)
Everything without voxels is float64, everything with voxels float32, a block of voxels at a time, never an array of all
penalties and voxels.

Arrays are in fold order: stimuli sorted by the fold that holds them out, so that a fold is a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.errors import MetricError
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.memory_limits import check_squares

__all__ = ["Cuts", "Design", "Factors", "Voxels", "arrange", "blocks", "design", "with_moments"]

_DUAL = 0.8
_ZERO = 1e-12
_CONSTANT = 1e-5
_EPS = float(np.finfo(np.float64).eps)


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
        rows -= _middle([rows[:, cut].mean(axis=1) for cut in tests])[:, None]
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


def _middle(means: Sequence[Float[np.ndarray, " columns"]]) -> Float[np.ndarray, " columns"]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The feature side without some folds, float64.

    Args:
        power: squared singular values, smallest first.
        left: left singular vectors, each with mean 0; None where they were not asked for.
        right: maps `Design.crossed`, added up over the training folds, to z (primal only).
        tests: X_test V S^-1 of each fold left out, in the order in which they were named.
        n: number of training stimuli.
    """

    power: Float[np.ndarray, " rank"]
    left: Float[np.ndarray, "train rank"] | None
    right: Float[np.ndarray, "features_and_one rank"] | None
    tests: tuple[Float[np.ndarray, "_ rank"], ...]
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Narrow:
    """Features in fold order and what is made of them once.

    Args:
        x: features.
        products: features x features, fold by fold.
        sums: of the features, fold by fold.
        basis: triangular R with R'R = all products (and a trace on the diagonal).
        white: [X R^-1, 1], float32. Single precision is enough for it however unlike the features' variances are.
    """

    x: Float[np.ndarray, "stimuli features"]
    products: Sequence[Float[np.ndarray, "features features"]]
    sums: Float[np.ndarray, "folds features"]
    basis: Float[np.ndarray, "features features"]
    white: Float[np.ndarray, "stimuli features_and_one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One layer's features in fold order: the Gram matrix of all stimuli (dual), or the features (primal)."""

    cuts: Cuts
    side: Float[np.ndarray, "stimuli stimuli"] | _Narrow

    def factors(self, *out: int, left: bool) -> Factors:
        """Factorise without the folds `out`.

        Args:
            out: folds to leave out.
            left: whether the left singular vectors are needed (in the dual they come anyway).
        """
        side = self.side
        return self._primal(side, out, left=left) if isinstance(side, _Narrow) else self._dual(side, out)

    def crossed(self, y: Float[np.ndarray, "voxels stimuli"]) -> list[Float[np.ndarray, "voxels features_and_one"]]:
        """The products of `white` with the responses of each fold (primal; else empty)."""
        if not isinstance(self.side, _Narrow):
            return []
        white = self.side.white
        return [y[:, cut] @ white[cut] for cut in map(self.cuts.test, range(self.cuts.n_folds))]

    def _dual(self, gram: Float[np.ndarray, "stimuli stimuli"], out: tuple[int, ...]) -> Factors:
        rows = self.cuts.train(gram, out, axis=0)
        k = self.cuts.train(rows, out, axis=1)
        noise = 8 * _EPS * float(np.trace(k))
        means = k.mean(axis=0)
        k = k - means
        k -= (means - means.mean())[:, None]
        power, left = _kept(*np.linalg.eigh(k), rank=len(k) - 1, noise=noise)
        left = left - left.mean(axis=0)
        held = (self.cuts.train(gram[self.cuts.test(fold)], out, axis=1) - means for fold in out)
        tests = tuple(cross @ left / power for cross in held)
        return Factors(power=power, left=left, right=None, tests=tests, n=len(k))

    def _primal(self, side: _Narrow, out: tuple[int, ...], *, left: bool) -> Factors:
        others = self.cuts.others(out)
        products = reduce(np.add, (side.products[fold] for fold in others))
        n = sum(self.cuts.edges[fold + 1] - self.cuts.edges[fold] for fold in others)
        mean = side.sums[others].sum(axis=0) / n
        noise = 8 * _EPS * float(np.trace(products))
        power, right = _kept(*np.linalg.eigh(products - np.outer(n * mean, mean)), rank=n - 1, noise=noise)
        right = right / np.sqrt(power)
        return Factors(
            power=power,
            left=(self.cuts.train(side.x, out, axis=0) - mean) @ right if left else None,
            right=np.concatenate([side.basis @ right, -(mean @ right)[None]]),
            tests=tuple((side.x[self.cuts.test(fold)] - mean) @ right for fold in out),
            n=n,
        )


def design(
    shape: tuple[int, int],
    features: Callable[[], Float[np.ndarray, "stimuli features"]],
    gram: Callable[[], Float[np.ndarray, "stimuli stimuli"]],
    cuts: Cuts,
) -> Design:
    """Features as ridge needs them.

    Args:
        shape: number of stimuli and of features.
        features: in the order of the stimuli, with any common offset; asked for where they are few.
        gram: their centred Gram matrix, asked for where that is the smaller way.
        cuts: where each fold lies.

    Raises:
        MetricError: another number of stimuli than the folds have; as TooLargeError, no memory for the Gram matrix.
    """
    n = len(cuts.order)
    if shape[0] != n:
        raise MetricError(f"the features have {shape[0]} stimuli, the responses {n}")
    if shape[1] >= _DUAL * n * (1 - 1 / cuts.n_folds):
        check_squares(f"ridge on {shape[1]:,} features", n, 8 + cuts.n_folds / 2)
        return Design(cuts=cuts, side=gram()[np.ix_(cuts.order, cuts.order)])
    x = features()[cuts.order]
    tests = [cuts.test(fold) for fold in range(cuts.n_folds)]
    x -= _middle([x[cut].mean(axis=0) for cut in tests])
    products = [x[cut].T @ x[cut] for cut in tests]
    total = reduce(np.add, products)
    basis = np.linalg.cholesky(total + max(_ZERO, n * _EPS) * np.trace(total) * np.eye(len(total)), upper=True)
    white = solve_triangular(basis, x.T, trans="T").T
    side = _Narrow(
        x=x,
        products=products,
        sums=np.stack([x[cut].sum(axis=0) for cut in tests]),
        basis=basis,
        white=np.concatenate([white, np.ones((n, 1))], axis=1, dtype=np.float32),
    )
    return Design(cuts=cuts, side=side)


def _kept(
    power: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "rows k"], *, rank: int, noise: float
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "rows rank"]]:
    """Drop directions that are zero up to rounding, and the smallest beyond `rank` of them; smallest come first."""
    largest = float(power[-1]) if power.size else 0.0
    first = max(len(power) - rank, int(np.searchsorted(power, max(largest * _ZERO, noise), side="right")))
    return power[first:], vectors[:, first:]
