"""Places against quantities: rank correlations and permutation tests, also of what is known with error only."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

__all__ = ["permuted_p", "placed_p", "rank_correlations", "reordered", "true_values"]

_GRID = 40

Vector = Float[np.ndarray, " items"]


def rank_correlations(values: Float[np.ndarray, "rows rois"], place: Float[np.ndarray, " rois"]) -> np.ndarray:
    """Spearman's rho of each row with the places, ties at their mean rank; 0 for a row without any order."""
    a = stats.rankdata(values, axis=1)
    b = stats.rankdata(place)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
    size = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum())
    return np.asarray(np.divide(a @ b, size, out=np.zeros(len(a)), where=size > 0))


def permuted_p(
    values: Float[np.ndarray, "rows rois"], place: Float[np.ndarray, " rois"], *, draws: int = 9999, seed: int = 0
) -> float:
    """Two-sided p of the mean rank correlation, the places given to other ROIs, the same for all rows.

    All orders up to 7 ROIs (the least p of 4 is 2 / 24), `draws` random ones beyond.
    """
    ranks = stats.rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(ranks).sum(axis=1, keepdims=True))
    profile = np.divide(ranks, size, out=np.zeros_like(ranks), where=size > 0).sum(axis=0)
    found = np.abs(stats.rankdata(place)[reordered(len(place), draws, seed)] @ profile)
    return float(np.mean(found >= found[0] * (1 - 1e-12) - 1e-12))


def true_values(
    estimates: Vector, errors: Vector, place: Vector, *, draws: int, seed: int
) -> Float[np.ndarray, "draws items"]:
    """Draws of the true values behind estimates with known standard errors (random-effects regression).

    True values are normal about a line in the rank of their place, with an unknown spread; flat priors on line and
    spread. Rank correlations of the estimates, or of the estimates with noise added once more, are too near 0 where
    errors are large; those of these draws are not: their 95 % intervals covered the true one in 90 to 100 % of worlds
    (60 kinds, 4 to 40 items), percentiles of re-noised estimates in 0 to 98 %.

    Args:
        estimates: one an item.
        errors: standard errors, above 0.
        place: of each item.
        draws: how many.
        seed: of them.
    """
    rng = np.random.default_rng(seed)
    n = len(estimates)
    line = np.stack([np.ones(n), stats.rankdata(place) - (n + 1) / 2], axis=1)
    spreads = np.linspace(0, 2 * max(float(estimates.std()), 1e-12), _GRID + 1)[1:]
    weight = 1 / (np.square(spreads)[:, None] + np.square(errors))
    gram = np.einsum("tr,ri,rj->tij", weight, line, line)
    beta = np.linalg.solve(gram, np.einsum("tr,ri,r->ti", weight, line, estimates)[..., None])[..., 0]
    left = (weight * np.square(estimates - beta @ line.T)).sum(axis=1)
    likelihood = 0.5 * (np.log(weight).sum(axis=1) - np.linalg.slogdet(gram)[1] - left)
    share = np.exp(likelihood - likelihood.max())
    chosen = rng.choice(_GRID, draws, p=share / share.sum())
    root = np.linalg.cholesky(np.linalg.inv(gram))[chosen]
    lines = beta[chosen] + np.einsum("dij,dj->di", root, rng.standard_normal((draws, 2)))
    mean = lines @ line.T
    kept = np.square(spreads[chosen])[:, None]
    kept = kept / (kept + np.square(errors))
    noise = np.sqrt(kept) * errors * rng.standard_normal((draws, n))
    return np.asarray(mean + kept * (estimates - mean) + noise)


def placed_p(estimates: Vector, errors: Vector, place: Vector, *, draws: int = 9999, seed: int = 0) -> float:
    """Two-sided p that estimates, each with its error, fall to places by chance.

    Permutation of the places; the statistic is the slope over the rank of the place, in its standard errors, items
    weighted by 1 / (error^2 + spread), with the spread between items of DerSimonian & Laird 1986 (Control Clin Trials
    7:177), which no order of the places changes.
    """
    weight = 1 / np.square(errors)
    mean = float(np.average(estimates, weights=weight))
    excess = float(weight @ np.square(estimates - mean)) - (len(estimates) - 1)
    spread = max(0.0, excess / float(weight.sum() - np.square(weight).sum() / weight.sum()))
    weight = 1 / (np.square(errors) + spread)
    left = weight * (estimates - np.average(estimates, weights=weight))
    x = stats.rankdata(place)[reordered(len(place), draws, seed)]
    centred = x - (x @ weight / weight.sum())[:, None]
    size = np.sqrt(np.square(centred) @ weight)
    found = np.abs(centred @ left) / size
    return float(np.mean(found >= found[0] * (1 - 1e-12)))


@lru_cache(maxsize=8)
def reordered(n: int, draws: int, seed: int, *, exact: int = 7) -> Int[np.ndarray, "orders n"]:
    """Orders of n items, the given one first: all of them up to `exact` items, `draws` random ones beyond."""
    if n <= exact:
        return np.asarray(list(itertools.permutations(range(n))))
    shuffled = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    return np.vstack([np.arange(n), shuffled])
