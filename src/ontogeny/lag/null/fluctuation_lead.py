"""Fluctuation lead: whether what is left after the trends moves earlier in one series."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ontogeny.lag.answer import LeadVerdict
from ontogeny.lag.granger import time_reversed_net
from ontogeny.lag.null._many_nets import time_reversed_nets
from ontogeny.lag.null.surrogates import cross_correlation, flipped, tail
from ontogeny.lag.results import FluctuationLead

__all__ = ["flip_test", "fluctuation_lead", "peak_shift", "searched"]

_ALPHA = 0.05
_RESAMPLES = 399
_FINE = 0.05


def searched(n: int) -> float:
    """Largest shift that is looked at, in checkpoints: min(5, n / 8)."""
    return min(5.0, n / 8)


def flip_test(
    residuals: Float[np.ndarray, "2 steps"], signs: Float[np.ndarray, "surrogates frequencies"]
) -> tuple[float, Float[np.ndarray, " surrogates"]]:
    """The statistic of a detrended pair (alignment, performance), and its values where nothing leads."""
    return float(time_reversed_net(residuals[:1], residuals[1:])[0]), time_reversed_nets(*flipped(residuals, signs))


def fluctuation_lead(
    residuals: Float[np.ndarray, "2 steps"],
    test: tuple[float, Float[np.ndarray, " surrogates"]],
    rng: np.random.Generator,
) -> FluctuationLead:
    """LeadVerdict and size of the lead of a detrended pair, given its `flip_test`."""
    observed, null = test
    p_a, p_p = tail(null, observed), tail(-null, -observed)
    reach = searched(residuals.shape[1])
    shift = peak_shift(residuals)
    interval = _interval(residuals, shift, rng)
    identified = interval[1] - interval[0] < reach
    return FluctuationLead(
        checkpoints=shift,
        ci_checkpoints=interval,
        identified=identified,
        p_alignment_leads=p_a,
        p_performance_leads=p_p,
        statistic=observed,
        searched=reach,
        surrogates=len(null),
        verdict=_verdict(p_a, p_p, identified=identified),
    )


def _verdict(p_a: float, p_p: float, *, identified: bool) -> LeadVerdict:
    if p_a < _ALPHA / 2:
        return "alignment leads"
    if p_p < _ALPHA / 2:
        return "performance leads"
    return "no lead detected" if identified else "not identified"


def peak_shift(residuals: Float[np.ndarray, "2 steps"]) -> float:
    """Where the cross-correlation is highest, in checkpoints; positive: alignment is earlier."""
    shifts = _shifts(residuals.shape[1])
    return float(shifts[cross_correlation(residuals[:1], residuals[1:], shifts).argmax()])


def _shifts(n: int) -> Float[np.ndarray, " shifts"]:
    return np.arange(-searched(n), searched(n) + _FINE / 2, _FINE)


def _interval(residuals: Float[np.ndarray, "2 steps"], shift: float, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the peak over resampled circular blocks of the pair (Politis and Romano 1992).

    As far to both sides as the percentiles reach to either: percentiles alone covered 91 % where one series follows.
    """
    n = residuals.shape[1]
    block = max(6, round(2 * n ** (1 / 3)))
    starts = rng.integers(0, n, size=(_RESAMPLES, -(-n // block)))
    rows = ((starts[:, :, None] + np.arange(block)) % n).reshape(_RESAMPLES, -1)[:, :n]
    shifts = _shifts(n)
    peaks = shifts[cross_correlation(residuals[0][rows], residuals[1][rows], shifts).argmax(axis=1)]
    low, high = np.percentile(peaks, [2.5, 97.5])
    wide = float(max(shift - low, high - shift))
    return max(shift - wide, -searched(n)), min(shift + wide, searched(n))
