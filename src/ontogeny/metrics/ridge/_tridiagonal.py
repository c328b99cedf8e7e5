"""Ridge of few voxels: one tridiagonal form of the training features' products a fold, and no eigenvectors.

With orthonormal columns C that are orthogonal to 1 (so that all is centred), and C'KC = Q T Q' (T tridiagonal, Q
Householder's reflections; a third of the work of eigenvectors),

    q = Q'C'y,   u = (T + penalty)^-1 q          one tridiagonal solution a penalty, for all voxels at once
    RSS = penalty^2 |u|^2                         dual: K the Gram matrix of the training stimuli
    RSS = |y|^2 - q'u - penalty |u|^2             primal: K the features' products, C none, and X'y in place of y
    sum of w = size - penalty tr (T + penalty)^-1

All float64. What this costs grows with the voxels, so that eigenvectors, which are made once for all, win for many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import lapack

from ontogeny.metrics.ridge._penalty_selection import about_mean
from ontogeny.metrics.ridge._solve import Design, Narrow
from ontogeny.metrics.ridge._voxels import Cuts, Voxels

__all__ = ["few_predicted", "is_few"]

_SMALLEST = 200
_SHARE = 4
_PENALTY = 1e-7
_BLOCK = 64

Columns = Float[np.ndarray, "size voxels"]


def is_few(n_voxels: int, size: int, alphas: Float[np.ndarray, " alphas"]) -> bool:
    """Whether this way is the cheaper one, and safe.

    Args:
        n_voxels: of all targets.
        size: rows of the matrix that would be factorised.
        alphas: relative to its mean eigenvalue.
    """
    return size >= _SMALLEST and n_voxels * _SHARE <= size and float(alphas.min()) >= _PENALTY


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tridiagonal:
    """Q T Q' of a symmetric matrix."""

    diagonal: Float[np.ndarray, " size"]
    beside: Float[np.ndarray, " _"]
    reflections: Float[np.ndarray, "_ _"]
    scales: Float[np.ndarray, " _"]

    @classmethod
    def of(cls, square: Float[np.ndarray, "size size"]) -> _Tridiagonal:
        n = len(square)
        packed, diagonal, beside, scales, info = lapack.dsytrd(square.T, lower=1, lwork=n * _BLOCK, overwrite_a=1)
        assert info == 0  # noqa: S101 - LAPACK was given what it takes
        return cls(diagonal=diagonal, beside=beside, reflections=np.asfortranarray(packed[1:, :-1]), scales=scales)

    def turned(self, columns: Columns, *, back: bool = False) -> Columns:
        """Q' of the columns, or Q of them."""
        out = np.asfortranarray(columns)
        how = "N" if back else "T"
        lwork = _BLOCK * max(out.shape[1], 1) + _BLOCK * _BLOCK
        turned, _, info = lapack.dormqr("L", how, self.reflections, self.scales, out[1:], lwork)
        assert info == 0  # noqa: S101 - as above
        return np.concatenate([out[:1], turned])

    def solve(self, penalty: float, columns: Columns) -> tuple[Columns, float]:
        """(T + penalty)^-1 of the columns, and its trace.

        Raises:
            ArithmeticError: not positive definite, as rounding makes it where the penalty is tiny.
        """
        shifted = self.diagonal + penalty
        forward, factor, failed = lapack.dpttrf(shifted, self.beside)
        backward, _, failed_too = lapack.dpttrf(shifted[::-1], self.beside[::-1])
        if failed or failed_too:
            raise ArithmeticError("a tridiagonal matrix that is not positive definite")
        found, _ = lapack.dpttrs(forward, factor, columns)
        return found, float((1 / (forward + backward[::-1] - shifted)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """One outer fold: T, the voxels' side turned, and how a solution predicts.

    Args:
        form: the tridiagonal form.
        turned: q.
        n: training stimuli.
        energy: |y|^2 of each voxel (primal), or None (dual).
    """

    form: _Tridiagonal
    turned: Columns
    n: int
    energy: Float[np.ndarray, " voxels"] | None

    def best(self, alphas: Float[np.ndarray, " alphas"]) -> Columns:
        """Q u of each voxel, at the penalty with its smallest GCV error."""
        size = len(self.form.diagonal)
        least, out = np.full(self.turned.shape[1], np.inf), np.zeros_like(self.turned, order="F")
        for penalty in (alphas * (self.form.diagonal.sum() / self.n)).tolist():
            found, trace = self.form.solve(penalty, self.turned)
            squares = np.einsum("sv,sv->v", found, found)
            if self.energy is None:
                rss = penalty**2 * squares
            else:
                rss = np.maximum(self.energy - np.einsum("sv,sv->v", self.turned, found) - penalty * squares, 0)
            free = self.n - 1 - size + penalty * trace
            errors = rss / max(free, 1e-6) ** 2
            better = errors < least
            least[better], out[:, better] = errors[better], found[:, better]
        return self.form.turned(out, back=True)


def few_predicted(
    designed: Design, alphas: Float[np.ndarray, " alphas"], voxels: Voxels
) -> Iterator[Float[np.ndarray, "voxels test"]]:
    """Predictions of each outer fold's held-out responses about their mean, every voxel at its own penalty (GCV).

    Raises:
        ArithmeticError: rounding in the way; eigenvectors can tell.
    """
    side, y = designed.side, voxels.y.T.astype(np.float64)
    if isinstance(side, Narrow):
        yield from _primal(side, designed.cuts, alphas, y)
    else:
        yield from _dual(side, designed.cuts, alphas, y)


def _dual(
    gram: Float[np.ndarray, "stimuli stimuli"], cuts: Cuts, alphas: Float[np.ndarray, " alphas"], y: Columns
) -> Iterator[Float[np.ndarray, "voxels test"]]:
    for fold in range(cuts.n_folds):
        rows = cuts.train(gram, (fold,), axis=0)
        k, train = cuts.train(rows, (fold,), axis=1), cuts.train(y, (fold,), axis=0)
        mirror = _mirror(len(k))
        form = _Tridiagonal.of(_without_mean(k, mirror))
        turned = form.turned(_reflected(mirror, train)[1:])
        found = _Fold(form=form, turned=turned, n=len(k), energy=None).best(alphas)
        weights = _reflected(mirror, np.concatenate([np.zeros((1, found.shape[1])), found]))
        yield (about_mean(cuts.train(gram[cuts.test(fold)], (fold,), axis=1)) @ weights).T


def _mirror(n: int) -> Float[np.ndarray, " size"]:
    """Unit normal of the reflection that maps the first axis onto the mean's direction."""
    out = np.full(n, n**-0.5)
    out[0] -= 1
    return np.asarray(out / np.linalg.norm(out))


def _reflected(mirror: Float[np.ndarray, " size"], columns: Columns) -> Columns:
    return columns - np.outer(2 * mirror, mirror @ columns)


def _without_mean(
    square: Float[np.ndarray, "size size"], mirror: Float[np.ndarray, " size"]
) -> Float[np.ndarray, "_ _"]:
    """C' of the matrix C, one row and column less."""
    along = square @ mirror
    along = 2 * along - 2 * (mirror @ along) * mirror
    return np.asarray(square[1:, 1:] - np.outer(mirror, along)[1:, 1:] - np.outer(along, mirror)[1:, 1:])


def _primal(
    side: Narrow, cuts: Cuts, alphas: Float[np.ndarray, " alphas"], y: Columns
) -> Iterator[Float[np.ndarray, "voxels test"]]:
    tests = [cuts.test(fold) for fold in range(cuts.n_folds)]
    crossed = [side.x[cut].T @ y[cut] for cut in tests]
    for fold, cut in enumerate(tests):
        products, mean, _, n = side.without((fold,), cuts)
        train = cuts.train(y, (fold,), axis=0)
        level = train.mean(axis=0)
        form = _Tridiagonal.of(products)
        mixed = sum(crossed[other] for other in cuts.others((fold,))) - np.outer(n * mean, level)
        energy = np.square(train - level).sum(axis=0)
        found = _Fold(form=form, turned=form.turned(mixed), n=n, energy=energy).best(alphas)
        yield (about_mean(side.x[cut]) @ found).T
