"""Ceilings from repeats: how high a correlation the noise in the responses allows, one per voxel.

A stimulus' response is signal + noise, the noise new at each repeat, var(signal) = S, var(noise) = N. Of means over n
repeats the share of signal is S / (S + N mean(1 / n)), whose root is the highest Pearson r that a model can reach:

    ncsnr         sqrt(S / N), S and N from the variance between and within stimuli (Allen et al. 2022, Nature
                  Neuroscience 25:116, for any numbers of repeats: one-way analysis of variance)
    split half    r of the means of half the repeats each, which gives N / S, corrected to all of them (Spearman 1910;
                  Brown 1910: 2 r / (1 + r) where each stimulus has the same even number of repeats)

A voxel without signal gets 0 in half of the cases, else about (1 / stimuli) ^ 1/4, for a root is steep at 0: a mean
over such voxels is a little too high, and a normalised score too low. Responses that are the same at every repeat for
another reason than the stimulus (drifts, z-scores over few stimuli) count as signal; `leave_one_subject_out` gives
what subjects share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ontogeny._arrays import PerVoxel
from ontogeny.errors import DataError

__all__ = [
    "LOWEST",
    "METHODS",
    "ceiling_from_repeats",
    "leave_one_subject_out",
    "ncsnr",
    "noise_ceiling",
    "share_of_ceiling",
    "split_half",
]

Repeats = Float[np.ndarray, "stimuli repeats voxels"]
Counts = Int[np.ndarray, " stimuli"]

METHODS = ("ncsnr", "split-half")
LOWEST = 0.1
"""A ceiling below this (1 % of the variance) cannot be distinguished from 0; nothing is divided by it."""
_SPLITS = 50


def ceiling_from_repeats(repeats: Repeats, method: str = "ncsnr", *, seed: int = 0) -> tuple[PerVoxel, str]:
    """The highest Pearson r of a model with the means over repeats, one per voxel, and a sentence that says how.

    Args:
        repeats: stimuli x repeats x voxels; NaN where a stimulus has fewer.
        method: "ncsnr" or "split-half".
        seed: of the halves.

    Raises:
        DataError: an unknown method, a stimulus without any repeat, or fewer than 10 stimuli with two or more.
    """
    if method not in METHODS:
        raise DataError(f"a ceiling from repeats is made by {' or '.join(METHODS)}, got {method!r}")
    counts = _counts(repeats)
    many = f"{_span(counts)} repeats of {len(counts)} stimuli"
    if method == "ncsnr":
        return noise_ceiling(ncsnr(repeats), counts), f"ncsnr from {many}, as Pearson r (Allen et al. 2022)"
    found = split_half(repeats, seed=seed)
    return np.sqrt(found), f"split half of {many}, mean of {_SPLITS} splits, Spearman-Brown, as Pearson r"


def _span(counts: Counts) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _counts(repeats: Repeats) -> Counts:
    """How many repeats each stimulus has, checked."""
    there = np.isfinite(repeats)
    counts = there.all(axis=2).sum(axis=1)
    if not np.array_equal(there.any(axis=2), there.all(axis=2)):
        raise DataError("some voxels lack a repeat that others have; NaN voxels have to be dropped first")
    if not counts.all():
        raise DataError(f"{int((counts == 0).sum())} of {len(counts)} stimuli have no repeat at all; leave them out")
    if int((counts > 1).sum()) < 10:
        raise DataError(
            f"{int((counts > 1).sum())} of {len(counts)} stimuli were shown twice or more; a ceiling from repeats "
            "needs 10. Give ceilings with the data, or none"
        )
    return np.asarray(counts)


def ncsnr(repeats: Repeats) -> PerVoxel:
    """Standard deviation of the signal over that of the noise of one repeat; 0 where none is left.

    N is the variance within stimuli, and N + n0 S that between their means times the repeats, n0 the number of repeats
    (of unequal ones: n - sum n_i^2 / n over stimuli less one, as in any one-way analysis of variance).

    Args:
        repeats: stimuli x repeats x voxels; NaN where a stimulus has fewer.

    Raises:
        DataError: see `ceiling_from_repeats`.
    """
    counts = _counts(repeats)
    values = np.asarray(repeats, dtype=np.float64)
    means = np.nanmean(values, axis=1)
    total, n = int(counts.sum()), len(counts)
    within = np.nansum((values - means[:, None]) ** 2, axis=(0, 1)) / (total - n)
    grand = (counts[:, None] * means).sum(axis=0) / total
    between = (counts[:, None] * (means - grand) ** 2).sum(axis=0) / (n - 1)
    usual = (total - (counts**2).sum() / total) / (n - 1)
    signal = np.maximum(between - within, 0) / usual
    return np.asarray(np.sqrt(np.divide(signal, within, out=np.full_like(signal, np.inf), where=within > 0)))


def noise_ceiling(snr: PerVoxel, counts: Counts) -> PerVoxel:
    """sqrt(s^2 / (s^2 + mean(1 / n))): Pearson r that a perfect model reaches with means over n repeats.

    Args:
        snr: ncsnr, one per voxel.
        counts: repeats of each stimulus; they may differ (NSD data manual, "mixed" numbers of trials).

    Raises:
        DataError: an ncsnr below 0 or NaN, or a count below 1.
    """
    if np.isnan(snr).any() or (snr < 0).any() or (np.asarray(counts) < 1).any():
        raise DataError("ncsnr is 0 or more, one per voxel, and each stimulus has one repeat or more")
    noise = float(np.mean(1 / np.asarray(counts, dtype=np.float64)))
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.sqrt(1 + noise / np.square(snr)))


def split_half(repeats: Repeats, *, splits: int = _SPLITS, seed: int = 0) -> PerVoxel:
    """Share of signal in the means over all repeats, from correlations of halves; 0 where these are not positive.

    The repeats of each stimulus with two or more are halved at random (an odd one is left out), frozen by the seed.

    Args:
        repeats: stimuli x repeats x voxels; NaN where a stimulus has fewer.
        splits: random halvings whose correlations are averaged.
        seed: of the halvings.

    Raises:
        DataError: see `ceiling_from_repeats`.
    """
    counts = _counts(repeats)
    order, rng = np.argsort(~np.isfinite(repeats).all(axis=2), axis=1, kind="stable"), np.random.default_rng(seed)
    able = np.flatnonzero(counts > 1)
    halves = counts[able] // 2
    found = np.zeros(repeats.shape[2])
    for _ in range(splits):
        first, second = np.empty((2, len(able), repeats.shape[2]))
        for row, (stimulus, half) in enumerate(zip(able, halves, strict=True)):
            drawn = rng.permutation(order[stimulus, : counts[stimulus]])
            first[row] = repeats[stimulus, drawn[:half]].mean(axis=0)
            second[row] = repeats[stimulus, drawn[half : 2 * half]].mean(axis=0)
        found += _correlation(first, second) / splits
    r = np.clip(found, 1e-12, 1)
    noise = (1 / r - 1) / np.mean(1 / halves)
    return np.where(found > 0, 1 / (1 + noise * np.mean(1 / counts)), 0.0)


def leave_one_subject_out(subjects: Sequence[Float[np.ndarray, "stimuli voxels"]]) -> list[PerVoxel]:
    """Pearson r over stimuli of each subject's voxels with the mean of the other subjects' same voxels.

    It needs voxels that match over subjects (a common space, or one mean a ROI), and is a lower bound: a model may know
    more of a subject than the others do.

    Args:
        subjects: stimuli x voxels each, the same stimuli and voxels in one order.

    Raises:
        DataError: one subject, or arrays of other shapes.
    """
    shapes = {np.shape(one) for one in subjects}
    if len(subjects) < 2 or len(shapes) != 1:
        raise DataError(
            f"leave one subject out needs two subjects or more with the same stimuli and voxels, got {len(subjects)} "
            f"of shapes {sorted(shapes)}"
        )
    total = np.sum(subjects, axis=0, dtype=np.float64)
    return [_correlation((total - one) / (len(subjects) - 1), np.asarray(one, dtype=np.float64)) for one in subjects]


def _correlation(a: Float[np.ndarray, "stimuli voxels"], b: Float[np.ndarray, "stimuli voxels"]) -> PerVoxel:
    """Pearson r, column by column; 0 where one is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), norms, out=np.zeros(a.shape[1]), where=norms > 0))


def share_of_ceiling(value: float, ceiling: float | None) -> float | None:
    """Value over ceiling, not clipped; None where the ceiling is not known or below `LOWEST`."""
    return None if ceiling is None or not ceiling >= LOWEST else value / ceiling
