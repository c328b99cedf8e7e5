"""Weights of a fitted estimator, whatever its steps are: what it predicts of each feature alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.metrics.encoding_models._estimator import HeldOut, Rows, predict, takes_several

__all__ = ["affine_of"]

_MOST = 4096
_CLOSE = 1e-6


def affine_of(
    estimator: Any, x: Rows, y: Responses, *, keep: bool = False
) -> tuple[Float[np.ndarray, "voxels features"], PerVoxel] | None:
    """Weights and intercept of an estimator fitted to all stimuli, in the features' own units.

    An affine map is known by what it gives for 0 and for each feature alone, so that a pipeline's scaling and
    components are in the weights. Features are asked for at their own spread.

    Args:
        estimator: of scikit-learn's kind.
        x: stimuli x features.
        y: stimuli x voxels.
        keep: what does not converge.

    Returns:
        None where its predictions of the stimuli are not those of the weights, to 1e-6 of the responses' spread; or of
        more than 4,096 features.

    Raises:
        MetricError: it fails.
    """
    d = x.shape[1]
    if d > _MOST:
        return None
    spread = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    middle = x.mean(axis=0)
    points = np.concatenate([middle[None], middle + np.diag(spread), x])
    out = _predictions(estimator, x, y, points, keep)
    coef = (out[1 : d + 1] - out[0]).T / spread
    intercept = out[0] - coef @ middle
    missed = np.abs(x @ coef.T + intercept - out[d + 1 :]).max(axis=0)
    return (coef, intercept) if (missed <= _CLOSE * np.maximum(y.std(axis=0), 1e-12)).all() else None


def _predictions(
    estimator: Any, x: Rows, y: Responses, points: HeldOut, keep: bool
) -> Float[np.ndarray, "held_out voxels"]:
    where = "the fit to all stimuli"
    if takes_several(estimator):
        return predict(estimator, x, y, points, where=where, keep=keep)
    return np.stack([predict(estimator, x, v, points, where=where, keep=keep) for v in y.T.copy()], axis=1)
