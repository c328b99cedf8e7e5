"""Dissimilarities of pairs of stimuli, and vectors whose inner products compare them.

All comparisons but Kendall's are the inner product of one vector a side, so that any number of targets and layers is
one matrix product:

    pearson            the dissimilarities less their mean, at unit length
    cosine             the dissimilarities at unit length
    spearman           their mid-ranks less the mean, at unit length
    rho-a              the same over sqrt((P^3 - P) / 12), the length without ties: the mean over all ways of breaking
                       ties at random (Schuett et al. 2023, eLife 12:e82566)
    whitened-cosine    HDH (H centres), off-diagonal entries times sqrt(2), at unit length; the cosine after whitening
                       with the covariance of dissimilarities (Diedrichsen et al. 2021, arXiv 2007.02789, there
                       `cosine_cov`). Of Euclidean distances it is biased linear CKA
    whitened-pearson   the same after the mean is taken off the dissimilarities (`corr_cov`)
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ontogeny._arrays import Pairs, symmetric, upper
from ontogeny.errors import MetricError
from ontogeny.metrics._pairwise.kernels import centre
from ontogeny.metrics.layer_geometry import LayerGeometry

__all__ = [
    "Comparison",
    "Distance",
    "compare_rdms",
    "mean_component",
    "mid_ranks",
    "pairs_of",
    "rdm",
    "summary",
    "tau_a",
]

Distance = Literal["correlation", "euclidean", "cosine"]
Comparison = Literal["spearman", "rho-a", "pearson", "cosine", "kendall", "whitened-pearson", "whitened-cosine"]
Summary = Float[np.ndarray, " entries"]


def rdm(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    *,
    distance: Distance = "correlation",
) -> Pairs:
    """Dissimilarity of every pair of stimuli.

    Args:
        x: stimuli x features (or voxels).
        distance: "correlation": 1 - Pearson r over features; "cosine": 1 - cosine of the raw rows; "euclidean":
            squared Euclidean distance.

    Returns:
        One value per pair i < j, in the order of `numpy.triu_indices`.

    Raises:
        FeatureError: NaN, a stimulus whose features are all equal ("correlation") or all zero ("cosine").
    """
    view = LayerGeometry(torch.as_tensor(x))
    return pairs_of(view, distance) * (view.scale**2 if distance == "euclidean" else 1.0)


def pairs_of(view: LayerGeometry, distance: Distance) -> Pairs:
    """The same of a layer, in units of its scale."""
    if distance == "euclidean":
        return upper(view.squared_distances.numpy())
    out = upper((view.correlations if distance == "correlation" else view.cosines).numpy())
    out -= 1
    np.negative(out, out=out)
    return out


def mid_ranks(values: Pairs) -> Pairs:
    """Ranks from 1, ties at their mean rank.

    Values that differ by less than 2^-40 of their range are ties, so that no rounding of a matrix product decides
    (where they fall on both sides of an edge of that grid they need not be). One sort of integers that carry their
    place in the low bits; above 2000 stimuli these need more bits, and the grid is as much coarser.
    """
    count = len(values)
    bits = count.bit_length()
    low, high = float(values.min()), float(values.max())
    steps = values - low
    steps *= 2.0 ** min(40, 61 - bits) / (high - low) if high > low else 0.0
    keys = np.rint(steps, out=steps).astype(np.int64)
    keys <<= bits
    keys |= np.arange(count)
    keys.sort()
    ranks = _with_ties(np.arange(1.0, count + 1), np.diff(keys >> bits))
    keys &= (1 << bits) - 1
    out = np.empty(count)
    out[keys] = ranks
    return out


def _with_ties(ranks: Pairs, gaps: Int[np.ndarray, " between"]) -> Pairs:
    """Runs of sorted values without a gap between them get the mean of their ranks."""
    tied = np.flatnonzero(gaps == 0)
    if tied.size:
        first = tied[np.diff(tied, prepend=-2) > 1]
        last = tied[np.diff(tied, append=len(gaps) + 1) > 1] + 1
        length = last - first + 1
        inside = np.repeat(first - np.concatenate(([0], np.cumsum(length)[:-1])), length) + np.arange(length.sum())
        ranks[inside] = np.repeat((first + last) / 2 + 1, length)
    return ranks


def compare_rdms(a: Pairs, b: Pairs, *, comparison: Comparison = "spearman") -> float:
    """Likeness of two dissimilarity vectors; this module's docstring has the definitions.

    Args:
        a: one value per pair.
        b: the same pairs.
        comparison: "spearman" (mid-ranks for ties), "rho-a" and "kendall" (tau-a; neither rewards ties), "pearson",
            "cosine", "whitened-pearson" or "whitened-cosine".

    Returns:
        Correlation or cosine, -1 to 1.

    Raises:
        MetricError: different lengths, NaN, or a constant vector.
    """
    if a.shape != b.shape:
        raise MetricError(f"two RDMs over the same stimuli have the same pairs, got {a.shape} and {b.shape}")
    first, second = summary(a, comparison), summary(b, comparison)
    return tau_a(first, second) if comparison == "kendall" else float(first @ second)


def summary(pairs: Pairs, comparison: Comparison) -> Summary:
    """The vector that a side brings to a comparison (for "kendall" its ranks, for `tau_a`).

    Raises:
        MetricError: NaN, or dissimilarities that are all equal.
    """
    if not np.isfinite(pairs).all():
        raise MetricError(f"an RDM holds NaN or infinity in {int((~np.isfinite(pairs)).sum())} of {len(pairs)} pairs")
    largest = float(np.abs(pairs).max())
    values = pairs / (largest or 1.0)
    if comparison in ("spearman", "rho-a", "kendall"):
        values = mid_ranks(values)
    if "cosine" not in comparison:
        values -= values.mean()
    norm = float(np.linalg.norm(values))
    if norm <= 1e-12 * len(pairs) ** 0.5:
        raise MetricError("an RDM whose dissimilarities are all equal cannot be compared")
    if comparison.startswith("whitened"):
        values = _second_moment(values)
        norm = float(np.linalg.norm(values))
    if comparison == "rho-a":
        norm = ((len(pairs) ** 3 - len(pairs)) / 12) ** 0.5
    values /= norm
    return values


def _second_moment(pairs: Pairs) -> Summary:
    """HDH / -2 with its off-diagonal entries times sqrt(2), the diagonal behind them."""
    n = round((1 + (1 + 8 * len(pairs)) ** 0.5) / 2)
    if n * (n - 1) // 2 != len(pairs):
        raise MetricError(
            f"a whitened comparison needs all pairs of n stimuli, n (n - 1) / 2 of them; got {len(pairs)}"
        )
    kernel = centre(symmetric(pairs) / -2, debiased=False)
    return np.concatenate([upper(kernel) * 2**0.5, kernel.diagonal()])


def mean_component(side: Summary, comparison: Comparison) -> float:
    """One side's factor of the inner product that is expected under permutation: the product of both is that mean.

    A pair is as likely to go to any pair, so that the mean is the product of both sides' means for "cosine", and
    tr(K) tr(L) / (n - 1) for "whitened-cosine"; it is 0 for all others.
    """
    if comparison == "cosine":
        return float(side.sum() / np.sqrt(len(side)))
    if comparison == "whitened-cosine":
        n = round(((8 * len(side) + 1) ** 0.5 - 1) / 2)
        return float(side[-n:].sum() / np.sqrt(n - 1))
    return 0.0


def tau_a(a: Summary, b: Summary) -> float:
    """Kendall's tau-a: concordant less discordant, over all pairs of entries, tied ones counted as neither."""
    from scipy.stats import kendalltau  # half a second that few processes need

    untied = (1 - _tied_share(a)) * (1 - _tied_share(b))
    return float(kendalltau(a, b, method="asymptotic").statistic * np.sqrt(untied))


def _tied_share(values: Summary) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1)).sum()) / (len(values) * (len(values) - 1))
