"""When one series rises, on whatever grid it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Real
from scipy import special

from ontogeny._arrays import Numbers
from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit.timing import Timing, determined, timing
from ontogeny.lag.preconditions import clean, refuse_rise, refuse_series
from ontogeny.lag.results import Untestable
from ontogeny.lag.timing_results import RiseTime

__all__ = ["rise_time", "rise_times"]


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
    return rise_times(steps, np.asarray(values)[None], higher_is_better=higher_is_better, names=[name])[0]


def rise_times(
    steps: Numbers,
    rows: Real[np.ndarray, "series steps"],
    *,
    higher_is_better: bool = True,
    names: Sequence[str],
) -> list[RiseTime | Untestable]:
    """The same of many series, which are fitted together: ten times as fast.

    Args:
        steps: optimizer updates, of all.
        rows: one series each; NaN where missing.
        higher_is_better: False for losses.
        names: one per series.

    Raises:
        LagError: see `rise_time`.
    """
    sign = 1.0 if higher_is_better else -1.0
    cleaned = [clean(steps, row, row, higher_is_better=True) for row in rows]
    out = [refuse_series(series, (name,)) for series, name in zip(cleaned, names, strict=True)]
    grids: dict[tuple[int, ...], list[int]] = {}
    for place, (series, refused) in enumerate(zip(cleaned, out, strict=True)):
        if refused is None:
            grids.setdefault(tuple(series.steps.tolist()), []).append(place)
    found: dict[int, RiseTime | Untestable] = {place: refused for place, refused in enumerate(out) if refused}
    for places in grids.values():
        values = np.stack([sign * cleaned[place].values[0] for place in places])
        fits = fit_rises(log_steps(cleaned[places[0]].steps), values)
        for place, fitted in zip(places, fits, strict=True):
            found[place] = _judged(timing(fitted), names[place], cleaned[place].n)
    return [found[place] for place in range(len(cleaned))]


def _judged(timed: Timing, name: str, n: int) -> RiseTime | Untestable:
    refused = refuse_rise(name, timed)
    if refused is not None:
        return refused
    if timed.one_rise.rise.gain < 0:
        return Untestable(reason=f"check polarity: {name} falls (for a loss say higher_is_better=False)")
    best = timed.best
    if not determined(best):
        return Untestable(reason=f"half point not determined: the noise of {name} leaves it anywhere on the grid")
    wide = -float(special.stdtrit(n - len(best.rise.theta), 0.025)) * np.sqrt(best.variance[1])
    return RiseTime(
        log10=float(best.u[1]),
        ci_log10=(float(best.u[1] - wide), float(best.u[1] + wide)),
        step=float(10 ** best.u[1] - 1),
        t25=float(10 ** best.u[0] - 1),
        t75=float(10 ** best.u[2] - 1),
        shape=timed.shape,
        n=n,
    )
