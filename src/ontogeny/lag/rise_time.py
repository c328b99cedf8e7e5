"""When one series rises, on whatever grid it has."""

from __future__ import annotations

import numpy as np
from scipy import stats

from ontogeny._arrays import Numbers
from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit.timing import determined, timing
from ontogeny.lag.preconditions import clean, refuse_rise, refuse_series
from ontogeny.lag.results import RiseTime, Untestable

__all__ = ["rise_time"]


def rise_time(
    steps: Numbers,
    values: Numbers,
    *,
    higher_is_better: bool = True,
    name: str = "series",
) -> RiseTime | Untestable:
    """When a series first reaches half of its own gain: a description of one curve, no comparison.

    Two series on different grids can each be timed on their own grid, without interpolating either.

    Args:
        steps: optimizer updates.
        values: one per checkpoint; NaN where missing.
        higher_is_better: False for a loss.
        name: for the reason of a refusal.

    Raises:
        LagError: the arrays do not fit together, or hold infinite values or doubled steps.
    """
    series = clean(steps, values, values, higher_is_better=True)
    refused = refuse_series(series, (name,))
    if refused is not None:
        return refused
    sign = 1.0 if higher_is_better else -1.0
    timed = timing(fit_rises(log_steps(series.steps), sign * series.values[:1])[0])
    refused = refuse_rise(name, timed)
    if refused is not None:
        return refused
    if timed.one_rise.rise.gain < 0:
        return Untestable(reason=f"check polarity: {name} falls (for a loss say higher_is_better=False)")
    best = timed.best
    if not determined(best):
        return Untestable(reason=f"half point not determined: the noise of {name} leaves it anywhere on the grid")
    wide = float(stats.t.isf(0.025, series.n - len(best.rise.theta))) * np.sqrt(best.variance[1])
    return RiseTime(
        log10=float(best.u[1]),
        ci_log10=(float(best.u[1] - wide), float(best.u[1] + wide)),
        step=float(10 ** best.u[1] - 1),
        t25=float(10 ** best.u[0] - 1),
        t75=float(10 ** best.u[2] - 1),
        shape=timed.shape,
        n=series.n,
    )
