"""The key figure: the declared curve above its task, on one axis, with both half points and the gap as a factor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ontogeny.report._key_labels import half_marks, half_points, label_mark, labels_apart, references_of
from ontogeny.report.figures import BAND, BLUE, GREY, ORANGE, Figure, file_stem, step_x
from ontogeny.report.regions import Curve
from ontogeny.report.study import Study

__all__ = ["key_figure"]

_WIDTH, _HEIGHT, _LOW = 480, 240, 110
_GREYS = 12
_VALUE = {"field": "value", "type": "quantitative"}


def key_figure(study: Study) -> Figure:
    """Alignment of the key region with its references, other layers or runs in grey, and the task below."""
    key, several = study.key, len(study.key.curves) > 1
    steps = sorted({step for curve in key.curves for step in curve.panel.steps})
    own = [row for curve in key.curves for row in _rows(curve)]
    rows = {"own": own, "mean": _mean(own) if several else own, "others": [] if several else _others(key.curves[0])}
    domain = _domain(study, rows)
    marks = half_points(study)
    references = references_of(study)
    x, last = step_x(steps, title=None), max([1, *steps])
    upper = _upper(study, x, domain, named=several)
    upper["layer"] += [label_mark(row, last) for row in labels_apart(references, rows["mean"][-1], study, domain)]
    upper["layer"] += half_marks([m for m in marks if m["of"] == "alignment"], BLUE, domain)
    panels = [{"width": _WIDTH, "height": _HEIGHT, **upper}]
    if study.task:
        panels.append({"width": _WIDTH, "height": _LOW, **_lower(study, steps, marks)})
    data = {**rows, "references": references, "half": marks, "task": _task_rows(study)}
    title = f"Alignment with {key.roi}" + (f" and held-out {study.task}, same weights" if study.task else "")
    return Figure(
        name=file_stem(study.benchmark, key.level.metric, key.roi, "key"),
        title=title,
        caption=_caption(study),
        chart={"vconcat": panels, "spacing": 12, "datasets": data, "usermeta": {"fit": 150}},
    )


def _caption(study: Study) -> str:
    curves = study.key.curves
    chosen = "" if study.declared else " (the layer that ends highest)"
    what = f"Blue: {study.key.layer}{chosen}, {study.metric}"
    if len(curves) > 1:
        out = f"{what}, every run thin and their mean thick."
    elif study.key.level.n_subjects > 1:
        out = f"{what}; band: ± 1 SE over {study.key.level.n_subjects} subjects. Grey: other layers."
    else:
        out = f"{what}, one subject or group average. Grey: other layers."
    others = len(curves[0].panel.layers) - 1
    if len(curves) == 1 and others > _GREYS:
        out += f" {_GREYS} of {others} other layers are drawn, evenly spread; curves.csv has all."
    if half_points(study):
        over = ", on average over the pooled runs" if len(curves) > 1 else ""
        out += f" Dashed verticals: half of each curve's own gain{over}."
    return out


def _rows(curve: Curve) -> list[dict[str, Any]]:
    i, means = curve.panel.layers.index(curve.layer), curve.panel.means
    ceiling = curve.panel.ceiling
    return [
        {
            "run": curve.facts.name,
            "layer": curve.layer,
            "step": step,
            "value": float(v),
            "low": float(v - e),
            "high": float(v + e),
            "SE": float(e),
            "ceiling": ceiling,
            "n": int(n),
        }
        for step, v, e, n in zip(curve.panel.steps, means.value[i], means.error[i], means.n_subjects[i], strict=True)
        if math.isfinite(v)
    ]


def _mean(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Over runs, at the steps that all have."""
    at: dict[int, list[float]] = {}
    for row in rows:
        at.setdefault(row["step"], []).append(row["value"])
    most = max(map(len, at.values()))
    whole = {step: values for step, values in sorted(at.items()) if len(values) == most}
    return [
        {"run": "mean", "step": step, "value": float(np.mean(v)), "low": min(v), "high": max(v), "n": most}
        for step, v in whole.items()
    ]


def _others(curve: Curve) -> list[dict[str, Any]]:
    layers = [layer for layer in curve.panel.layers if layer != curve.layer]
    chosen = {layers[round(i)] for i in np.linspace(0, len(layers) - 1, min(_GREYS, len(layers)))} if layers else set()
    return [
        {"layer": layer, "step": step, "value": float(v)}
        for layer in layers
        if layer in chosen
        for step, v in zip(curve.panel.steps, curve.panel.means.value[curve.panel.layers.index(layer)], strict=True)
        if math.isfinite(v)
    ]


def _domain(study: Study, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[float]:
    """All curves and references, and as much of the ceiling as leaves them readable."""
    level = study.key.level
    values = [row[name] for part in rows.values() for row in part for name in ("low", "value", "high") if name in row]
    values += [v for v in (level.chance, level.baseline) if math.isfinite(v)]
    low, high = min(values), max(values)
    for edge in (level.ceiling_lower, level.ceiling):
        if math.isfinite(edge) and edge - low < 3 * max(high - low, 1e-9):
            high = max(high, edge)
    pad = 0.05 * max(high - low, 1e-6)
    return [low - pad, high + pad]


def _upper(study: Study, x: Mapping[str, Any], domain: Sequence[float], *, named: bool) -> dict[str, Any]:
    scale = {"domain": list(domain), "nice": False, "zero": False, "clamp": True}
    title = [f"alignment with {study.key.roi}"[:44], f"({study.key.level.unit})"]
    y = {**_VALUE, "scale": scale, "title": title}
    both = {"x": dict(x), "y": y}
    thin = {"type": "line", "strokeWidth": 1}
    thick = {**thin, "strokeWidth": 2.5, "color": BLUE, "point": {"size": 14, "color": BLUE}}
    tip = _tooltip(several=named)
    area = {"type": "area", "color": BLUE, "opacity": 0 if named else 0.18}
    return {
        "layer": [
            *_reference_marks(y),
            _mark("others", {**thin, "color": "#b6bdc4"}, {**both, "detail": {"field": "layer"}, "tooltip": tip[1:3]}),
            _mark("mean", area, {"x": dict(x), "y": {**y, "field": "low"}, "y2": {"field": "high"}}),
            _mark(
                "own", {**thin, "color": BLUE, "opacity": 0.45 if named else 1}, {**both, "detail": {"field": "run"}}
            ),
            _mark("mean", thick, {**both, "tooltip": tip}),
        ]
    }


def _mark(data: str, mark: Mapping[str, Any], encoding: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"name": data}, "mark": dict(mark), "encoding": dict(encoding)}


def _tooltip(*, several: bool) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [{"field": "run"}, {"field": "layer"}, {"field": "step", "type": "quantitative"}]
    numbers = [{"field": name, "type": "quantitative", "format": ".3f"} for name in ("value", "SE", "ceiling")]
    return [*named, *numbers, {"field": "n", "type": "quantitative", "title": "runs" if several else "subjects"}]


def _reference_marks(y: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ceiling as a band, baseline and chance as lines."""
    dashes = {"domain": ["baseline", "chance"], "range": [[6, 4], [2, 3]]}
    lines = {"y": dict(y), "strokeDash": {"field": "dash", "scale": dashes, "legend": None}}
    band = {"type": "rect", "color": BAND, "opacity": 0.55}
    return [
        {
            **_mark("references", band, {"y": dict(y), "y2": {"field": "top"}}),
            "transform": [{"filter": "datum.dash == 'ceiling'"}],
        },
        {
            **_mark("references", {"type": "rule", "color": GREY}, lines),
            "transform": [{"filter": "datum.dash != 'ceiling'"}],
        },
    ]


def _task_rows(study: Study) -> list[dict[str, Any]]:
    return [
        {"run": facts.name, "step": s.step, "value": s.value, "weights": s.weights}
        for facts in study.runs
        for s in facts.task
        if s.metric == study.task
    ]


def _lower(study: Study, steps: Sequence[int], marks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = _task_rows(study)
    unit = next((s.unit for s in study.runs[0].task if s.metric == study.task), "")
    values = [float(row["value"]) for row in rows]
    pad = 0.06 * max(max(values) - min(values), 1e-9)
    domain = [min(values) - pad, max(values) + pad]
    y = {**_VALUE, "title": [f"held-out {study.task}", f"({unit})"], "scale": {"domain": domain, "nice": False}}
    x = step_x(steps)
    tip = [
        {"field": "run"},
        {"field": "step", "type": "quantitative"},
        {"field": "value", "type": "quantitative", "format": ".4f"},
    ]
    line = {
        "type": "line",
        "color": ORANGE,
        "strokeWidth": 2 if len(study.runs) == 1 else 1,
        "point": {"size": 12, "color": ORANGE},
    }
    layer: list[dict[str, Any]] = [
        {
            "data": {"name": "task"},
            "mark": line,
            "encoding": {"x": x, "y": y, "detail": {"field": "run"}, "tooltip": tip},
        }
    ]
    layer += half_marks([m for m in marks if m["of"] == "alignment"][:1], BLUE, domain)[:1]
    falls = values[-1] < values[0]
    layer += half_marks([m for m in marks if m["of"] == "task"], ORANGE, domain, falls=falls)
    return {"layer": layer}
