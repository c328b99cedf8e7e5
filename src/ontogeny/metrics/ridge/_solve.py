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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from ontogeny.errors import MetricError
from ontogeny.metrics.memory_limits import check_squares
from ontogeny.metrics.ridge._voxels import Cuts, blocks, middle

__all__ = ["Design", "Factors", "Narrow", "design", "is_wide"]

_DUAL = 0.8
_ROWS = 64
_ZERO = 1e-12
_EPS = float(np.finfo(np.float64).eps)


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
class Narrow:
    """Features in fold order and what is made of them once.

    Args:
        x: features.
        products: features x features, fold by fold.
        sums: of the features, fold by fold.
        basis: triangular R with R'R = all products (and a trace on the diagonal); empty where it was not asked for.
        white: [X R^-1, 1], float32. Single precision is enough for it however unlike the features' variances are.
    """

    x: Float[np.ndarray, "stimuli features"]
    products: Sequence[Float[np.ndarray, "features features"]]
    sums: Float[np.ndarray, "folds features"]
    basis: Float[np.ndarray, "_ _"]
    white: Float[np.ndarray, "_ _"]

    def without(self, out: tuple[int, ...], cuts: Cuts) -> tuple[np.ndarray, np.ndarray, float, int]:
        """Without the folds `out`: products about the mean, the mean, the trace of those not about it, and stimuli."""
        others = cuts.others(out)
        products = self.products[others[0]].copy()
        for fold in others[1:]:
            products += self.products[fold]
        n = sum(cuts.edges[fold + 1] - cuts.edges[fold] for fold in others)
        mean = self.sums[others].sum(axis=0) / n
        trace = float(np.trace(products))
        for rows in blocks(len(mean), _ROWS):
            products[rows] -= np.outer(n * mean[rows], mean)
        return products, mean, trace, n


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One layer's features in fold order: the Gram matrix of all stimuli (dual), or the features (primal)."""

    cuts: Cuts
    side: Float[np.ndarray, "stimuli stimuli"] | Narrow

    def factors(self, *out: int, left: bool) -> Factors:
        """Factorise without the folds `out`.

        Args:
            out: folds to leave out.
            left: whether the left singular vectors are needed (in the dual they come anyway).
        """
        side = self.side
        return self._primal(side, out, left=left) if isinstance(side, Narrow) else self._dual(side, out)

    def crossed(self, y: Float[np.ndarray, "voxels stimuli"]) -> list[Float[np.ndarray, "voxels features_and_one"]]:
        """The products of `white` with the responses of each fold (primal; else empty)."""
        if not isinstance(self.side, Narrow):
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

    def _primal(self, side: Narrow, out: tuple[int, ...], *, left: bool) -> Factors:
        products, mean, trace, n = side.without(out, self.cuts)
        power, right = _kept(*np.linalg.eigh(products), rank=n - 1, noise=8 * _EPS * trace)
        right = right / np.sqrt(power)
        return Factors(
            power=power,
            left=(self.cuts.train(side.x, out, axis=0) - mean) @ right if left else None,
            right=np.concatenate([side.basis @ right, -(mean @ right)[None]]),
            tests=tuple((side.x[self.cuts.test(fold)] - mean) @ right for fold in out),
            n=n,
        )


def is_wide(shape: tuple[int, int], cuts: Cuts) -> bool:
    """Whether so many stimuli and features are factorised by stimuli (dual), not by features (primal)."""
    return shape[1] >= _DUAL * shape[0] * (1 - 1 / cuts.n_folds)


def design(
    shape: tuple[int, int],
    features: Callable[[], Float[np.ndarray, "stimuli features"]],
    gram: Callable[[], Float[np.ndarray, "stimuli stimuli"]],
    cuts: Cuts,
    *,
    whiten: bool = True,
) -> Design:
    """Features as ridge needs them.

    Args:
        shape: number of stimuli and of features.
        features: in the order of the stimuli, with any common offset; asked for where they are few.
        gram: their centred Gram matrix, asked for where that is the smaller way.
        cuts: where each fold lies.
        whiten: as `Design.factors` needs narrow features.

    Raises:
        MetricError: another number of stimuli than the folds have; as TooLargeError, no memory for the Gram matrix.
    """
    n = len(cuts.order)
    if shape[0] != n:
        raise MetricError(f"the features have {shape[0]} stimuli, the responses {n}")
    if is_wide(shape, cuts):
        check_squares(f"ridge on {shape[1]:,} features", n, 8 + cuts.n_folds / 2)
        return Design(cuts=cuts, side=gram()[np.ix_(cuts.order, cuts.order)])
    x = features()[cuts.order]
    tests = [cuts.test(fold) for fold in range(cuts.n_folds)]
    x -= middle([x[cut].mean(axis=0) for cut in tests])
    products = [x[cut].T @ x[cut] for cut in tests]
    basis, white = _whitened(x, reduce(np.add, products)) if whiten else (np.empty((0, 0)), np.empty((0, 0)))
    sums = np.stack([x[cut].sum(axis=0) for cut in tests])
    return Design(cuts=cuts, side=Narrow(x=x, products=products, sums=sums, basis=basis, white=white))


def _whitened(
    x: Float[np.ndarray, "stimuli features"], total: Float[np.ndarray, "features features"]
) -> tuple[Float[np.ndarray, "features features"], Float[np.ndarray, "stimuli features_and_one"]]:
    n = len(x)
    basis = np.linalg.cholesky(total + max(_ZERO, n * _EPS) * np.trace(total) * np.eye(len(total)), upper=True)
    white = solve_triangular(basis, x.T, trans="T").T
    return basis, np.concatenate([white, np.ones((n, 1))], axis=1, dtype=np.float32)


def _kept(
    power: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "rows k"], *, rank: int, noise: float
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "rows rank"]]:
    """Drop directions that are zero up to rounding, and the smallest beyond `rank` of them; smallest come first."""
    largest = float(power[-1]) if power.size else 0.0
    first = max(len(power) - rank, int(np.searchsorted(power, max(largest * _ZERO, noise), side="right")))
    return power[first:], vectors[:, first:]
