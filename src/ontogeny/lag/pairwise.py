"""One pair of series: which of the two moves first, by how much, or why that cannot be said."""

from __future__ import annotations

import numpy as np

from ontogeny._arrays import Numbers
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.granger import granger_of, with_placebo
from ontogeny.lag.null._null_replicates import naive_placebo, replicas
from ontogeny.lag.null.fluctuation_lead import flip_test, fluctuation_lead
from ontogeny.lag.null.surrogates import flip_signs
from ontogeny.lag.preconditions import clean, refuse_fluctuation, refuse_pair, refuse_trend, warn
from ontogeny.lag.results import Leads

__all__ = ["leads"]

_PLACEBOS = 200


def leads(
    steps: Numbers,
    alignment: Numbers,
    performance: Numbers,
    *,
    higher_is_better: bool = True,
    smoothed: bool = False,
    thresholded: bool = False,
    seed: int = 0,
    surrogates: int = 999,
) -> Leads:
    """Does alignment precede performance? Two questions, each with its own null, or the reason why it cannot be asked.

    Trend lead: which curve reaches half of its own gain first. Fluctuation lead: whether what is left after the trends
    moves earlier in one of them. Neither is causal: both are precedence within shared training time.

    Args:
        steps: optimizer updates, one per checkpoint, in any order.
        alignment: one value per checkpoint; NaN where missing.
        performance: one value per checkpoint; NaN where missing.
        higher_is_better: of performance; False for a loss.
        smoothed: whether either series was smoothed or averaged before; it adds a warning.
        thresholded: whether performance is an accuracy or another thresholded metric; it adds a warning.
        seed: of surrogates and bootstrap.
        surrogates: conjugate flips for the fluctuation test.

    Raises:
        LagError: the arrays do not fit together, or hold infinite values or doubled steps.

    Example:
        >>> from ontogeny.simulated.planted_leads import planted_lead
        >>> world = planted_lead("lead_trend", 40, seed=1)
        >>> found = leads(world.steps, world.alignment, world.performance, surrogates=99)
        >>> found.trend.log10 > 0, found.trend.p_alignment_leads < 0.05
        (True, True)
    """
    pair = clean(steps, alignment, performance, higher_is_better=higher_is_better)
    refused = refuse_pair(pair)
    if refused is not None:
        return Leads(trend=refused, fluctuation=refused, naive_granger=None, warnings=(), n=pair.n, grid=pair.grid)
    rng = np.random.default_rng(seed)
    parts = decompose(pair.steps, pair.values)
    left = parts.residuals
    signs = flip_signs(pair.n, surrogates, rng)
    naive = granger_of(pair.values, left, signs)
    null = replicas(parts, count=_PLACEBOS, rng=rng)
    return Leads(
        trend=refuse_trend(*parts.timings) or trend_lead(*parts.timings),
        fluctuation=refuse_fluctuation(pair) or fluctuation_lead(left, flip_test(left, signs), rng),
        naive_granger=with_placebo(naive, *naive_placebo(null, naive.lags)),
        warnings=warn(pair, parts.timings, smoothed=smoothed, thresholded=thresholded),
        n=pair.n,
        grid=pair.grid,
        series=tuple(tuple(map(float, one)) for one in (pair.steps, *pair.values)),
    )
