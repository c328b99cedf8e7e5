"""Leads of several runs -> one, with its test: the run is the unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny.lag.answer import direction_of
from ontogeny.lag.results import PooledLead

__all__ = ["assumptions", "pool"]

_ALPHA = 0.05
_FEWEST_FLIPPED = 6
_EXACT = 12


def pool(
    values: Float[np.ndarray, "runs definitions"],
    names: Sequence[str],
    groups: Sequence[str],
    *,
    unit: str,
    seed: int = 0,
    less_mean: bool = False,
) -> PooledLead:
    """Mean over groups with its t interval; sign flips from 6 runs on. Several definitions of a lead must agree.

    Args:
        values: leads, one row per run; the first definition is the one whose values are reported.
        names: of the runs.
        groups: of the runs; blocks where each holds several runs.
        unit: of the values.
        seed: of sign patterns, where there are more than 4096.
        less_mean: whether the mean over runs was taken away from the series. The leads of R runs then hang together:
            the variance of their mean is (R - 1) / (R - 2) times what their spread says, and signs may not be flipped.
    """
    known = len(values)
    wider = np.sqrt((known - 1) / (known - 2)) if less_mean else 1.0
    cases = [_mean_interval(column, groups, float(wider)) for column in values.T]
    tails = [case[3:] for case in cases]
    name, assumed = "t", "leads normal over runs"
    if known >= _FEWEST_FLIPPED and not less_mean:
        tails = [_sign_flips(column, groups, seed) for column in values.T]
        name, assumed = "sign flips", "leads symmetric about 0"
    p_a, p_p = max(t[0] for t in tails), max(t[1] for t in tails)
    in_groups = f" in {len(set(groups))} groups" if len(set(groups)) > 1 else ""
    return PooledLead(
        mean=cases[0][0],
        ci=(min(c[1] for c in cases), max(c[2] for c in cases)),
        unit=unit,
        values=tuple(float(v) for v in values[:, 0]),
        runs=tuple(names),
        p_alignment_leads=p_a,
        p_performance_leads=p_p,
        test=f"{name} over {len(names)} runs{in_groups} ({assumed})",
        verdict=direction_of(p_a, p_p),
    )


def _weights(groups: Sequence[str]) -> tuple[Float[np.ndarray, " runs"], bool]:
    """Weights of the mean over groups of group means; and whether groups hold replicates."""
    sizes = Counter(groups)
    weights = np.asarray([1 / (len(sizes) * sizes[g]) for g in groups])
    return weights, len(sizes) > 1 and min(sizes.values()) > 1


def _mean_interval(
    values: Float[np.ndarray, " runs"], groups: Sequence[str], wider: float
) -> tuple[float, float, float, float, float]:
    """Mean, 95 % interval and one-sided p of t; the spread is that within groups where they hold replicates."""
    weights, blocked = _weights(groups)
    mean = float(weights @ values)
    centre = np.asarray([values[[g == h for h in groups]].mean() for g in groups]) if blocked else values.mean()
    df = len(values) - (len(set(groups)) if blocked else 1)
    spread = float(np.sum((values - centre) ** 2)) / df
    error = wider * float(np.sqrt(max(spread, 1e-300) * (weights**2).sum()))
    wide = -float(special.stdtrit(df, _ALPHA / 2)) * error
    return (
        mean,
        mean - wide,
        mean + wide,
        float(special.stdtr(df, -mean / error)),
        float(special.stdtr(df, mean / error)),
    )


def _sign_flips(values: Float[np.ndarray, " runs"], groups: Sequence[str], seed: int) -> tuple[float, float]:
    """One-sided p both ways; all sign patterns up to 12 runs, else 9999 at random."""
    weighed = _weights(groups)[0] * values
    if len(values) <= _EXACT:
        signs = np.asarray(list(product((1.0, -1.0), repeat=len(values))))
    else:
        drawn = np.random.default_rng(seed).choice(np.asarray([-1.0, 1.0]), size=(9999, len(values)))
        signs = np.concatenate([np.ones((1, len(values))), drawn])
    null, tolerance = signs @ weighed, 1e-12 * float(np.abs(weighed).sum())
    above, below = (null >= weighed.sum() - tolerance).mean(), (null <= weighed.sum() + tolerance).mean()
    return float(above), float(below)


def assumptions(groups: Sequence[str]) -> tuple[str, ...]:
    """What pooling takes for granted, sentences.

    Args:
        groups: of the runs.
    """
    sizes = Counter(groups)
    out = [
        "The run is the unit: runs are exchangeable, independent trainings.",
        "All runs are compared with the same brain data, so this speaks of further runs, not of further subjects.",
    ]
    if len(sizes) > 1:
        replicated = min(sizes.values()) > 1
        out.append(
            f"{len(sizes)} groups are blocks: the mean is over groups, the spread within them."
            if replicated
            else f"{len(sizes)} groups, some with one run: groups serve as replicates, so their spread counts as noise."
        )
    return tuple(out)
