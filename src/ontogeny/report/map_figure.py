"""Maps of layer x step, a panel per region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.curve_figures import TIP, facet_of, levels_of, of_runs, quoted, shown_panels
from ontogeny.report.figures import Figure, file_stem, step_x
from ontogeny.report.layer_names import short_names
from ontogeny.report.study import Study

__all__ = ["map_figure"]

_COLUMNS, _PANEL = 4, 132
_BEST = "#ff9d5c"


def map_figure(study: Study) -> Figure:
    """Layer x step of each region: from chance to the ceiling, the surface as a contour, the best layer as a line."""
    panels, cut = shown_panels(study)
    rows = [row for panel in panels for row in _map_rows(panel)]
    layers, wide = panels[0].layers, min(_COLUMNS, len(panels))
    width = _PANEL if wide > 2 else 200
    caption = (
        f"{study.metric}: layers from input (below) to output, one colour scale from chance to the ceiling's lower "
        "edge. White line: what the stimuli's own surface reaches; orange: the highest layer, from where one is above "
        f"it.{of_runs(study)}{cut}"
    )
    chart = {
        "datasets": {"rows": rows},
        "data": {"name": "rows"},
        "facet": facet_of(panels),
        "columns": wide,
        "spacing": {"row": 8, "column": 10},
        "usermeta": {"columns": width + 24},
        "spec": {
            "width": width,
            "height": min(180, max(70, 12 * len(layers))),
            "layer": _marks(panels, [row["value"] for row in rows if "value" in row]),
        },
    }
    title = f"Layer by step ({study.metric})"
    return Figure(name=file_stem(study.benchmark, study.metric, "map"), title=title, caption=caption, chart=chart)


def _marks(panels: Sequence[CurveGroup], values: Sequence[float]) -> list[dict[str, Any]]:
    x = step_x(sorted({step for panel in panels for step in panel.steps}), title="training step", count=4)
    x["scale"]["clamp"] = True
    y = _layer_axis(panels[0].layers)
    across = {"x": {**x, "field": "x"}, "x2": {"field": "x2"}, "y": {**y, "field": "y"}, "y2": {"field": "y2"}}
    line = {"type": "line", "color": _BEST, "strokeWidth": 1.5, "interpolate": "step"}
    parts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "cell": ({"type": "rect"}, {**across, "color": _colour(panels, values), "tooltip": TIP}),
        "edge": ({"type": "rule", "color": "white", "strokeWidth": 1.5}, across),
        "best": (line, {"x": x, "y": {**y, "field": "y"}}),
    }
    return [
        {"transform": [{"filter": f"datum.kind == '{kind}'"}], "mark": mark, "encoding": encoding}
        for kind, (mark, encoding) in parts.items()
    ]


def _colour(panels: Sequence[CurveGroup], values: Sequence[float]) -> dict[str, Any]:
    """From chance to the ceiling's lower edge, where they are known."""
    levels = [levels_of(panel) for panel in panels]
    low = min([row["chance"] for row in levels if row["chance"] is not None], default=min(values))
    top = max([row["ceiling_low"] for row in levels if row["ceiling_low"] is not None], default=max(values))
    scale = {"scheme": "cividis", "domain": [low, top], "clamp": True}
    legend = {"type": "gradient", "title": panels[0].unit, "gradientLength": 110}
    return {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}


def _layer_axis(layers: Sequence[str]) -> dict[str, Any]:
    first, last = (short_names([layers[i]], layers)[0] for i in (0, -1))
    named = f"datum.value == 0 ? {quoted(first)} : {quoted(last)}"
    axis = {"values": [0, len(layers) - 1], "labelExpr": named, "labelLimit": 80}
    scale = {"domain": [-0.5, len(layers) - 0.5], "nice": False, "clamp": True}
    return {"type": "quantitative", "scale": scale, "axis": axis, "title": "layer"}


def _map_rows(panel: CurveGroup) -> list[dict[str, Any]]:
    """Cells, the contour of the baseline, and the highest layer of each step."""
    value, steps = panel.means.value, np.asarray(panel.steps, dtype=np.float64)
    u = np.log10(steps + 1)
    middle = (u[1:] + u[:-1]) / 2
    edge = 10 ** np.concatenate([[u[0]], middle, [u[-1]]]) - 1 if len(u) > 1 else np.asarray([steps[0], steps[0] + 1])
    out: list[dict[str, Any]] = []
    for i, k in np.argwhere(np.isfinite(value)).tolist():
        place = {"x": edge[k], "x2": (edge[k + 1] + 1) * 1.01 - 1, "y": i - 0.5, "y2": i + 0.53}  # no seams
        out.append(
            {
                "kind": "cell",
                "roi": panel.roi,
                "layer": panel.layers[i],
                "step": panel.steps[k],
                "value": float(value[i, k]),
                **place,
            }
        )
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
