"""The numbers of scikit-learn's `PLSRegression` (NIPALS), without a pass over the features in each of its iterations.

NIPALS finds each component's weights by the power method, w <- X'Y Y'X w; here too, to the same stopping rule. But X'Y
is made once and deflated with each component (Dayal and MacGregor 1997, J Chemometrics 11:73), and the method runs on
its smaller side: an iteration costs voxels^2 in place of stimuli x (features + voxels), and there are up to 500.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import require

__all__ = ["fast_pls", "pls_predict"]

_Weights = Float[np.ndarray, " features"]
_LEAST = 1e-12
_EPS = float(np.finfo(np.float64).eps)


def fast_pls(estimator: Any) -> bool:
    """Whether this is scikit-learn's own, by NIPALS."""
    kind = type(estimator)
    known = kind.__module__.startswith("sklearn.cross_decomposition.") and kind.__name__ == "PLSRegression"
    return known and getattr(estimator, "algorithm", "nipals") == "nipals"


def pls_predict(
    pls: Any,
    x: Float[np.ndarray, "stimuli features"],
    y: Float[np.ndarray, "stimuli voxels"],
    held_out: Float[np.ndarray, "held_out features"],
) -> Float[np.ndarray, "held_out voxels"] | None:
    """What `pls.fit(x, y).predict(held_out)` gives; warns as it does where a component does not converge.

    None where only scikit-learn can tell: more components than there are dimensions, or what is not finite.

    Args:
        pls: an unfitted `PLSRegression`.
        x: training features.
        y: training responses.
        held_out: features of held-out stimuli.
    """
    if pls.n_components > min(x.shape):
        return None
    middle, mean = x.mean(axis=0), y.mean(axis=0)
    scales = [_spread(side) if pls.scale else np.ones(side.shape[1]) for side in (x, y)]
    xk, yk = (x - middle) / scales[0], (y - mean) / scales[1]
    crossed, least = xk.T @ yk, _LEAST * np.square(xk).sum()
    weights, loadings, slopes = (np.zeros((side, pls.n_components)) for side in (len(middle), len(middle), len(mean)))
    for k in range(pls.n_components):
        first = np.flatnonzero((np.abs(yk) >= 10 * _EPS).any(axis=0))
        if not len(first):
            break
        w, converged = _first_weights(crossed, int(first[0]), pls.max_iter, pls.tol)
        if not converged:
            convergence = require("sklearn.exceptions", "encoding").ConvergenceWarning
            warnings.warn("Maximum number of iterations reached", convergence, stacklevel=2)
        t = xk @ w
        size = t @ t
        if not size > least:
            return None
        p, q = xk.T @ t / size, yk.T @ t / size
        xk -= np.outer(t, p)
        yk -= np.outer(t, q)
        crossed -= np.outer(p * size, q)
        weights[:, k], loadings[:, k], slopes[:, k] = w, p, q
    rotations = weights @ np.linalg.pinv(loadings.T @ weights)
    out = ((held_out - middle) / scales[0] @ rotations @ slopes.T) * scales[1] + mean
    return out if np.isfinite(out).all() else None


def _spread(side: Float[np.ndarray, "stimuli columns"]) -> Float[np.ndarray, " columns"]:
    spread = side.std(axis=0, ddof=1)
    return np.asarray(np.where(spread == 0, 1.0, spread))


def _first_weights(
    crossed: Float[np.ndarray, "features voxels"], first: int, max_iter: int, tol: float
) -> tuple[_Weights, bool]:
    """The power method from one voxel's own weights, and whether it converged before the last iteration.

    With u = C'w, the next w is Cu / |Cu|, where |Cu|^2 = u'C'Cu, and w . Cu / |Cu| = u'u / |Cu|.
    """
    n_features, n_voxels = crossed.shape
    if n_voxels == 1 or max_iter == 1:
        return _unit(crossed[:, first]), n_voxels == 1 and max_iter > 1
    if n_features <= n_voxels:
        return _by_features(crossed @ crossed.T, _unit(crossed[:, first]), max_iter, tol)
    square = crossed.T @ crossed
    u = square[first] / np.sqrt(square[first, first])
    for number in range(2, max_iter + 1):
        ahead = square @ u
        length = np.sqrt(u @ ahead)
        change = 2 - 2 * (u @ u) / length
        if change < tol or number == max_iter:
            return _unit(crossed @ u), number < max_iter
        u = ahead / length
    raise AssertionError("unreachable")


def _by_features(
    square: Float[np.ndarray, "features features"], w: _Weights, max_iter: int, tol: float
) -> tuple[_Weights, bool]:
    for number in range(2, max_iter + 1):
        ahead = _unit(square @ w)
        change = np.square(ahead - w).sum()
        w = ahead
        if change < tol:
            return w, number < max_iter
    return w, False


def _unit(w: _Weights) -> _Weights:
    return np.asarray(w / (np.linalg.norm(w) + _EPS))
