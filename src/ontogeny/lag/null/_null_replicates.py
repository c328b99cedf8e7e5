"""Replicates of a user's own pair in which nothing leads, or one series by a known amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny.lag.fit._curve_shapes import curve
from ontogeny.lag.fit._growth_curve import Rise
from ontogeny.lag.fit._trend_lead import spacing_at
from ontogeny.lag.fit.decompose import Decomposed
from ontogeny.lag.granger import log_ratios
from ontogeny.lag.granger_results import Rate
from ontogeny.lag.null.surrogates import flip_signs, flipped, rate

__all__ = ["Replicas", "naive_placebo", "replicas"]

_ALPHA = 0.05

Batch = Float[np.ndarray, "pairs steps"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replicas:
    """Simulated pairs, one per row."""

    alignment: Batch
    performance: Batch


def replicas(
    pair: Decomposed,
    *,
    count: int,
    rng: np.random.Generator,
    lead: int = 0,
) -> Replicas:
    """Both trends at one half point, each with its own gain, width and asymmetry, plus flipped residuals.

    Args:
        pair: alignment and performance; residuals are scaled by sqrt(n / (n - 5)) for what the fit took away.
        count: how many.
        rng: source of the flips.
        lead: checkpoints by which alignment is made earlier, in its trend and in its fluctuations.
    """
    rises = [timed.one_rise.rise for timed in pair.timings]
    u, n = pair.u, len(pair.u)
    a, p = flipped(pair.residuals * np.sqrt(n / (n - 5)), flip_signs(n, count, rng))
    middle = float(np.mean([rise.theta[2] for rise in rises]))
    earlier = middle - lead * spacing_at(u, middle)
    trend_a, trend_p = (_moved(rise, at) for rise, at in zip(rises, (earlier, middle), strict=True))
    return Replicas(alignment=trend_a + np.roll(a, -lead, axis=1), performance=trend_p + p)


def _moved(rise: Rise, half: float) -> Float[np.ndarray, " steps"]:
    theta = rise.theta.copy()
    theta[2] = half
    out: Float[np.ndarray, " steps"] = curve(rise.u, theta[None], rise.shape)[0][0]
    return out


def naive_placebo(null: Replicas, lags: int) -> tuple[Rate, Rate]:
    """How often Granger's F test on the levels rejects at 5 % where nothing leads, in both directions."""
    count, n = null.alignment.shape
    df = n - 3 * lags - 1
    critical = np.log1p(special.fdtri(lags, df, 1 - _ALPHA) * lags / df)
    forward, backward = log_ratios(null.alignment, null.performance, lags)
    return rate(int((forward > critical).sum()), count), rate(int((backward > critical).sum()), count)
