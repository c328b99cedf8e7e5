"""Two series as shares of their own gain, and when each is half-way: what a plot of one pair is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny.errors import LagError
from ontogeny.lag.answer import Verdict
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.fit.timing import ShapeTiming, Timing, determined
from ontogeny.lag.levels import level_of
from ontogeny.lag.phases import phases
from ontogeny.lag.preconditions import Pair, clean, refuse_flat, refuse_pair, refuse_rise, refuse_trend, warn
from ontogeny.lag.results import TrendLead, Untestable
from ontogeny.lag.runs_from_records import AVERAGED, Run, run_from_record
from ontogeny.lag.verdict import answer_of, so_far
from ontogeny.record import Record
from ontogeny.record.curve_groups import CurveGroup, curve_groups, curve_names

__all__ = ["Shares", "in_gains", "record_shares", "shares"]

_GRID = 160
_MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """One pair, ready to be drawn.

    Args:
        name: which curve, of which layer, against which task.
        key: the same without the layer, so that it is the same in every run.
        rows: columns kind, series, step, value, low, high. kind "measured": a checkpoint's share of the series'
            own fitted gain (0 before the rise, 1 after it); "fitted": the curve; "half": `step` at which the curve
            first reaches half of its gain, `low` and `high` its 95 % interval, no value; none where that is a guess.
            Empty with fewer than 12 checkpoints, where a series has no clear rise, or where only one rises.
        trend: which of the two is half-way first, or why that cannot be tested.
        grid: which checkpoints.
        warnings: what to know beside it.
        answer: in one sentence.
    """

    name: str
    key: str
    rows: tuple[Mapping[str, Any], ...]
    trend: TrendLead | Untestable
    grid: str
    answer: Verdict
    warnings: tuple[str, ...] = ()

    def so_far(self) -> Shares:
        """The same while training runs: what is said is no reason to stop."""
        return replace(self, answer=so_far(self.answer))

    @property
    def says(self) -> str:
        """The answer with its interval and grid; or why there is none."""
        detail = f" {self.answer.detail[:1].upper()}{self.answer.detail[1:]}." if self.answer.detail else ""
        return f"{self.answer.sentence}{detail} ({self.grid})"


def shares(run: Run, *, key: str = "") -> Shares:
    """Both series of a run as shares of their own gain.

    Args:
        run: the two series.
        key: see `Shares`; the run's name where not given.

    Raises:
        LagError: the arrays do not fit together, or hold infinite values or doubled steps.
    """
    pair = clean(run.steps, run.alignment, run.performance, higher_is_better=run.higher_is_better)
    refused = refuse_pair(pair)
    key = key or run.name
    if refused is not None:
        return Shares(
            name=run.name, key=key, rows=(), trend=refused, grid=pair.grid, answer=_answer(run, refused, pair)
        )
    timings = decompose(pair.steps, pair.values).timings
    trend = refuse_trend(*timings) or trend_lead(*timings)
    warned = warn(pair, timings, smoothed=run.averaged, thresholded=run.thresholded)
    rows = [row for i, timed in enumerate(timings) for row in _series_rows(pair, i, timed)] if _gain(timings) else []
    about = (AVERAGED, *warned) if run.averaged else warned
    answer = _answer(run, trend, pair)
    return Shares(name=run.name, key=key, rows=tuple(rows), trend=trend, grid=pair.grid, answer=answer, warnings=about)


def _answer(run: Run, trend: TrendLead | Untestable, pair: Pair) -> Verdict:
    return answer_of(trend, run.about, n=pair.n, turns=lambda: phases(pair.steps, *pair.values))


def _gain(timings: Sequence[Timing]) -> bool:
    """Whether both have a gain, in the same direction."""
    clear = all(refuse_flat("", timed) is None for timed in timings)
    return clear and timings[0].one_rise.rise.gain * timings[1].one_rise.rise.gain > 0


def in_gains(timed: Timing, values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Values in units of the fitted gain: 0 before the rise, 1 after it."""
    rise = timed.best.rise
    out: Float[np.ndarray, " points"] = (values - rise.theta[0]) / (rise.gain or 1.0)
    return out


def _series_rows(pair: Pair, i: int, timed: Timing) -> list[dict[str, Any]]:
    series = ("alignment", "task")[i]
    grid = np.linspace(timed.best.rise.u[0], timed.best.rise.u[-1], _GRID)
    parts = {
        "measured": (pair.steps, in_gains(timed, pair.values[i])),
        "fitted": (10**grid - 1, in_gains(timed, timed.best.rise.at(grid))),
    }
    half = [] if refuse_rise(series, timed) or not determined(timed.best) else [_half(timed.best, pair.n)]
    rows = [
        {"kind": kind, "step": float(step), "value": float(value), "low": None, "high": None}
        for kind, (steps, values) in parts.items()
        for step, value in zip(steps, values, strict=True)
    ]
    return [{"series": series, **row} for row in (*half, *rows)]


def _half(found: ShapeTiming, n: int) -> dict[str, Any]:
    wide = -float(special.stdtrit(n - len(found.rise.theta), 0.025)) * float(np.sqrt(found.variance[1]))
    ends = (found.rise.u[0], found.rise.u[-1])
    at, low, high = (float(10 ** np.clip(found.u[1] + d, *ends) - 1) for d in (0.0, -wide, wide))
    return {"kind": "half", "step": at, "value": None, "low": low, "high": high}


def record_shares(record: Record) -> list[Shares]:
    """Every panel of a record against every task, at the layer that ends best, which carries no timing. At most 40.

    The first task comes first for every panel.
    """
    tasks = list(dict.fromkeys(s.metric for s in record.select(kind="task") if s.value is not None))
    found = [panel for panel in curve_groups(record.scores) if panel.rows]
    named = list(zip(curve_names(found), found, strict=True))[: max(1, _MOST // max(1, len(tasks)))]
    every = (_panel_shares(record, panel, task, key=f"{name}.{task}") for task in tasks for name, panel in named)
    return [one for one in every if one is not None]


def _panel_shares(record: Record, panel: CurveGroup, task: str, *, key: str) -> Shares | None:
    """None where alignment and task share no step."""
    at = panel.at(panel.steps[-1])
    layer = max(at, key=lambda name: at[name])
    where: dict[str, Any] = {name: getattr(panel, name) for name in ("benchmark", "metric", "roi", "pooling")}
    curve = " · ".join(part for part in (panel.roi, panel.metric, layer, panel.pooling) if part)
    try:
        run = run_from_record(record, task=task, name=f"{curve} against {task}", layer=layer, measure=False, **where)
        about = replace(run.about, level=level_of([(panel, layer)]), path=str(record.folder))
        return shares(replace(run, about=about), key=key)
    except LagError:
        return None
