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
from ontogeny.report.regions import Region
from ontogeny.report.study import Study

__all__ = ["TIP", "curves_figure", "facet_of", "levels_of", "of_runs", "quoted", "ruler", "shown_panels"]

_COLUMNS, _MOST_ROIS, _MOST_LAYERS = 4, 24, 12
_EXTREMES = 6
_PANEL = 132
_MEANS: dict[str, Any] = {"type": "line", "strokeWidth": 1.2}
_RUNS: dict[str, Any] = {**_MEANS, "strokeWidth": 0.5, "opacity": 0.7}
_VALUE = {"field": "value", "type": "quantitative"}
_DASHES: tuple[tuple[str, Any], ...] = (("baseline", [6, 4]), ("chance", [2, 3]))
TIP = [{"field": "roi"}, {"field": "layer"}, {"field": "step", "type": "quantitative"}, {**_VALUE, "format": ".3f"}]


def shown_panels(study: Study) -> tuple[list[CurveGroup], str]:
    """The panels that are drawn, means over runs: all up to 24, else the highest and the lowest six."""
    panels = [region.drawn for region in study.regions]
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


def facet_of(panels: Sequence[CurveGroup]) -> dict[str, Any]:
    """A panel per region, in their order."""
    return {
        "field": "roi",
        "type": "nominal",
        "sort": [p.roi for p in panels],
        "title": None,
        "header": {"title": None},
    }


def ruler(layers: Sequence[str]) -> dict[str, Any]:
    """Colour by place in the model, dark to light, with the names of the two ends: one legend for any number."""
    first, last = (short_names([layers[i]], layers)[0] for i in (0, -1))
    ends = f"datum.value == 0 ? {quoted(first)} : {quoted(last)}"
    legend = {
        "type": "gradient",
        "title": "layer",
        "values": [0, 1],
        "labelExpr": ends,
        "gradientLength": 110,
        "gradientOpacity": 1,
        "orient": "right",
    }
    scale = {"scheme": {"name": "viridis", "extent": [0, 0.88]}, "domain": [0, 1]}
    return {"field": "depth", "type": "quantitative", "scale": scale, "legend": legend}


def quoted(text: str) -> str:
    """A name inside a Vega expression."""
    return "'" + "".join(c for c in text if c not in "\\'\n") + "'"


def curves_figure(study: Study) -> Figure:
    """A panel per region that wraps after four; colour is the layer."""
    panels, cut = shown_panels(study)
    rows, levels = [], []
    for panel in panels:
        place = {i: i / max(1, len(panel.layers) - 1) for i in range(len(panel.layers))}
        for i in _layers(panel):
            rows += [
                {"roi": panel.roi, "layer": panel.layers[i], "depth": place[i], "step": step, "value": float(v)}
                for step, v in zip(panel.steps, panel.means.value[i], strict=True)
                if math.isfinite(v)
            ]
        levels.append(levels_of(panel))
    if study.key.pooled:
        shown = {panel.roi for panel in panels}
        rows += [row for region in study.regions if region.roi in shown for row in _runs(region)]
    half = _half_step(study)
    wide = min(_COLUMNS, len(panels))
    width = _PANEL if wide > 2 else 200
    return Figure(
        name=file_stem(study.benchmark, study.metric, "curves"),
        title=f"Every region over training ({study.metric})",
        caption=_curves_caption(study, panels, half) + cut,
        chart={
            "datasets": {"rows": rows + levels},
            "data": {"name": "rows"},
            "facet": facet_of(panels),
            "columns": wide,
            "spacing": {"row": 8, "column": 10},
            "usermeta": {"columns": width + 24},
            "spec": {"width": width, "height": 100, "layer": _curve_layers(panels, rows, levels, half)},
        },
    )


def _runs(region: Region) -> list[dict[str, Any]]:
    """Every run's own curve of the region's layer."""
    depth = region.drawn.layers.index(region.layer) / max(1, len(region.drawn.layers) - 1)
    same = {"roi": region.roi, "layer": region.layer, "depth": depth}
    return [
        {**same, "run": curve.facts.name, "step": step, "value": float(v)}
        for curve in region.curves
        for step, v in zip(curve.panel.steps, curve.values, strict=True)
        if math.isfinite(v)
    ]


def _curves_caption(study: Study, panels: Sequence[CurveGroup], half: float | None) -> str:
    out = (
        f"{study.metric}, a panel per region; dark: near the input, light: near the output. Dashed: the stimuli's own "
        "surface; dotted: chance; yellow: noise ceiling."
    )
    if half is not None:
        out += f" Orange: half of the {study.task}'s gain."
    if max(len(panel.layers) for panel in panels) > _MOST_LAYERS:
        out += f" {_MOST_LAYERS} layers, evenly spread, and the highest are drawn; curves.csv has all."
    thin = " Thin: the highest layer in every run." if study.key.pooled else ""
    return out + of_runs(study) + thin


def of_runs(study: Study) -> str:
    """Which runs are drawn, where there are several; a sentence."""
    if len(study.runs) < 2:
        return ""
    if study.key.pooled:
        return f" Mean over {len(study.key.curves)} runs; pick one above."
    return f" Of {len(study.runs)} runs with different layers, {study.runs[0].name} is drawn; pick another above."


def levels_of(panel: CurveGroup) -> dict[str, Any]:
    """What a panel is read against, as a row of data."""
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
    x = step_x(sorted({step for panel in panels for step in panel.steps}), title="training step", count=4)
    y = {**_VALUE, "scale": _value_scale(rows, levels), "title": panels[0].unit, "axis": {"tickCount": 4}}
    rule: dict[str, Any] = {"type": "rule", "color": GREY}
    band = {"y": {**y, "field": "ceiling_low"}, "y2": {"field": "ceiling"}}
    own = {"detail": [{"field": "layer"}, {"field": "run"}], "tooltip": TIP}
    line: dict[str, Any] = {"x": x, "y": y, "color": ruler(panels[0].layers), **own}
    out: list[dict[str, Any]] = [
        {
            "transform": [{"filter": "isValid(datum.ceiling)"}],
            "mark": {"type": "rect", "color": BAND, "opacity": 0.55},
            "encoding": band,
        },
        *(
            {
                "transform": [{"filter": f"isValid(datum.{name})"}],
                "mark": dict(rule, strokeDash=dash),
                "encoding": {"y": {**y, "field": name}},
            }
            for name, dash in _DASHES
        ),
        *(
            {
                "transform": [{"filter": f"isValid(datum.value) && {no}isValid(datum.run)"}],
                "mark": look,
                "encoding": line,
            }
            for no, look in (("!", _MEANS), ("", _RUNS))
        ),
    ]
    if half is not None:
        mark = {"type": "rule", "color": ORANGE, "strokeDash": [4, 3]}
        at = {"x": {"datum": half, "type": "quantitative"}}
        out.append({"transform": [{"filter": "!isValid(datum.value)"}], "mark": mark, "encoding": at})
    return out


def _value_scale(rows: Sequence[dict[str, Any]], levels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All curves and references, and as much of the ceiling as leaves them readable.

    The rest of the ceiling is clamped: a clipped mark costs more to draw than the mark.
    """
    values = [row["value"] for row in rows]
    values += [row[name] for row in levels for name in ("chance", "baseline") if row[name] is not None]
    low, high = min(values), max(values)
    tops = [row["ceiling_low"] for row in levels if row["ceiling_low"] is not None]
    high = max([high, *(top * 1.05 for top in tops if top - low < 3 * max(high - low, 1e-9))])
    return {"domain": [low - 0.04 * (high - low), high + 0.04 * (high - low)], "nice": False, "clamp": True}
