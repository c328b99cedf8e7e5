"""Curves that rise, fall and rise again: their turning points with intervals, and which of two curves turns first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny._arrays import Numbers
from ontogeny.lag.answer import direction_of
from ontogeny.lag.fit._growth_curve import log_steps
from ontogeny.lag.fit._transitions import Transitions, fit_transitions
from ontogeny.lag.preconditions import clean, refuse_series
from ontogeny.lag.timing_results import Phases, TurningPoint, TurnLead

__all__ = ["phases", "turning_points"]

_FEWEST = 16
_PHASE = 0.005
_ALPHA = 0.05
_GRID = 2000


def turning_points(steps: Numbers, values: Numbers, *, higher_is_better: bool = True) -> tuple[TurningPoint, ...]:
    """Where a curve over training turns, from rising to falling or back.

    A sum of logistic transitions in log step is fitted, as many as the data ask for. Its extrema count where the
    phases before and after them are larger than the noise (two-sided p below .005 each). Intervals are by the delta
    method under AR(1) noise.

    Args:
        steps: optimizer updates, 16 or more.
        values: one per checkpoint; NaN where missing.
        higher_is_better: False for a loss, which is turned over before: its peaks are where it is lowest.

    Returns:
        In the order of steps; none where the curve only rises, or only falls, or is too short or constant.

    Raises:
        LagError: the arrays do not fit together, or hold infinite values or doubled steps.

    Example:
        >>> steps = np.unique(np.logspace(0, 4, 40).astype(int))
        >>> rise = lambda at: 1 / (1 + (at / steps) ** 3)
        >>> noise = 0.02 * np.random.default_rng(0).standard_normal(len(steps))
        >>> [point.kind for point in turning_points(steps, rise(20) - 0.6 * rise(300) + noise)]
        ['peak']
    """
    pair = clean(steps, values, values, higher_is_better=True)
    if refuse_series(pair, ("values",)) is not None or pair.n < _FEWEST:
        return ()
    return _turning_points(log_steps(pair.steps), pair.values[0] if higher_is_better else -pair.values[0])


def phases(steps: Numbers, alignment: Numbers, performance: Numbers, *, higher_is_better: bool = True) -> Phases:
    """Turning points of two curves, and which of the two turns first, one by one.

    Null for each: both noise-free curves turn at the same step. Tested where both have the same kinds of turning
    points in the same order; the p of all of them are adjusted together (Holm 1979).

    Args:
        steps: optimizer updates, one per checkpoint, in any order.
        alignment: one value per checkpoint; NaN where missing.
        performance: one value per checkpoint; NaN where missing.
        higher_is_better: of performance; False for a loss.

    Raises:
        LagError: the arrays do not fit together, or hold infinite values or doubled steps.

    Example:
        >>> from ontogeny.simulated.planted_phases import planted_phases
        >>> world = planted_phases(40, checkpoints=3.0, seed=1)
        >>> found = phases(world.steps, world.alignment, world.performance)
        >>> [(lead.kind, lead.verdict) for lead in found.leads]
        [('peak', 'alignment leads'), ('trough', 'alignment leads')]
    """
    pair = clean(steps, alignment, performance, higher_is_better=higher_is_better)
    if pair.n < _FEWEST:
        return _untested((), (), f"{pair.n} checkpoints, turning points need {_FEWEST}", pair.n)
    if (refused := refuse_series(pair, ("alignment", "performance"))) is not None:
        return _untested((), (), refused.reason, pair.n)
    a, p = (_turning_points(log_steps(pair.steps), values) for values in pair.values)
    if not a and not p:
        return _untested(a, p, "neither curve turns", pair.n)
    if [one.kind for one in a] != [one.kind for one in p]:
        return _untested(a, p, f"alignment has {_kinds(a)}, performance {_kinds(p)}: not the same turns", pair.n)
    return Phases(alignment=a, performance=p, leads=_leads(a, p), reason="", n=pair.n)


def _untested(a: tuple[TurningPoint, ...], p: tuple[TurningPoint, ...], reason: str, n: int) -> Phases:
    return Phases(alignment=a, performance=p, leads=(), reason=reason, n=n)


def _kinds(points: Sequence[TurningPoint]) -> str:
    return ", ".join(f"a {one.kind}" for one in points) or "no turning point"


def _turning_points(u: Float[np.ndarray, " steps"], values: Float[np.ndarray, " steps"]) -> tuple[TurningPoint, ...]:
    fit = fit_transitions(u, values)
    at = np.asarray(_large_phases(fit, _extrema(fit)))
    if not len(at):
        return ()
    errors = np.sqrt(fit.variance(fit.extremum_gradient(at)))
    wide = -float(special.stdtrit(fit.df, _ALPHA / 2))
    return tuple(
        TurningPoint(
            kind="peak" if bend < 0 else "trough",
            step=float(10**place - 1),
            ci=(float(_step(place - wide * error)), float(_step(place + wide * error))),
            log10=float(place),
            error=float(error),
            df=fit.df,
        )
        for place, error, bend in zip(at, errors, fit.bend(at), strict=True)
    )


def _step(u: float) -> float:
    return float(10 ** np.clip(u, 0, 99) - 1)


def _extrema(fit: Transitions) -> list[float]:
    """Where the slope changes its sign within the grid of checkpoints."""
    grid = np.linspace(fit.u[0], fit.u[-1], _GRID)
    slope = fit.slope(grid)
    places = np.flatnonzero(np.sign(slope[1:]) * np.sign(slope[:-1]) < 0)
    share = slope[places] / (slope[places] - slope[places + 1])
    return [float(at) for at in grid[places] + share * (grid[1] - grid[0])]


def _large_phases(fit: Transitions, extrema: list[float]) -> list[float]:
    """Extrema between phases that are larger than the noise; the smallest of the others goes first, with its ends."""
    least = -float(special.stdtrit(fit.df, _PHASE / 2))
    at = list(extrema)
    while at:
        ends = np.asarray([fit.u[0], *at, fit.u[-1]])
        sizes = np.abs(np.diff(fit.at(ends))) / np.sqrt(
            np.maximum(fit.variance(np.diff(fit.gradient(ends), axis=0)), 0)
        )
        smallest = int(sizes.argmin())
        if sizes[smallest] > least:
            break
        del at[max(smallest - 1, 0) : smallest + 1]
    return at


def _leads(a: Sequence[TurningPoint], p: Sequence[TurningPoint]) -> tuple[TurnLead, ...]:
    leads = [after.log10 - before.log10 for before, after in zip(a, p, strict=True)]
    errors = [float(np.hypot(x.error, y.error)) for x, y in zip(a, p, strict=True)]
    df = min(a[0].df, p[0].df)
    wide = -float(special.stdtrit(df, _ALPHA / 2))
    earlier, later = (
        _holm([float(special.stdtr(df, -s * x / e)) for x, e in zip(leads, errors, strict=True)]) for s in (1, -1)
    )
    return tuple(
        TurnLead(
            kind=point.kind,
            log10=lead,
            ci_log10=(lead - wide * error, lead + wide * error),
            factor=10**lead,
            p_alignment_leads=p_a,
            p_performance_leads=p_p,
            verdict=direction_of(p_a, p_p),
        )
        for point, lead, error, p_a, p_p in zip(a, leads, errors, earlier, later, strict=True)
    )


def _holm(p: Sequence[float]) -> list[float]:
    """Adjusted for all of them (Holm 1979, Scand J Stat 6:65)."""
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)).clip(max=1)
    out = np.empty(len(p))
    out[order] = adjusted
    return [float(one) for one in out]
