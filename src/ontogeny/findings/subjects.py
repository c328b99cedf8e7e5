"""What subjects agree on: means with t intervals, exact sign-flip tests, false discovery rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny.errors import DataError

__all__ = ["fdr", "mean_interval", "sign_flip_p"]

_EXACT = 14


def mean_interval(values: Float[np.ndarray, " subjects"], level: float = 0.95) -> tuple[float, float, float]:
    """Mean over subjects with its t interval (unit of the values); NaN ends for one subject.

    Raises:
        DataError: none, or a value that is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        raise DataError(f"need finite values of one subject or more, got {values!r}")
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, math.nan, math.nan
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def sign_flip_p(values: Float[np.ndarray, " subjects"], *, seed: int = 0, draws: int = 9999) -> float:
    """Two-sided p that the mean is 0, by flipping the subjects' signs (symmetry under the null).

    All flips up to 14 subjects (the least p is then 2 ** (1 - n): .125 for 4), `draws` random ones beyond.

    Raises:
        DataError: see `mean_interval`.
    """
    observed = abs(mean_interval(values)[0])
    n = len(values)
    if n <= _EXACT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    else:
        drawn = np.random.default_rng(seed).choice((1.0, -1.0), size=(draws, n))
        signs = np.vstack([np.ones(n), drawn])
    means = np.abs(signs @ np.asarray(values, dtype=np.float64)) / n
    return float(np.mean(means >= observed * (1 - 1e-12)))


def fdr(p: Sequence[float]) -> list[float]:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995); [] of none."""
    return [float(q) for q in stats.false_discovery_control(np.asarray(p, dtype=np.float64))] if len(p) else []
