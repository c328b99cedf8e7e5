"""Trend lead: which curve reaches half of its own gain first."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny.lag.answer import LeadVerdict
from ontogeny.lag.fit._joint_noise import lead_variance
from ontogeny.lag.fit.timing import QUANTILES, ShapeTiming, Timing
from ontogeny.lag.results import Quantile, TrendLead

__all__ = ["spacing_at", "trend_lead"]

_ALPHA = 0.05
_WIDEST = 2.0


def trend_lead(alignment: Timing, performance: Timing) -> TrendLead:
    """Compare two timings of one grid.

    Where one curve is not one rise, a lead is claimed only if it holds for every shape that may describe it, at the
    half point of the whole curve and of its main rise alone (intersection-union test, Berger 1982); the interval is
    the hull.
    """
    quantiles = [_quantile(alignment, performance, i) for i in range(3)]
    middle = quantiles[1]
    spacing = spacing_at(performance.best.rise.u, float(performance.best.u[1]))
    p_a, p_p = middle.p_alignment_leads, middle.p_performance_leads
    low, high = middle.ci_log10
    return TrendLead(
        log10=middle.log10,
        ci_log10=middle.ci_log10,
        factor=10**middle.log10,
        checkpoints=middle.log10 / spacing,
        ci_checkpoints=(low / spacing, high / spacing),
        p_alignment_leads=p_a,
        p_performance_leads=p_p,
        uniform=_uniform(quantiles),
        t25=quantiles[0],
        t50=middle,
        t75=quantiles[2],
        shapes=(alignment.shape, performance.shape),
        df=_df(alignment.one_rise, performance.one_rise),
        verdict=_verdict(quantiles),
    )


def spacing_at(u: Float[np.ndarray, " steps"], at: float) -> float:
    """Distance between checkpoints round a place, in log10 steps."""
    return float(np.interp(at, (u[1:] + u[:-1]) / 2, np.diff(u)))


def _uniform(quantiles: list[Quantile]) -> bool:
    a, p = ([getattr(q, f"p_{name}_leads") < _ALPHA for q in quantiles] for name in ("alignment", "performance"))
    return all(a) or all(p)


def _verdict(quantiles: list[Quantile]) -> LeadVerdict:
    middle = quantiles[1]
    a, p = (
        {q.share for q in quantiles if getattr(q, f"p_{name}_leads") < _ALPHA / 2}
        for name in ("alignment", "performance")
    )
    if a and p:
        return "different shapes"
    if middle.share in a:
        return "alignment leads"
    if middle.share in p:
        return "performance leads"
    low, high = middle.ci_log10
    return "not identified" if high - low > _WIDEST else "no lead detected"


def _df(a: ShapeTiming, p: ShapeTiming) -> int:
    return len(a.rise.u) - max(len(a.rise.theta), len(p.rise.theta))


def _quantile(alignment: Timing, performance: Timing, i: int) -> Quantile:
    """One share of the gain, over every pair of plausible shapes."""
    pairs = list(product(alignment.shapes, performance.shapes))
    cases = [_case(a, p, i) for a, p in pairs]
    if i == 1 and len(pairs) > 1:
        cases += [_case(a, p, 3) for a, p in pairs]
    known = [case for case in cases if np.isfinite(case[0])]
    a, p = alignment.best, performance.best
    value = float(p.u[i] - a.u[i])
    if not np.isfinite(value) or len(known) < len(cases):
        nan = float("nan")
        return Quantile(
            share=QUANTILES[i],
            alignment=_steps(a, i),
            performance=_steps(p, i),
            log10=value,
            ci_log10=(nan, nan),
            p_alignment_leads=1.0,
            p_performance_leads=1.0,
        )
    return Quantile(
        share=QUANTILES[i],
        alignment=_steps(a, i),
        performance=_steps(p, i),
        log10=value,
        ci_log10=(min(c[1] for c in known), max(c[2] for c in known)),
        p_alignment_leads=max(c[3] for c in known),
        p_performance_leads=max(c[4] for c in known),
    )


def _case(a: ShapeTiming, p: ShapeTiming, which: int) -> tuple[float, float, float, float, float]:
    """Lead, its interval, and one-sided p both ways."""
    lead, df = p.crossing(which)[0] - a.crossing(which)[0], _df(a, p)
    if not np.isfinite(lead):
        return (lead,) * 5
    error = float(np.sqrt(max(lead_variance(a, p, which, df=df), 1e-300)))
    wide = -float(special.stdtrit(df, _ALPHA / 2)) * error
    ahead, behind = (float(special.stdtr(df, sign * lead / error)) for sign in (-1, 1))
    return lead, lead - wide, lead + wide, ahead, behind


def _steps(found: ShapeTiming, i: int) -> tuple[float, float, float]:
    """A crossing in steps, with its 95 % interval."""
    wide = -float(special.stdtrit(len(found.rise.u) - len(found.rise.theta), _ALPHA / 2)) * np.sqrt(found.variance[i])
    at, low, high = (float(10 ** np.clip(found.u[i] + shift, 0, 12) - 1) for shift in (0.0, -wide, wide))
    return at, low, high
