"""Variance of a mean over crossed random factors (seeds, subjects, stimuli) from bootstraps over some of them.

Of a table x = seed + subject + stimulus + interactions, a bootstrap over a set A of factors has the expected variance

    V(A) = sum over non-empty subsets B of A of q(B) T(B),     q(B) = product over B of (1 - 1 / n)

where T(B) is the variance of the mean from all components that contain B. So T follows by inclusion and exclusion, and
the variance of the mean over everything drawn anew is the sum of T over sets, minus where the set is even. For two
factors this is the corrected two-factor bootstrap of Schuett et al. (2023, eLife 12:e82566; in rsatoolbox
`eval_dual_bootstrap`), with its bounds: not below what one factor alone gives, not above the sum of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, combinations

import numpy as np
from jaxtyping import Float
from scipy import special

__all__ = ["Leads", "critical_t", "crossed_variance", "p_above"]

Leads = Float[np.ndarray, "runs draws"]


def crossed_variance(
    observed: Float[np.ndarray, " runs"], drawn: Mapping[frozenset[str], Leads], units: Mapping[str, int]
) -> tuple[float, dict[str, float]]:
    """Variance of the mean over runs, and its part from each factor with all that this factor takes part in.

    Args:
        observed: the lead of each run.
        drawn: set of factors that were drawn ("subjects", "stimuli", both) -> leads of each run in each draw. Seeds
            need no draws: the mean over runs drawn with replacement has a known variance.
        units: factor -> how many there are; with "seeds" where runs are drawn too.

    Raises:
        ValueError: a factor with fewer than two units.

    Example:
        >>> total, parts = crossed_variance(np.array([0.1, 0.2, 0.3]), {}, {"seeds": 3})
        >>> round(total, 5), round(parts["seeds"], 5)
        (0.00333, 0.00333)
    """
    if (fewest := min(units.values(), default=2)) < 2:
        raise ValueError(f"a factor has {fewest} unit; a variance needs two")
    runs = len(observed)
    boot = {frozenset[str](): 0.0} | {key: float(leads.mean(axis=0).var()) for key, leads in drawn.items()}
    if "seeds" in units:
        spread = {frozenset[str](): float(observed.var()) / runs}
        spread |= {key: float(leads.var(axis=0).mean()) / runs for key, leads in drawn.items()}
        boot |= {key | {"seeds"}: value + boot[key] for key, value in spread.items()}
    shared = {key: _contrast(boot, key) / np.prod([1 - 1 / units[f] for f in key]) for key in boot if key}
    parts = {name: max(float(shared[frozenset([name])]), 0.0) for name in units}
    total = sum(value * (-1) ** (len(key) + 1) for key, value in shared.items())
    return float(np.clip(total, max(parts.values(), default=0.0), sum(parts.values()))), parts


def _contrast(boot: Mapping[frozenset[str], float], key: frozenset[str]) -> float:
    """What a bootstrap over a set of factors has beyond those over its subsets."""
    subsets = chain.from_iterable(combinations(sorted(key), size) for size in range(len(key) + 1))
    return float(sum((-1) ** (len(key) - len(some)) * boot[frozenset(some)] for some in subsets))


def critical_t(tail: float, parts: Mapping[str, float], df: Mapping[str, float]) -> float:
    """Quantile for a variance made of parts, each with its own degrees of freedom: the mean of theirs by share.

    Cochran and Cox (1950, Experimental Designs): few units of one factor are not averaged away by many of another.

    Args:
        tail: probability above it.
        parts: variances.
        df: degrees of freedom of each.

    Example:
        >>> round(critical_t(0.025, {"subjects": 1.0, "stimuli": 1.0}, {"subjects": 3, "stimuli": 100}), 3)
        2.583
    """
    names = [name for name in parts if parts[name] > 0] or list(parts)
    shares = np.asarray([parts[name] for name in names])
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(names), 1 / len(names))
    return float(-shares @ special.stdtrit(np.asarray([df[name] for name in names]), tail))


def p_above(statistic: float, parts: Mapping[str, float], df: Mapping[str, float]) -> float:
    """One-sided p of a statistic over its standard error, by the same quantiles."""
    from scipy import optimize

    if not np.isfinite(statistic):
        return 1.0
    low, size = 1e-12, abs(statistic)
    p = low
    if critical_t(low, parts, df) > size:
        p = float(optimize.brentq(lambda tail: critical_t(tail, parts, df) - size, low, 0.5))
    return p if statistic > 0 else 1 - p
