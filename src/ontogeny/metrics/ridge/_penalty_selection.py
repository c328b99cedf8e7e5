"""How a ridge penalty is chosen inside the training folds.

With the names of `ontogeny.metrics.ridge._solve`:

    gcv     n RSS / (n - 1 - sum_i w_i)^2                       (Golub, Heath and Wahba 1979, Technometrics 21:215)
    loo     sum_j (e_j / (1 - h_j))^2, exact leave-one-out      (Allen 1974, Technometrics 16:125)
    kfold   mean over inner folds of the mean squared error; the inner folds are the other outer folds

No sum is a difference of near-equal numbers: with more features than stimuli and a small penalty, both a residual and
1 - leverage go to zero, and their ratio must not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ontogeny.metrics.ridge._solve import Factors
from ontogeny.metrics.ridge._voxels import blocks

__all__ = [
    "Fit",
    "Leverage",
    "Rule",
    "about_mean",
    "choose_loo",
    "fit",
    "leverage",
    "loo_errors",
    "penalties",
    "squared_errors",
]

Rule = Literal["gcv", "loo", "kfold"]
Alphas = Float[np.ndarray, " alphas"]
Errors = Float[np.ndarray, "voxels alphas"]
Projections = Float[np.ndarray, "voxels rank"]
_COLUMNS = 512
_MARGIN = 1 - 1e-4


def penalties(factors: Factors, alphas: Alphas) -> Alphas:
    """Penalties from alphas, which are relative to the mean squared singular value (sum / training stimuli)."""
    return np.asarray(alphas * (float(factors.power.sum()) / factors.n))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One factorisation at a grid of penalties, as the voxel side needs it: float32, but for `free`.

    Args:
        left: left singular vectors, or None.
        right: maps [X'y; sum of y] to z, or None.
        tests: one map from shrunk z to predictions a fold left out.
        shrink: w, one row per penalty.
        lack: (1 - w)^2, one column per penalty.
        free: (n - 1 - sum of w)^2, one per penalty.
        full: z holds all that centred training responses can be, so that nothing is left of them outside.
    """

    left: Float[np.ndarray, "train rank"] | None
    right: Float[np.ndarray, "features_and_one rank"] | None
    tests: tuple[Float[np.ndarray, "_ rank"], ...]
    shrink: Float[np.ndarray, "alphas rank"]
    lack: Float[np.ndarray, "rank alphas"]
    free: Alphas
    full: bool

    @property
    def to_z(self) -> Float[np.ndarray, "_ rank"]:
        """The left singular vectors, or the map that stands for them."""
        found = self.right if self.left is None else self.left
        assert found is not None  # noqa: S101 - a fit has one or the other
        return found

    def gcv_errors(self, z: Projections, energy: Float[np.ndarray, " voxels"]) -> Errors:
        """GCV error over n, of every penalty; `energy` is the responses' training sum of squares."""
        squares = z * z
        rss = squares @ self.lack
        if not self.full:
            rss += np.maximum(energy - squares.sum(axis=1), 0).astype(np.float32)[:, None]
        return np.asarray(rss / self.free)

    def predict(self, z: Projections, chosen: Int[np.ndarray, " voxels"]) -> Float[np.ndarray, "voxels test"]:
        """Held-out responses about the training mean (see `fit`), each voxel at its own penalty, as one product."""
        shrunk = self.shrink[chosen]
        shrunk *= z
        return np.asarray(shrunk @ self.tests[0].T)


def fit(factors: Factors, grid: Alphas, *, offsets: bool) -> Fit:
    """Factors at a grid of (absolute) penalties.

    Args:
        factors: of one outer fold.
        grid: penalties.
        offsets: keep the mean of the predictions of a fold. A correlation does not see it, and in single precision it
            would drown all else where a training stimulus of high leverage moves the mean.
    """
    power = factors.power[None, :]
    shrink = power / (power + grid[:, None])
    return Fit(
        left=None if factors.left is None else factors.left.astype(np.float32),
        right=None if factors.right is None else factors.right.astype(np.float32),
        tests=tuple((test if offsets else about_mean(test)).astype(np.float32) for test in factors.tests),
        shrink=shrink.astype(np.float32),
        lack=((1 - shrink) ** 2).T.astype(np.float32),
        free=np.maximum(factors.n - 1 - shrink.sum(axis=1), 1e-6) ** 2,
        full=factors.power.size >= factors.n - 1,
    )


def about_mean(test: Float[np.ndarray, "test rank"]) -> Float[np.ndarray, "test rank"]:
    """Columns less their mean; exactly 0 where the held-out stimuli do not differ."""
    mean = test.mean(axis=0)
    return np.where(np.ptp(test, axis=0) > 1e-12 * np.abs(mean), test - mean, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leverage:
    """What leave-one-out needs beside a `Fit`.

    Args:
        weights: 1 / (1 - h)^2 of each training stimulus, one column per penalty.
        least: the smallest of them, one per penalty.
        short: 1 - w, one row per penalty.
    """

    weights: Float[np.ndarray, "train alphas"]
    least: Alphas
    short: Float[np.ndarray, "alphas rank"]


def leverage(factors: Factors, grid: Alphas) -> Leverage:
    """Leverages at a grid of (absolute) penalties, float64, from 1 - w, never from 1 - h."""
    assert factors.left is not None  # noqa: S101 - asked for by the caller
    squares = factors.left**2
    short = grid[:, None] / (factors.power[None, :] + grid[:, None])
    one_less = squares @ short.T
    if factors.power.size < factors.n - 1:
        one_less += np.maximum(1 - 1 / factors.n - squares.sum(axis=1), 0)[:, None]
    weights = 1 / np.maximum(one_less, 1e-12) ** 2
    return Leverage(weights=weights.astype(np.float32), least=weights.min(axis=0), short=short.astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeaveOneOut:
    """Leave-one-out errors of a block of voxels: z, and what of the training responses z does not hold (or None)."""

    fit: Fit
    leverage: Leverage
    z: Projections
    outside: Float[np.ndarray, "voxels train"] | None

    def errors(self, alpha: int | np.integer, rows: np.ndarray) -> Float[np.ndarray, " some_voxels"]:
        """Exact errors of some voxels at one penalty."""
        assert self.fit.left is not None  # noqa: S101 - asked for by the caller
        left = (self.fit.left * self.leverage.short[alpha]).T
        out = np.empty(len(rows), dtype=np.float32)
        for some in blocks(len(rows)):
            residual = self.z[rows[some]] @ left
            if self.outside is not None:
                residual += self.outside[rows[some]]
            out[some] = np.square(residual, out=residual) @ self.leverage.weights[:, alpha]
        return out

    def bounds(self) -> Errors:
        """No leave-one-out error is below the residual sum of squares times the smallest of the weights."""
        rss = (self.z * self.z) @ self.fit.lack
        if self.outside is not None:
            rss += np.einsum("vt,vt->v", self.outside, self.outside)[:, None]
        return np.asarray(rss)


def loo_errors(
    fitted: Fit, weights: Leverage, z: Projections, outside: Float[np.ndarray, "voxels train"] | None
) -> Errors:
    """Exact leave-one-out error of every penalty."""
    block, every = _LeaveOneOut(fit=fitted, leverage=weights, z=z, outside=outside), np.arange(len(z))
    return np.stack([block.errors(alpha, every) for alpha in range(len(fitted.free))], axis=1)


def choose_loo(
    fitted: Fit, weights: Leverage, z: Projections, outside: Float[np.ndarray, "voxels train"] | None
) -> Int[np.ndarray, " voxels"]:
    """The penalty with the smallest exact leave-one-out error, one per voxel.

    The same as of an exhaustive search (up to ties within float32), without most of it: the penalty that GCV likes best
    is tried first, then only those whose lower bound is below the best so far.
    """
    block = _LeaveOneOut(fit=fitted, leverage=weights, z=z, outside=outside)
    rss = block.bounds()
    first = (rss / fitted.free).argmin(axis=1)
    bounds = rss * (weights.least * _MARGIN)
    best, chosen = np.full(len(z), np.inf), first.copy()
    popular = np.argsort(-np.bincount(first, minlength=len(fitted.free)), kind="stable")
    for alpha in popular[: len(np.unique(first))]:
        rows = np.flatnonzero(first == alpha)
        best[rows] = block.errors(alpha, rows)
    for alpha in popular:
        rows = np.flatnonzero((bounds[:, alpha] < best) & (first != alpha))
        if rows.size == 0:
            continue
        errors = block.errors(alpha, rows)
        better = (errors < best[rows]) | ((errors == best[rows]) & (alpha < chosen[rows]))
        best[rows[better]], chosen[rows[better]] = errors[better], alpha
    return np.asarray(chosen)


def squared_errors(
    test: Float[np.ndarray, "test rank"],
    shrink: Float[np.ndarray, "alphas rank"],
    z: Projections,
    held: Float[np.ndarray, "voxels test"],
) -> Errors:
    """Mean squared error over a held-out fold, of every penalty; as many penalties in one product as are worth it."""
    out = np.empty((len(z), len(shrink)), dtype=np.float32)
    for some in blocks(len(shrink), max(1, _COLUMNS // len(test))):
        maps = shrink[some, None, :] * test
        errors = (z @ maps.reshape(len(maps) * len(test), test.shape[1]).T).reshape(len(z), len(maps), len(test))
        errors -= held[:, None, :]
        out[:, some] = np.einsum("vat,vat->va", errors, errors)
    return out / len(test)
