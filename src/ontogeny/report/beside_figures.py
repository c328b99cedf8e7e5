"""Figures of what is no alignment: the task of a record without any, and effective dimensions."""

from __future__ import annotations

from typing import Any

from ontogeny.report.curve_figures import ruler
from ontogeny.report.figures import ORANGE, Figure, file_stem, step_x
from ontogeny.report.run_data import RunFacts

__all__ = ["beside_figures"]

_MOST_LAYERS = 24


def beside_figures(facts: RunFacts) -> list[Figure]:
    """The task where no alignment was scored; effective dimensions of every benchmark."""
    out = [] if facts.panels or not facts.task else [_task(facts)]
    spread = dict.fromkeys(s.benchmark for s in facts.confounds)
    return [*out, *(_dimensions(facts, name) for name in spread)]


def _task(facts: RunFacts) -> Figure:
    panels = []
    for metric in facts.tasks:
        own = [s for s in facts.task if s.metric == metric]
        y = {
            "field": "value",
            "type": "quantitative",
            "title": [f"held-out {metric}", f"({own[0].unit})"],
            "scale": {"zero": False},
        }
        tip = [{"field": "step", "type": "quantitative"}, {"field": "value", "type": "quantitative", "format": ".4f"}]
        panels.append(
            {
                "width": 480,
                "height": 120,
                "data": {"values": [{"step": s.step, "value": s.value} for s in own]},
                "mark": {"type": "line", "color": ORANGE, "point": {"color": ORANGE, "size": 14}},
                "encoding": {"x": step_x(facts.steps), "y": y, "tooltip": tip},
            }
        )
    caption = "The task measured on held-out data at the probed weights. The record holds no alignment score."
    chart = {"vconcat": panels, "usermeta": {"fit": 150}}
    return Figure(name=file_stem(facts.name, "task"), title="Held-out task", caption=caption, chart=chart)


def _dimensions(facts: RunFacts, benchmark: str) -> Figure:
    found = [s for s in facts.confounds if s.benchmark == benchmark and s.layer != "surprisal"]
    layers = list(dict.fromkeys(s.layer for s in found))
    apart = -(-len(layers) // _MOST_LAYERS)
    place = {layer: i / max(1, len(layers) - 1) for i, layer in enumerate(layers) if i % apart == 0}
    rows: list[dict[str, Any]] = [
        {
            "panel": " · ".join(part for part in (s.metric, s.pooling) if part),
            "layer": s.layer,
            "depth": place[s.layer],
            "step": s.step,
            "value": s.value,
        }
        for s in found
        if s.layer in place
    ]
    cut = f" {len(place)} of {len(layers)} layers are drawn, evenly spread." if apart > 1 else ""
    caption = (
        "Participation ratio: over how many dimensions a layer's features spread (1 to the number of features); "
        "intrinsic dimension: of the surface they lie on, however it is bent; and the mean length of a feature vector. "
        "All change in training without any alignment; a score that follows them closely may say no more than they "
        f"do.{cut}"
    )
    title = f"{benchmark}: effective dimensions and size of the features"
    name = file_stem(facts.name, benchmark, "dimensions")
    return Figure(name=name, title=title, caption=caption, chart=_dimension_panels(facts, rows, layers))


def _dimension_panels(facts: RunFacts, rows: list[dict[str, Any]], layers: list[str]) -> dict[str, Any]:
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"type": "log", "nice": False}}
    tip = [
        {"field": "layer"},
        {"field": "step", "type": "quantitative"},
        {"field": "value", "type": "quantitative", "format": ".3f"},
    ]
    line = {"x": step_x(facts.steps, count=5), "y": y, "color": ruler(layers), "detail": {"field": "layer"}}
    return {
        "datasets": {"rows": rows},
        "data": {"name": "rows"},
        "facet": {"field": "panel", "type": "nominal", "sort": None, "title": None},
        "columns": 2,
        "resolve": {"scale": {"y": "independent"}},
        "usermeta": {"columns": 250},
        "spec": {
            "width": 230,
            "height": 130,
            "mark": {"type": "line", "strokeWidth": 1.2},
            "encoding": {**line, "tooltip": tip},
        },
    }
