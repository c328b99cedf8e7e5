"""What has to hold before a pair of series is tested, and what a reader is warned about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import Numbers
from ontogeny._display import number
from ontogeny.errors import LagError
from ontogeny.lag.fit.timing import Timing
from ontogeny.lag.results import Untestable

__all__ = [
    "FEWEST",
    "Pair",
    "autocorrelation",
    "clean",
    "refuse_flat",
    "refuse_fluctuation",
    "refuse_pair",
    "refuse_rise",
    "refuse_series",
    "refuse_trend",
    "warn",
]

FEWEST = 12
FEWEST_FLUCTUATION = 30
_LOW_POWER = 60
_ENOUGH = 0.85
_NAMES = ("alignment", "performance")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two series on the same checkpoints, both oriented so that higher is better.

    Args:
        steps: optimizer updates, rising.
        values: alignment, performance.
        missing: checkpoints left out because one value was missing, as a share.
    """

    steps: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, "2 steps"]
    missing: float

    @property
    def n(self) -> int:
        """Checkpoints."""
        return len(self.steps)

    @property
    def grid(self) -> str:
        """Which checkpoints, in words."""
        if not self.n:
            return "no checkpoints"
        return f"{self.n} checkpoints, steps {self.steps[0]:,.0f} to {self.steps[-1]:,.0f}"


def clean(
    steps: Numbers,
    alignment: Numbers,
    performance: Numbers,
    *,
    higher_is_better: bool,
) -> Pair:
    """Check and orient two series; checkpoints with a missing value in either are left out.

    Raises:
        LagError: what is no number, lengths differ, steps are negative, doubled or not finite, or a value is infinite.
    """
    columns = [_numbers(x, name) for x, name in zip((steps, alignment, performance), ("steps", *_NAMES), strict=True)]
    shapes = [x.shape for x in columns]
    if any(x.ndim != 1 for x in columns) or len(set(shapes)) > 1:
        raise LagError(
            f"steps, alignment and performance need one value per checkpoint each, got shapes {shapes}; "
            "put series of different grids on common steps first (ontogeny.lag.paired)"
        )
    if not np.isfinite(columns[0]).all() or (columns[0] < 0).any():
        raise LagError("steps must be finite and not negative: the number of optimizer updates done")
    if len(np.unique(columns[0])) < len(columns[0]):
        raise LagError("steps hold doubles: one value per checkpoint is needed; average repeats of a checkpoint first")
    if any(np.isinf(x).any() for x in columns[1:]):
        raise LagError("alignment or performance holds an infinite value; write NaN for a missing one")
    order = np.argsort(columns[0], kind="stable")
    grid, a, p = (x[order] for x in columns)
    here = np.isfinite(a) & np.isfinite(p)
    values = np.stack([a[here], (p if higher_is_better else -p)[here]])
    return Pair(steps=grid[here], values=values, missing=float(1 - here.mean()) if len(here) else 0.0)


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise LagError(f"{name} has to be one number per checkpoint, NaN where missing: {error}") from error


def refuse_pair(pair: Pair) -> Untestable | None:
    """Why neither question can be asked, if so."""
    return refuse_series(pair, _NAMES)


def refuse_series(pair: Pair, names: Sequence[str]) -> Untestable | None:
    """Why the first series of a pair (one per name) cannot be used, if so."""
    if pair.n < FEWEST:
        return Untestable(
            reason=f"too few checkpoints: {pair.n} with a value, at least {FEWEST} are needed", kind="few"
        )
    for name, row in zip(names, pair.values, strict=False):
        if len(np.unique(row)) < 5:
            reason = f"constant series: {name} has fewer than 5 distinct values"
            return Untestable(reason=reason, kind="constant", series=_series(name))
    if pair.missing > 0.3:
        reason = f"too many missing scores: {pair.missing:.0%} of the checkpoints, at most 30 % may be"
        return Untestable(reason=reason, kind="missing")
    return None


def refuse_rise(name: str, timed: Timing) -> Untestable | None:
    """Why a series has no half point to speak of, if so; judged on one rise."""
    return refuse_flat(name, timed) or _open_ended(name, timed)


def refuse_trend(alignment: Timing, performance: Timing) -> Untestable | None:
    """Why the trend lead cannot be tested, if so."""
    both = tuple(zip(_NAMES, (alignment, performance), strict=True))
    for name, timed in both:
        if refused := refuse_flat(name, timed):
            return refused
    if alignment.one_rise.rise.gain * performance.one_rise.rise.gain < 0:
        return Untestable(
            reason="check polarity: one series rises and the other falls (for a loss say higher_is_better=False)",
            kind="polarity",
        )
    for name, timed in both:
        if refused := _open_ended(name, timed):
            return refused
    return None


def refuse_flat(name: str, timed: Timing) -> Untestable | None:
    """Why a series has no gain to speak of, if so."""
    r2 = timed.one_rise.rise.r2
    if r2 < 0.7:
        reason = f"no clear rise: one rise explains {max(math.floor(100 * r2), 0)}% of {name}, 70 % are needed"
        return Untestable(reason=reason, kind="flat", series=_series(name))
    return None


def _open_ended(name: str, timed: Timing) -> Untestable | None:
    """A rise without its plateaus, or one that may be a random walk."""
    first, last = timed.one_rise.rise.edges
    if first > 0.2 or last < 0.8:
        return Untestable(
            reason=f"plateaus not both observed: {name} has {math.ceil(100 * first)}% of its fitted gain at the first "
            f"checkpoint and {math.floor(100 * last)}% at the last (at most 20 % and at least 80 % are needed), so its "
            "half point is a guess",
            kind="unfinished" if last < 0.8 else "late",
            series=_series(name),
            share=last if last < 0.8 else first,
            until=_until(timed) if last < 0.8 else float("nan"),
        )
    again = autocorrelation(timed.one_rise.rise.residuals)
    if again > 0.85 or timed.best.phi > 0.8:
        return Untestable(
            reason=f"stochastic trend: what the rise leaves of {name} wanders (lag-1 autocorrelation {again:.2f}, "
            f"noise coefficient {timed.best.phi:.2f}; at most .85 and .8 may be), as a random walk does; "
            "one run cannot tell",
            kind="wandering",
            series=_series(name),
        )
    return None


def _series(name: str) -> Literal["", "alignment", "performance"]:
    return "alignment" if name == "alignment" else "performance" if name == "performance" else ""


def _until(timed: Timing) -> float:
    """The step at which 85 % of the fitted gain would be seen, up to a hundred times the last; NaN where later."""
    rise = timed.one_rise.rise
    u = np.linspace(rise.u[-1], rise.u[-1] + 2, 400)
    seen = (rise.at(u) - rise.theta[0]) / rise.gain >= _ENOUGH
    return float(10 ** u[seen.argmax()] - 1) if seen.any() else float("nan")


def refuse_fluctuation(pair: Pair) -> Untestable | None:
    """Why the fluctuation lead cannot be tested, if so."""
    if pair.n < FEWEST_FLUCTUATION:
        return Untestable(reason=f"too few checkpoints for fluctuations: needs {FEWEST_FLUCTUATION}, has {pair.n}")
    return None


def warn(pair: Pair, timings: tuple[Timing, ...], *, smoothed: bool, thresholded: bool) -> tuple[str, ...]:
    """What a reader has to know beside the numbers."""
    alignment, performance = timings
    left = [t.best.rise.residuals for t in timings]
    out = []
    if pair.missing:
        out.append(f"{pair.missing:.0%} of the checkpoints lack a value and were left out.")
    if smoothed:
        out.append("A smoothed series is delayed by its smoothing: what it follows seems to lead. Use raw values.")
    elif autocorrelation(left[1]) > 0.4 >= autocorrelation(left[0]):
        out.append(
            "Performance is smoother than the noise of single checkpoints would be (lag-1 autocorrelation of its "
            f"residuals {number(autocorrelation(left[1]))}, of alignment's {number(autocorrelation(left[0]))}). "
            "If it was averaged or smoothed, that alone delays it."
        )
    if thresholded:
        out.append(
            "Performance is a thresholded metric (accuracy, exact match): it can rise late for that reason alone "
            "(arXiv:2304.15004). Repeat with loss or log-probability before reading anything into a trend lead."
        )
    ratio = _noise(alignment) / _noise(performance)
    if ratio > 3 or ratio < 1 / 3:
        smooth = "performance" if ratio > 1 else "alignment"
        out.append(
            f"Unequal noise: {max(ratio, 1 / ratio):.1f} times (in units of the gain), {smooth} is the smoother. "
            "Granger's test on levels favours the smoother series as the leader."
        )
    for name, timed in zip(_NAMES, timings, strict=True):
        out += _about_shape(name, timed)
    if FEWEST_FLUCTUATION <= pair.n < _LOW_POWER:
        out.append(
            f"{pair.n} checkpoints of one run: a fluctuation lead of one checkpoint is found in about half of such "
            "series at 30 checkpoints, in nine of ten at 60. Several runs are better than a longer one."
        )
    return tuple(out)


def _about_shape(name: str, timed: Timing) -> list[str]:
    out = []
    rise = timed.one_rise.rise
    share = (rise.fitted - rise.theta[0]) / rise.gain if rise.gain else np.zeros_like(rise.u)
    inside = int(((share > 0.1) & (share < 0.9)).sum())
    if inside < 4:
        out.append(
            f"The rise of {name} is undersampled: {inside} checkpoints between 10 and 90 % of it, so its half point is "
            "interpolated."
        )
    best = timed.best.rise
    if best.shape != "one rise":
        height, step = best.theta[5] / best.gain, 10 ** best.theta[6] - 1
        what = "rises once more" if best.shape == "two rises" else "overshoots" if height > 0 else "dips"
        out.append(
            f"Not one rise: {name} {what} near step {step:,.0f} by {abs(height):.0%} of its gain. A trend lead is "
            "claimed only where it holds for each shape that may describe the curve."
        )
    return out


def _noise(timed: Timing) -> float:
    rise = timed.best.rise
    return float(np.sqrt(rise.rss / len(rise.u)) / max(abs(rise.gain), 1e-12)) or 1e-12


def autocorrelation(x: Float[np.ndarray, " steps"]) -> float:
    """At lag 1."""
    x = x - x.mean()
    power = float(x @ x)
    return float(x[1:] @ x[:-1]) / power if power > 0 else 0.0
