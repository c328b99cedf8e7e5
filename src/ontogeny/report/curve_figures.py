"""Every region as small multiples of curves, and as maps of layer x step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ontogeny.lag.results import TrendLead
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.figures import BAND, GREY, ORANGE, Figure, file_stem, step_x
from ontogeny.report.layer_names import short_names
from ontogeny.report.study import Study

__all__ = ["curves_figure", "map_figure"]

_COLUMNS, _MOST_ROIS, _MOST_LAYERS = 4, 24, 12
_EXTREMES = 6
_PANEL = 132
_VALUE = {"field": "value", "type": "quantitative"}


def _shown(study: Study) -> tuple[list[CurveGroup], str]:
    """The panels that are drawn, of the first run: all up to 24, else the highest and the lowest six."""
    panels = [region.curves[0].panel for region in study.regions]
    if len(panels) <= _MOST_ROIS:
        return panels, ""
    order = sorted(study.regions, key=lambda region: -region.level.value)
    chosen = {region.roi for region in (*order[:_EXTREMES], *order[-_EXTREMES:])}
    return [p for p in panels if p.roi in chosen], (
        f" {len(chosen)} of {len(panels)} regions are drawn, the {_EXTREMES} highest and the {_EXTREMES} lowest at the "
        "last step; pick others above, curves.csv has all."
    )


def _layers(panel: CurveGroup) -> list[int]:
    """Evenly spread, and the one that ends highest."""
    n = len(panel.layers)
    spread = {round(i) for i in np.linspace(0, n - 1, min(n, _MOST_LAYERS)).tolist()}
    return sorted(spread | {panel.layers.index(panel.best_at_last)})


def _facet(panels: Sequence[CurveGroup]) -> dict[str, Any]:
    return {"field": "roi", "type": "nominal", "sort": [p.roi for p in panels], "title": None, "header": {"title": None}}


def ruler(layers: Sequence[str]) -> dict[str, Any]:
    """Colour by place in the model, dark to light, with the names of the two ends: one legend for any number."""
    first, last = (short_names([layers[i]], layers)[0] for i in (0, -1))
    ends = f"datum.value == 0 ? {_quoted(first)} : {_quoted(last)}"
    legend = {"type": "gradient", "title": "layer", "values": [0, 1], "labelExpr": ends, "gradientLength": 110, "orient": "right"}
    scale = {"scheme": {"name": "viridis", "extent": [0, 0.88]}, "domain": [0, 1]}
    return {"field": "depth", "type": "quantitative", "scale": scale, "legend": legend}


def _quoted(text: str) -> str:
    return "'" + "".join(c for c in text if c not in "\\'\n") + "'"


def curves_figure(study: Study) -> Figure:
    """A panel per region that wraps after four; colour is the layer."""
    panels, cut = _shown(study)
    rows, levels = [], []
    for panel in panels:
        place = {i: i / max(1, len(panel.layers) - 1) for i in range(len(panel.layers))}
        for i in _layers(panel):
            rows += [
                {"roi": panel.roi, "layer": panel.layers[i], "depth": place[i], "step": step, "value": float(v)}
                for step, v in zip(panel.steps, panel.means.value[i], strict=True)
                if math.isfinite(v)
            ]
        levels.append(_levels(panel))
    half = _half_step(study)
    thinned = max(len(p.layers) for p in panels) > _MOST_LAYERS
    caption = (
        f"{study.metric}, a panel per region; dark: near the input, light: near the output. Dashed: the stimuli's own surface; "
        f"dotted: chance; yellow: noise ceiling."
        + (f" Orange: half of the {study.task}'s gain." if half else "")
        + (f" {_MOST_LAYERS} layers, evenly spread, and the highest are drawn; curves.csv has all." if thinned else "")
        + cut
        + (f" Of {len(study.runs)} runs, {study.runs[0].name} is drawn; pick another above." if len(study.runs) > 1 else "")
    )
    wide = min(_COLUMNS, len(panels))
    width = _PANEL if wide > 2 else 220
    return Figure(
        name=file_stem(study.benchmark, study.metric, "curves"),
        title=f"Every region over training ({study.metric})",
        caption=caption,
        chart={
            "datasets": {"rows": rows + levels},
            "data": {"name": "rows"},
            "facet": _facet(panels),
            "columns": wide,
            "spacing": {"row": 8, "column": 10},
            "usermeta": {"columns": width + 24},
            "spec": {"width": width, "height": 100, "layer": _curve_layers(panels, rows, levels, half)},
        },
    )


def _levels(panel: CurveGroup) -> dict[str, Any]:
    lower = panel.ceiling_lower if panel.ceiling_lower is not None else panel.ceiling
    baseline = panel.baseline
    return {
        "roi": panel.roi,
        "ceiling_low": lower,
        "ceiling": panel.ceiling,
        "chance": panel.chance,
        "baseline": None if baseline is None else baseline[1],
    }


def _half_step(study: Study) -> float | None:
    trends = (region.trend for region in study.regions)
    return next((t.t50.performance[0] for t in trends if isinstance(t, TrendLead) and t.t50.performance[0] >= 0), None)


def _curve_layers(
    panels: Sequence[CurveGroup], rows: Sequence[dict[str, Any]], levels: Sequence[dict[str, Any]], half: float | None
) -> list[dict[str, Any]]:
    steps = sorted({step for panel in panels for step in panel.steps})
    values = [row["value"] for row in rows] + [row[n] for row in levels for n in ("chance", "baseline") if row[n] is not None]
    low, high = min(values), max(values)
    tops = [row["ceiling_low"] for row in levels if row["ceiling_low"] is not None]
    high = max([high, *(top * 1.05 for top in tops if top - low < 3 * max(high - low, 1e-9))])
    scale = {"domain": [low - 0.04 * (high - low), high + 0.04 * (high - low)], "nice": False}
    y = {**_VALUE, "scale": scale, "title": panels[0].unit, "axis": {"tickCount": 4}}
    x = step_x(steps, title="training step", count=4)
    tip = [{"field": "roi"}, {"field": "layer"}, {"field": "step", "type": "quantitative"}, {**_VALUE, "format": ".3f"}]
    out: list[dict[str, Any]] = [
        {
            "transform": [{"filter": "isValid(datum.ceiling)"}],
            "mark": {"type": "rect", "color": BAND, "opacity": 0.55, "clip": True},
            "encoding": {"y": {**y, "field": "ceiling_low"}, "y2": {"field": "ceiling"}},
        }
    ]
    for name, dash in (("baseline", [6, 4]), ("chance", [2, 3])):
        out.append(
            {
                "transform": [{"filter": f"isValid(datum.{name})"}],
                "mark": {"type": "rule", "color": GREY, "strokeDash": dash, "clip": True},
                "encoding": {"y": {**y, "field": name}},
            }
        )
    out.append(
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {"type": "line", "strokeWidth": 1.2, "clip": True},
            "encoding": {"x": x, "y": y, "color": ruler(panels[0].layers), "detail": {"field": "layer"}, "tooltip": tip},
        }
    )
    if half is not None:
        out.append(
            {
                "transform": [{"filter": "isValid(datum.chance) || isValid(datum.ceiling) || isValid(datum.baseline)"}],
                "mark": {"type": "rule", "color": ORANGE, "strokeDash": [4, 3]},
                "encoding": {"x": {"datum": half, "type": "quantitative"}},
            }
        )
    return out


def map_figure(study: Study) -> Figure:
    """Layer x step of each region: from chance to the ceiling, the surface as a contour, the best layer as a line."""
    panels, cut = _shown(study)
    rows = [row for panel in panels for row in _map_rows(panel)]
    levels = [_levels(panel) for panel in panels]
    values = [row["value"] for row in rows if "value" in row]
    low = min([row["chance"] for row in levels if row["chance"] is not None], default=min(values))
    top = max([row["ceiling_low"] for row in levels if row["ceiling_low"] is not None], default=max(values))
    layers, wide = panels[0].layers, min(_COLUMNS, len(panels))
    steps = sorted({step for panel in panels for step in panel.steps})
    width = _PANEL if wide > 2 else 220
    x = step_x(steps, title="training step", count=4)
    first, last = (short_names([layers[i]], layers)[0] for i in (0, -1))
    axis = {"values": [0, len(layers) - 1], "labelExpr": f"datum.value == 0 ? {_quoted(first)} : {_quoted(last)}", "labelLimit": 80}
    y = {"type": "quantitative", "scale": {"domain": [-0.5, len(layers) - 0.5], "nice": False}, "axis": axis, "title": "layer"}
    legend = {"type": "gradient", "title": panels[0].unit, "gradientLength": 110}
    colour = {**_VALUE, "scale": {"scheme": "cividis", "domain": [low, top], "clamp": True}, "legend": legend}
    tip = [{"field": "roi"}, {"field": "layer"}, {"field": "step", "type": "quantitative"}, {**_VALUE, "format": ".3f"}]
    across = {"x": {**x, "field": "x"}, "x2": {"field": "x2"}, "y": {**y, "field": "y"}, "y2": {"field": "y2"}}
    caption = (
        f"{study.metric}: layers from input (below) to output, one colour scale from chance to the ceiling's lower edge. White "
        "line: what the stimuli's own surface reaches; orange: the highest layer, from where one is above it." + cut
    )
    chart = {
        "datasets": {"rows": rows},
        "data": {"name": "rows"},
        "facet": _facet(panels),
        "columns": wide,
        "spacing": {"row": 8, "column": 10},
        "usermeta": {"columns": width + 24},
        "spec": {
            "width": width,
            "height": min(180, max(70, 12 * len(layers))),
            "layer": [
                {"transform": [{"filter": "datum.kind == 'cell'"}], "mark": {"type": "rect", "clip": True}, "encoding": {**across, "color": colour, "stroke": {**colour, "legend": None}, "tooltip": tip}},
                {"transform": [{"filter": "datum.kind == 'edge'"}], "mark": {"type": "rule", "color": "white", "strokeWidth": 1.5}, "encoding": across},
                {
                    "transform": [{"filter": "datum.kind == 'best'"}],
                    "mark": {"type": "line", "color": "#ff9d5c", "strokeWidth": 1.5, "interpolate": "step"},
                    "encoding": {"x": x, "y": {**y, "field": "y"}},
                },
            ],
        },
    }
    title = f"Layer by step ({study.metric})"
    return Figure(name=file_stem(study.benchmark, study.metric, "map"), title=title, caption=caption, chart=chart)


def _map_rows(panel: CurveGroup) -> list[dict[str, Any]]:
    """Cells, the contour of the baseline, and the highest layer of each step."""
    value, steps = panel.means.value, np.asarray(panel.steps, dtype=np.float64)
    u = np.log10(steps + 1)
    middle = (u[1:] + u[:-1]) / 2
    edge = 10 ** np.concatenate([[u[0]], middle, [u[-1]]]) - 1 if len(u) > 1 else np.asarray([steps[0], steps[0] + 1])
    out: list[dict[str, Any]] = []
    for i, k in np.argwhere(np.isfinite(value)).tolist():
        place = {"x": edge[k], "x2": edge[k + 1], "y": i - 0.5, "y2": i + 0.5}
        out.append({"kind": "cell", "roi": panel.roi, "layer": panel.layers[i], "step": panel.steps[k], "value": float(value[i, k]), **place})
    if panel.baseline is not None:
        above = np.nan_to_num(value, nan=-np.inf) > panel.baseline[1]
        out += [{"kind": "edge", "roi": panel.roi, **line} for line in _contour(above, edge)]
    floor = panel.baseline[1] if panel.baseline is not None else -np.inf
    for k, step in enumerate(panel.steps):
        if np.isfinite(value[:, k]).any() and np.nanmax(value[:, k]) > floor:
            out.append({"kind": "best", "roi": panel.roi, "step": step, "y": int(np.nanargmax(value[:, k]))})
    return out


def _contour(above: np.ndarray, edge: np.ndarray) -> list[dict[str, float]]:
    """Edges between cells above and cells below."""
    out = []
    for i, k in np.argwhere(above[:, 1:] != above[:, :-1]).tolist():
        out.append({"x": edge[k + 1], "x2": edge[k + 1], "y": i - 0.5, "y2": i + 0.5})
    for i, k in np.argwhere(above[1:] != above[:-1]).tolist():
        out.append({"x": edge[k], "x2": edge[k + 1], "y": i + 0.5, "y2": i + 0.5})
    return out
