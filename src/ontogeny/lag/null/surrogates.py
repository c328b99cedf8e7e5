"""Series without a lead: conjugate-flip surrogates of a detrended pair.

If nothing leads, the cross-spectrum of the detrended pair is real, whatever both share at once and however unequal
their noise. Conjugating both Fourier coefficients of a frequency flips the sign of its cross-phase and leaves every
amplitude as it is; under the null that changes nothing, so signs drawn at random for each frequency give the null
distribution of any statistic of the pair.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from ontogeny.lag.granger_results import Rate

__all__ = ["cross_correlation", "flip_signs", "flipped", "rate", "tail"]

Batch = Float[np.ndarray, "pairs steps"]


def flip_signs(n: int, count: int, rng: np.random.Generator) -> Float[np.ndarray, "surrogates frequencies"]:
    """A sign for every surrogate and frequency of series of length n; pairs that share them stay dependent."""
    return rng.choice(np.asarray([-1.0, 1.0]), size=(count, n // 2 + 1))


def flipped(
    pair: Float[np.ndarray, "2 steps"], signs: Float[np.ndarray, "surrogates frequencies"]
) -> tuple[Float[np.ndarray, "surrogates steps"], Float[np.ndarray, "surrogates steps"]]:
    """Conjugate-flip surrogates of a detrended pair."""
    n = pair.shape[1]
    spectra = np.fft.rfft(pair, axis=1)
    a, p = (np.fft.irfft(s.real + 1j * signs * s.imag, n=n, axis=1) for s in spectra)
    return a, p


def tail(null: Float[np.ndarray, " surrogates"], observed: float) -> float:
    """Share of cases at least as large, the observed one among them (Davison and Hinkley 1997, eq. 4.11)."""
    tolerance = 1e-12 * max(1.0, abs(observed))
    return float((1 + np.sum(null >= observed - tolerance)) / (len(null) + 1))


def rate(hits: int, n: int) -> Rate:
    """A share with its exact interval (Clopper and Pearson 1934)."""
    from scipy import stats

    interval = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    return Rate(value=hits / n, low=float(interval.low), high=float(interval.high), n=n)


@lru_cache(maxsize=8)
def _phase(n: int, shifts: bytes) -> np.ndarray:
    """By how much each frequency turns in each shift; the same for all pairs of a map."""
    return np.asarray(np.exp(1j * np.pi * np.outer(np.arange(n + 1), np.frombuffer(shifts)) / n))


def cross_correlation(a: Batch, p: Batch, shifts: Float[np.ndarray, " shifts"]) -> Float[np.ndarray, "pairs shifts"]:
    """Correlation of a at i with p at i + shift, also between checkpoints.

    Biased (divided by n), so that far shifts count less; fractions of a checkpoint by Fourier interpolation of the
    cross-covariance of zero-padded series.

    Args:
        a: one row per pair.
        p: one row per pair.
        shifts: in checkpoints; positive: a is earlier.
    """
    n = a.shape[1]
    a, p = a - a.mean(axis=1, keepdims=True), p - p.mean(axis=1, keepdims=True)
    cross = np.conj(np.fft.rfft(a, 2 * n, axis=1)) * np.fft.rfft(p, 2 * n, axis=1)
    frequency = np.arange(n + 1)
    weight = np.where((frequency == 0) | (frequency == n), 1.0, 2.0)
    phase = _phase(n, shifts.tobytes())
    power = np.sqrt((a**2).sum(axis=1) * (p**2).sum(axis=1))
    covariance = ((cross * weight) @ phase).real / (2 * n)
    out: Float[np.ndarray, "pairs shifts"] = np.zeros_like(covariance)
    np.divide(covariance, power[:, None], out=out, where=power[:, None] > 0)  # a constant series correlates with none
    return out
