"""Pictures of leads: one pair, several runs, a map of ROI and layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ontogeny.lag import Leads, Run, TrendLead, Untestable
from ontogeny.lag.across_runs import RunsLeads
from ontogeny.lag.fit.decompose import Decomposed, decompose
from ontogeny.lag.fit.timing import QUANTILES
from ontogeny.lag.gain_curves import in_gains
from ontogeny.lag.lead_text import short
from ontogeny.lag.null.fluctuation_lead import searched
from ontogeny.lag.null.surrogates import cross_correlation, flip_signs, flipped
from ontogeny.lag.preconditions import FEWEST, Pair, clean, refuse_pair
from ontogeny.lag.roi_layer_map import LeadMap
from ontogeny.report.figures import BLUE, ORANGE, Figure, altair, file_stem, finished, step_axis

__all__ = ["map_figure", "pair_figures", "runs_figure"]

_COLOURS = {"alignment": BLUE, "performance": ORANGE}
_WIDE = 205


def pair_figures(run: Run, found: Leads, *, name: str) -> list[Figure]:
    """One pair in four panels; none where there are too few checkpoints to draw a fit.

    Args:
        run: the two series.
        found: what `leads` said of them.
        name: stem of the PNG file.
    """
    pair = clean(run.steps, run.alignment, run.performance, higher_is_better=run.higher_is_better)
    if pair.n < FEWEST or refuse_pair(pair) is not None:
        return []
    alt, parts = altair(), decompose(pair.steps, pair.values)
    left = alt.vconcat(_curves(pair, parts), _residuals(pair, parts), spacing=18)
    right = alt.vconcat(_sizes(found), _correlation(parts), spacing=18)
    caption = (
        "Above left: both series in units of their own fitted gain (0 before the rise, 1 after it), the curves fitted "
        "to them, and where each first reaches half of its gain (dashes, 95 % band). Below left: residuals after "
        "the rise and a slow spline. Above right: the trend lead at 25, 50 and 75 % of the gain with 95 % intervals; "
        "right of 0 alignment is earlier. Below right: cross-correlation of these residuals, alignment shifted against "
        "performance, with the band of pairs in which nothing leads. "
        f"Trend: {short(found.trend)}. Fluctuations: {short(found.fluctuation)}."
    )
    title = f"{run.name}: which moves first?"
    return [Figure(name=name, title=title, caption=caption, chart=finished(alt.hconcat(left, right, spacing=30)))]


def _colour() -> Any:
    alt = altair()
    scale = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    return alt.Color("series:N", title=None, scale=scale)


def _curves(pair: Pair, parts: Decomposed) -> Any:
    alt = altair()
    x = step_axis([int(s) for s in pair.steps], titled=False)
    grid = np.linspace(parts.u[0], parts.u[-1], 160)
    points, lines, bands = [], [], []
    for i, name in enumerate(_COLOURS):
        timed = parts.timings[i].best
        points += _rows(pair.steps, in_gains(parts.timings[i], pair.values[i]), name)
        lines += _rows(10**grid - 1, in_gains(parts.timings[i], timed.rise.at(grid)), name)
        if np.isfinite(timed.u[1]):
            wide = 2 * float(np.sqrt(timed.variance[1]))
            at, low, high = (
                float(np.clip(10 ** np.clip(timed.u[1] + shift, 0, parts.u[-1]) - 1, 0, pair.steps[-1]))
                for shift in (0.0, -wide, wide)
            )
            bands.append({"series": name, "step": at, "low": low, "high": high})
    y = alt.Y("value:Q", title="share of own gain", scale=alt.Scale(zero=False))
    half = alt.Chart(alt.Data(values=bands))
    low = alt.X("low:Q", scale=alt.Scale(type="symlog", constant=1, domain=[0, float(pair.steps[-1])], nice=False))
    return alt.layer(
        half.mark_rect(opacity=0.12).encode(x=low, x2="high:Q", color=_colour()),
        half.mark_rule(strokeDash=[5, 3]).encode(
            x=x, color=_colour(), tooltip=["series:N", "step:Q", "low:Q", "high:Q"]
        ),
        alt.Chart(alt.Data(values=lines)).mark_line(clip=True).encode(x=x, y=y, color=_colour()),
        alt.Chart(alt.Data(values=points)).mark_point(filled=True, size=26).encode(x=x, y=y, color=_colour()),
    ).properties(width=_WIDE, height=210, title="both curves, and when they are half-way")


def _rows(steps: np.ndarray, values: np.ndarray, name: str) -> list[dict[str, Any]]:
    return [{"step": float(s), "value": float(v), "series": name} for s, v in zip(steps, values, strict=True)]


def _residuals(pair: Pair, parts: Decomposed) -> Any:
    alt = altair()
    rows = []
    for i, name in enumerate(_COLOURS):
        scale = abs(parts.timings[i].best.rise.gain) or 1.0
        rows += _rows(pair.steps, parts.residuals[i] / scale, name)
    x = step_axis([int(s) for s in pair.steps])
    y = alt.Y("value:Q", title="share of own gain")
    line = alt.Chart(alt.Data(values=rows)).mark_line(point=alt.OverlayMarkDef(size=16), strokeWidth=1)
    return line.encode(x=x, y=y, color=_colour()).properties(width=_WIDE, height=120, title="residuals after both fits")


def _sizes(found: Leads) -> Any:
    alt = altair()
    if isinstance(found.trend, Untestable):
        return _said(found.trend.verdict, "trend lead", 210)
    rows = [
        {"share": f"{q.share:.0%}", "lead": q.log10, "low": q.ci_log10[0], "high": q.ci_log10[1]}
        for q in (found.trend.t25, found.trend.t50, found.trend.t75)
    ]
    rows = [row for row in rows if all(np.isfinite(v) for v in row.values() if isinstance(v, float))]
    y = alt.Y("share:N", title="share of the gain", sort=[f"{q:.0%}" for q in reversed(QUANTILES)])
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x="x:Q")
    title = f"trend lead: {found.trend.verdict}"
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title="log10 steps; right: alignment is earlier"), x2="high:Q"
        ),
        base.mark_point(filled=True, size=70, color="#111111").encode(x="lead:Q", tooltip=["share:N", "lead:Q"]),
    ).properties(width=_WIDE, height=210, title=title)


def _said(text: str, title: str, height: int) -> Any:
    """A panel that says why it is empty."""
    alt = altair()
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 62:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    chart = alt.Chart(alt.Data(values=[{"text": lines}])).mark_text(align="center", fontSize=12, lineBreak="\n")
    return chart.encode(text="text:N").properties(width=_WIDE, height=height, title=title)


def _correlation(parts: Decomposed) -> Any:
    """Cross-correlation of the residuals over the lags that are searched, with the 95 % band of 499 flips."""
    alt = altair()
    n = len(parts.u)
    shifts = np.arange(-np.ceil(searched(n)), np.ceil(searched(n)) + 1)
    own = cross_correlation(parts.residuals[:1], parts.residuals[1:], shifts)[0]
    null = cross_correlation(*flipped(parts.residuals, flip_signs(n, 499, np.random.default_rng(0))), shifts)
    low, high = np.percentile(null, [2.5, 97.5], axis=0)
    rows = [
        {"shift": float(s), "r": float(r), "low": float(a), "high": float(b)}
        for s, r, a, b in zip(shifts, own, low, high, strict=True)
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("shift:Q", title="checkpoints; right: alignment is earlier", axis=alt.Axis(tickMinStep=1))
    )
    return alt.layer(
        base.mark_area(opacity=0.2, color="#7f8c8d").encode(y=alt.Y("low:Q", title="correlation"), y2="high:Q"),
        base.mark_line(point=alt.OverlayMarkDef(color="#111111"), color="#111111").encode(y="r:Q"),
    ).properties(width=_WIDE, height=120, title="cross-correlation of residuals")


def runs_figure(found: RunsLeads, title: str, *, name: str = "lag-runs") -> Figure:
    """Every run's own trend lead with its interval, and the pooled one below."""
    alt = altair()
    rows: list[Mapping[str, Any]] = [
        {
            "run": one.name,
            "group": one.group or "runs",
            "lead": one.leads.trend.log10,
            "low": one.leads.trend.ci_log10[0],
            "high": one.leads.trend.ci_log10[1],
        }
        for one in found.runs
        if isinstance(one.leads.trend, TrendLead) and np.isfinite(one.leads.trend.ci_log10).all()
    ]
    order = [str(row["run"]) for row in rows]
    if not isinstance(found.trend, Untestable):
        low, high = found.trend.ci
        rows.append({"run": "all runs", "group": "all runs", "lead": found.trend.mean, "low": low, "high": high})
        order.append("all runs")
    if not rows:
        chart = _said(found.trend.verdict, "trend lead", 120)
    else:
        reach = 0.2 + 2 * max(abs(float(row["lead"])) for row in rows)
        base = alt.Chart(alt.Data(values=rows)).encode(
            y=alt.Y("run:N", sort=order, title=None), color=alt.Color("group:N", title=None)
        )
        scale = alt.Scale(domain=[-reach, reach], nice=False)
        x = alt.X("low:Q", title="trend lead, log10 steps; right of 0 alignment is earlier", scale=scale)
        zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x="x:Q")
        dots = base.mark_point(filled=True, size=70).encode(x="lead:Q", tooltip=["run:N", "lead:Q", "low:Q", "high:Q"])
        chart = alt.layer(zero, base.mark_rule(strokeWidth=2, clip=True).encode(x=x, x2="high:Q"), dots)
        chart = chart.properties(width=2 * _WIDE, height=max(90, 26 * len(rows)))
    refused = sum(isinstance(one.leads.trend, Untestable) for one in found.runs)
    caption = (
        "One dot a run with its own 95 % interval (cut at the edge where a single run leaves it open); all runs with "
        f"the interval over runs. Trend: {short(found.trend)}. "
        f"Fluctuations: {short(found.fluctuation)}."
        + (f" {refused} of {len(found.runs)} runs have no testable trend and are not drawn." if refused else "")
    )
    return Figure(name=name, title=f"{title}: lead of every run", caption=caption, chart=finished(chart))


def map_figure(found: LeadMap, title: str, *, name: str = "lag-map") -> Figure:
    """ROI x layer: colour is the trend lead, a dot where it survives Benjamini-Hochberg; grey: refused."""
    alt = altair()
    rows = [
        {
            "roi": cell.roi,
            "layer": cell.layer,
            "lead": None if isinstance(cell.trend, Untestable) else cell.trend.log10,
            "bh": None if cell.trend_p is None else cell.trend_p.bh,
            "says": short(cell.trend),
        }
        for cell in found.cells
    ]
    layers = list(dict.fromkeys(cell.layer for cell in found.cells))
    reach = max([0.1, *(abs(float(row["lead"])) for row in rows if isinstance(row["lead"], float))])
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("roi:N", title=None, sort=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("layer:N", sort=list(reversed(layers)), title=None),
        tooltip=["roi:N", "layer:N", "lead:Q", "bh:Q", "says:N"],
    )
    scale = alt.Scale(scheme="blueorange", domain=[-reach, reach], reverse=True)
    empty = base.mark_rect(color="#eceff1")
    heat = (
        base.transform_filter("isValid(datum.lead)")
        .mark_rect()
        .encode(color=alt.Color("lead:Q", title=["log10 steps", "+: alignment earlier"], scale=scale))
    )
    dots = base.transform_filter("isValid(datum.bh) && datum.bh < 0.05").mark_point(
        filled=True, color="#111111", size=40
    )
    rois = len({cell.roi for cell in found.cells})
    chart = alt.layer(empty, heat, dots).properties(width=max(120, 46 * rois), height=max(60, 26 * len(layers)))
    caption = (
        f"Trend lead of each ROI and layer over held-out {found.task} ({found.grid}). A dot: p < .05 after "
        f"Benjamini-Hochberg over the map. Grey: refused (hover says why). {found.note}"
    )
    return Figure(
        name=file_stem(name), title=f"{title}: leads by ROI and layer", caption=caption, chart=finished(chart)
    )
