"""Every region, and every run, as a forest of factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.lag.results import TrendLead
from ontogeny.report.figures import BLUE, GREY, INK, ORANGE, Figure, file_stem
from ontogeny.report.layer_names import short_names
from ontogeny.report.regions import Region
from ontogeny.report.study import Study

__all__ = ["forest_figure", "runs_forest"]

_NAMED = 40
_MOST_FACTOR = 64.0
_SIDES = {"domain": ["alignment first", "task first", "not told apart"], "range": [BLUE, ORANGE, GREY]}


def forest_figure(study: Study) -> Figure:
    """One row per region; above 40 regions thin rows by their factor, whose names are said on hover."""
    rows = [_row(region) for region in study.regions]
    many = len(rows) > _NAMED
    if many:
        rows.sort(key=lambda row: -row["factor"] if row["factor"] is not None else math.inf)
    known = [row for row in rows if row["factor"] is not None]
    corrected = f", corrected for {len(rows)} regions (Benjamini-Hochberg)" if len(rows) > 1 else ""
    caption = (
        f"Dot: how many times fewer steps alignment needs to half of its gain than the {study.task}; "
        "line: 95 % interval. "
        f"Filled: told apart from no lead at 5 %{corrected}. In brackets: the layer."
    )
    if len(known) < len(rows):
        without = len(rows) - len(known)
        caption += f" {without} of {len(rows)} without a lead to draw; the table says why."
    if many:
        caption += " Sorted by factor; hover for names, regions.csv has all."
    chart = _forest(rows, min(5.0, 600 / len(rows)) if many else 24.0, named=not many, task=study.task)
    name = file_stem(study.benchmark, study.metric, "regions")
    return Figure(name=name, title="Every region: which is first, by how much?", caption=caption, chart=chart)


def runs_forest(study: Study) -> Figure | None:
    """One row per run of the key curve, and all of them pooled; None for a single run."""
    leads = study.key.leads
    if leads is None:
        return None
    rows = []
    for one in leads.runs:
        trend = one.leads.trend
        told = trend.verdict in ("alignment leads", "performance leads")
        if isinstance(trend, TrendLead):
            rows.append(_values(one.name, trend.log10, trend.ci_log10, told=told) | {"says": trend.verdict})
        else:
            rows.append({"label": one.name, "factor": None, "says": trend.verdict})
    pooled = _row(study.key)
    rows.append({**pooled, "label": "all runs", "p": None})
    caption = (
        "Every run's own factor with its 95 % interval, and all runs pooled (the run is the unit). "
        "Filled: told apart from no lead."
    )
    title = f"Every run: {study.key.roi}, {study.key.layer}"
    chart = _forest(rows, 24.0, named=True, task=study.task)
    return Figure(name=file_stem(study.benchmark, study.metric, "runs"), title=title, caption=caption, chart=chart)


def _row(region: Region) -> dict[str, Any]:
    layer = short_names([region.layer], region.curves[0].panel.layers)[0]
    at, low, high = region.factor
    row: dict[str, Any] = {
        "label": f"{region.roi} ({layer})",
        "region": region.roi,
        "layer": region.layer,
        "factor": None,
        "says": region.own.sentence,
    }
    if math.isfinite(at) and region.outcome != "nothing to time":
        ends = (
            math.log10(low) if math.isfinite(low) else math.nan,
            math.log10(high) if math.isfinite(high) else math.nan,
        )
        row |= _values(row["label"], math.log10(at), ends, told=region.outcome in ("yes", "no"))
    return {**row, "p": region.p, "outcome": region.outcome}


def _values(label: str, log10: float, ci: tuple[float, float], *, told: bool) -> dict[str, Any]:
    edge = math.log10(_MOST_FACTOR)
    low, high = (side if math.isnan(end) else end for end, side in zip(ci, (-edge, edge), strict=True))
    ends = [10 ** min(max(x, -edge), edge) for x in (log10, low, high)]
    first = "alignment first" if log10 > 0 else "task first"
    return {
        "label": label,
        **dict(zip(("factor", "low", "high"), ends, strict=True)),
        "first": first if told else "not told apart",
    }


def _forest(rows: Sequence[Mapping[str, Any]], height: float, *, named: bool, task: str) -> dict[str, Any]:
    order = [row["label"] for row in rows]
    axis = {"labelLimit": 190, "domain": False, "ticks": False, "grid": True, "gridColor": "#eceff1"} if named else None
    y = {"field": "label", "type": "nominal", "sort": order, "title": None, "axis": axis}
    return {
        "width": 300,
        "height": max(60, height * len(rows)),
        "datasets": {"rows": [dict(row) for row in rows]},
        "data": {"name": "rows"},
        "usermeta": {"fit": 170},
        "encoding": {"y": y},
        "layer": _marks(_factor_axis(rows, task), named=named),
    }


def _factor_axis(rows: Sequence[Mapping[str, Any]], task: str) -> dict[str, Any]:
    """Log, the same on both sides of 1; an open interval does not stretch it."""
    known = [row for row in rows if row["factor"] is not None]
    sides = sorted(max(row[name], 1 / row[name]) for row in known for name in ("low", "high")) or [1.0]
    middle = max((max(row["factor"], 1 / row["factor"]) for row in known), default=1.0)
    reach = min(_MOST_FACTOR, max(2.0, middle, sides[int(0.95 * (len(sides) - 1))]) * 1.1)
    powers = [e for e in range(-6, 7) if 1 / reach <= 2.0**e <= reach]
    fraction = "datum.value < 1 ? '1/' + format(1/datum.value, '.0f') + '×' : format(datum.value, '.0f') + '×'"
    return {
        "field": "factor",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [1 / reach, reach], "nice": False},
        "axis": {"values": [2.0**e for e in powers if len(powers) <= 9 or e % 2 == 0], "labelExpr": fraction},
        "title": [f"{task} first  ←  1  →  alignment first", "how many times fewer steps"],
    }


def _marks(x: dict[str, Any], *, named: bool) -> list[dict[str, Any]]:
    known, unknown = ([{"filter": f"{no}isValid(datum.factor)"}] for no in ("", "!"))
    colour = {"field": "first", "type": "nominal", "scale": _SIDES, "legend": None}
    fill = {"condition": {"test": "datum.first == 'not told apart'", "value": "white"}, **colour}
    tip = [
        {"field": "label", "title": "region"},
        *({"field": f, "type": "quantitative", "format": ".2f"} for f in ("factor", "low", "high")),
        {"field": "p", "type": "quantitative", "format": ".2g", "title": "p, corrected"},
        {"field": "says", "title": "answer"},
    ]
    one = {"data": {"values": [{"factor": 1}]}, "mark": {"type": "rule", "color": INK}, "encoding": {"x": x, "y": None}}
    line = {"type": "rule", "strokeWidth": 2 if named else 1, "clip": True}
    dot = {"type": "point", "size": 60 if named else 14, "filled": True, "opacity": 1, "clip": True}
    word = {"type": "text", "color": GREY, "fontSize": 10 if named else 0, "align": "left", "dx": 6}
    interval = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour}
    return [
        one,
        {"transform": known, "mark": line, "encoding": interval},
        {"transform": known, "mark": dot, "encoding": {"x": x, "fill": fill, "stroke": colour, "tooltip": tip}},
        {
            "transform": unknown,
            "mark": word,
            "encoding": {"x": {"datum": 1}, "text": {"value": "no lead"}, "tooltip": tip},
        },
    ]
