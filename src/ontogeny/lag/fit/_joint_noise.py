"""Variance of a lead whose curves were read at the same weights and may share their noise.

The variance of a difference needs the covariance of both half points. The difference of both curves' residuals, each in
units of its half point, is modelled like those of one curve (AR(1), averaged over its coefficient), and the
cross-covariance is what the three autocovariances leave: C(a, p) = [C(a) + C(p) - C(p - a)] / 2. So noise of each curve
alone is seen where it is slow, although the noise that both share is fast.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from ontogeny.lag.fit.timing import ShapeTiming, noise, tangent

__all__ = ["lead_variance"]

_MOST = 0.98
_NARROWER, _WIDER = 1.0, 0.5


def lead_variance(alignment: ShapeTiming, performance: ShapeTiming, which: int, *, df: int) -> float:
    """Variance of performance's crossing less alignment's.

    The correlation of both is taken towards 0 by one standard error of Fisher's z where it makes the lead surer, by
    half of one where it makes it less sure, and is at most .98.

    Args:
        alignment: one fit of one curve.
        performance: one of the other, at the same steps.
        which: of `ShapeTiming.weights`.
        df: degrees of freedom of the lead.
    """
    a, p = (found.crossing(which)[1] for found in (alignment, performance))
    scale = np.sqrt(max(a * p, 1e-300))
    z = float(np.arctanh(np.clip(_covariance(alignment, performance, which) / scale, -_MOST, _MOST)))
    error = 1 / np.sqrt(max(df - 2, 1))
    sure = max(z - _NARROWER * error, 0.0) if z > 0 else min(z + _WIDER * error, 0.0)
    return float(a + p - 2 * np.tanh(sure) * scale)


def _covariance(alignment: ShapeTiming, performance: ShapeTiming, which: int) -> float:
    """Of both crossings, by how their residuals differ."""
    norms = [float(np.linalg.norm(found.weights[which])) for found in (alignment, performance)]
    weights = [found.weights[which] / norm for found, norm in zip((alignment, performance), norms, strict=True)]
    a, p = (found.rise.residuals * norm for found, norm in zip((alignment, performance), norms, strict=True))
    own = sum(found.noise * norm**2 for found, norm in zip((alignment, performance), norms, strict=True))
    bases = [tangent(found.rise.jacobian) for found in (alignment, performance)]
    most = max(basis.shape[1] for basis in bases)
    both = np.linalg.svd(np.concatenate(bases, axis=1), full_matrices=False)[0][:, :most]
    taken = [basis.shape[1] - float(((both.T @ basis) ** 2).sum()) for basis in bases]
    differing = noise(p - a, both, df=len(a) - most - sum(taken) / 2)[0]
    return float(weights[0] @ linalg.toeplitz((own - differing) / 2) @ weights[1])
