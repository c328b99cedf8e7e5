"""Series = rise + rest: when each rises, and what fluctuates about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit.timing import Timing, timing

__all__ = ["Decomposed", "decompose"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decomposed:
    """Several series on one grid, taken apart.

    Args:
        u: log10(step + 1).
        timings: one a series.
        residuals: one row a series: values less the best shape, less a slow spline.
    """

    u: Float[np.ndarray, " steps"]
    timings: tuple[Timing, ...]
    residuals: Float[np.ndarray, "series steps"]


def decompose(steps: Real[np.ndarray, " steps"], values: Float[np.ndarray, "series steps"]) -> Decomposed:
    """Fit every series and take its rise away."""
    u = log_steps(steps)
    timings = tuple(timing(fits) for fits in fit_rises(u, values))
    left = np.stack([timed.best.rise.residuals for timed in timings])
    return Decomposed(u=u, timings=timings, residuals=_without_slow_misfit(u, left))


def _without_slow_misfit(
    u: Float[np.ndarray, " steps"], residuals: Float[np.ndarray, "series steps"]
) -> Float[np.ndarray, "series steps"]:
    """Residuals less a natural cubic spline in u with 4 degrees of freedom."""
    basis, _ = np.linalg.qr(_natural_spline(u))
    out: Float[np.ndarray, "series steps"] = residuals - (residuals @ basis) @ basis.T
    return out


def _natural_spline(u: Float[np.ndarray, " steps"]) -> Float[np.ndarray, "steps 4"]:
    """Natural cubic splines with knots at the thirds of u (Hastie, Tibshirani and Friedman 2009, eq. 5.4)."""
    knots = np.quantile(u, [0.0, 1 / 3, 2 / 3, 1.0])

    def bend(k: int) -> Float[np.ndarray, " steps"]:
        over = np.clip(u - knots[k], 0, None) ** 3 - np.clip(u - knots[-1], 0, None) ** 3
        out: Float[np.ndarray, " steps"] = over / (knots[-1] - knots[k])
        return out

    last = bend(2)
    return np.stack([np.ones_like(u), u, bend(0) - last, bend(1) - last], axis=1)
