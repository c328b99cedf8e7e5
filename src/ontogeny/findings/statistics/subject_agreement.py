"""What subjects agree on: means with t intervals, exact sign-flip tests, false discovery rate; as estimates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from ontogeny.errors import DataError
from ontogeny.findings.estimates import Estimate

__all__ = ["adjusted", "fdr", "mean_interval", "over_subjects", "sign_flip_p"]

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


def over_subjects(
    values: Float[np.ndarray, " subjects"], *, name: str, unit: str, how: str, tested: bool = True
) -> Estimate:
    """Mean over subjects, 95 % t interval, exact sign flip; neither of the two for one subject.

    Args:
        values: one per subject, in `unit`.
        name: see `Estimate`.
        unit: see `Estimate`.
        how: what a subject's value is; interval and test are added.
        tested: False where 0 is no null.

    Raises:
        DataError: a value that is not finite.
    """
    mean, low, high = mean_interval(values)
    n = len(values)
    if n == 1:
        how = f"{how}; one subject, so neither interval nor test"
        return Estimate(name=name, value=mean, unit=unit, n=1, of="subject", how=how)
    p = sign_flip_p(values) if tested else None
    flips = f", p by flipping the subjects' signs (least possible {2.0 ** (1 - n):.3g})" if tested else ""
    how = f"{how}; mean over subjects, 95 % t interval{flips}"
    return Estimate(name=name, value=mean, unit=unit, low=low, high=high, p=p, n=n, of="subjects", how=how)


def adjusted(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The same with q, their p adjusted for the false discovery rate over those that have one."""
    q = iter(fdr([estimate.p for estimate in estimates if estimate.p is not None]))
    return [estimate if estimate.p is None else replace(estimate, q=next(q)) for estimate in estimates]
