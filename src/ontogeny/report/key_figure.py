"""The key figure: the declared curve above its task, on one axis, with both half points and the gap as a factor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ontogeny.lag.results import TrendLead
from ontogeny.lag.verdict import fewer_steps
from ontogeny.report.figures import BAND, BLUE, GREY, ORANGE, Figure, file_stem, step_x
from ontogeny.report.layer_names import short_names
from ontogeny.report.study import Curve, Study

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
    marks = _half_points(study)
    references = _references(study, domain)
    x, last = step_x(steps, title=None), max([1, *steps])
    upper = _upper(study, x, domain, named=several)
    upper["layer"] += [_label(row, last) for row in _apart(references, rows["mean"][-1], study, domain)]
    upper["layer"] += _half_marks([m for m in marks if m["of"] == "alignment"], BLUE, domain)
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
    what = f"Blue: {study.key.layer}, {study.metric}"
    if len(curves) > 1:
        out = f"{what}, every run thin and their mean thick."
    elif study.key.level.n_subjects > 1:
        out = f"{what}; band: ± 1 SE over {study.key.level.n_subjects} subjects. Grey: other layers."
    else:
        out = f"{what}, one subject or group average. Grey: other layers."
    others = len(curves[0].panel.layers) - 1
    if len(curves) == 1 and others > _GREYS:
        out += f" {_GREYS} of {others} other layers are drawn, evenly spread; curves.csv has all."
    return out + (" Dashed verticals: half of each curve's own gain." if _half_points(study) else "")


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


def _references(study: Study, domain: Sequence[float]) -> list[dict[str, Any]]:
    level = study.key.level
    lower = level.ceiling_lower if math.isfinite(level.ceiling_lower) else level.ceiling
    out = [
        {"name": f"{level.surface} alone", "value": level.baseline, "dash": "baseline"},
        {"name": "chance", "value": level.chance, "dash": "chance"},
        {"name": "noise ceiling", "value": lower, "top": level.ceiling, "dash": "ceiling"},
    ]
    return [row for row in out if math.isfinite(float(str(row["value"])))]


def _upper(study: Study, x: Mapping[str, Any], domain: Sequence[float], *, named: bool) -> dict[str, Any]:
    unit = study.key.level.unit
    scale = {"domain": list(domain), "nice": False, "zero": False}
    y = {**_VALUE, "scale": scale, "title": [f"alignment with {study.key.roi}"[:44], f"({unit})"]}
    tip = [{"field": name, "type": "nominal" if name in ("layer", "run") else "quantitative"} for name in ("run", "layer", "step")]
    tip += [{"field": name, "type": "quantitative", "format": ".3f"} for name in ("value", "SE", "ceiling")]
    tip.append({"field": "n", "type": "quantitative", "title": "runs" if named else "subjects"})
    spread = {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "x": dict(x)}
    thin = {"type": "line", "strokeWidth": 1, "clip": True}
    return {
        "layer": [
            {
                "data": {"name": "references"},
                "transform": [{"filter": "datum.dash == 'ceiling'"}],
                "mark": {"type": "rect", "color": BAND, "opacity": 0.55, "clip": True},
                "encoding": {"y": y, "y2": {"field": "top"}},
            },
            {
                "data": {"name": "references"},
                "transform": [{"filter": "datum.dash != 'ceiling'"}],
                "mark": {"type": "rule", "color": GREY, "clip": True},
                "encoding": {
                    "y": y,
                    "strokeDash": {"field": "dash", "scale": {"domain": ["baseline", "chance"], "range": [[6, 4], [2, 3]]}, "legend": None},
                },
            },
            {
                "data": {"name": "others"},
                "mark": {**thin, "color": "#b6bdc4"},
                "encoding": {"x": dict(x), "y": y, "detail": {"field": "layer"}, "tooltip": tip[1:2] + tip[2:4]},
            },
            {"data": {"name": "mean"}, "mark": {"type": "area", "color": BLUE, "opacity": 0 if named else 0.18, "clip": True}, "encoding": spread},
            {
                "data": {"name": "own"},
                "mark": {**thin, "color": BLUE, "opacity": 0.45 if named else 1},
                "encoding": {"x": dict(x), "y": y, "detail": {"field": "run"}},
            },
            {
                "data": {"name": "mean"},
                "mark": {"type": "line", "strokeWidth": 2.5, "color": BLUE, "clip": True, "point": {"size": 14, "color": BLUE}},
                "encoding": {"x": dict(x), "y": y, "tooltip": tip},
            },
        ]
    }


def _apart(
    references: Sequence[Mapping[str, Any]], end: Mapping[str, Any], study: Study, domain: Sequence[float]
) -> list[dict[str, Any]]:
    """Labels at the right end, moved apart where their lines are close."""
    layer = short_names([study.key.layer], study.key.curves[0].panel.layers)[0]
    ceiling = study.key.level.ceiling
    rows: list[dict[str, Any]] = [{"text": f"{layer} (highest at the end)" if not study.declared else layer, "at": end["value"], "colour": BLUE}]
    for row in references:
        name = str(row["name"])
        at = row["value"] if name != "noise ceiling" or not math.isfinite(ceiling) else min((row["value"] + ceiling) / 2, domain[1])
        rows.append({"text": name, "at": min(float(at), domain[1]), "colour": "#7a5c00" if name == "noise ceiling" else "#3d4a57"})
    room = 0.062 * (domain[1] - domain[0])
    rows.sort(key=lambda row: float(row["at"]))
    for below, row in zip(rows, rows[1:], strict=False):
        row["at"] = max(row["at"], below["at"] + room)
    return rows


def _label(row: Mapping[str, Any], last: int) -> dict[str, Any]:
    return {
        "data": {"values": [{"step": last, "value": row["at"], "text": row["text"]}]},
        "mark": {"type": "text", "align": "left", "dx": 6, "color": row["colour"], "limit": 190},
        "encoding": {"x": {"field": "step", "type": "quantitative"}, "y": _VALUE, "text": {"field": "text"}},
    }


def _half_points(study: Study) -> list[dict[str, Any]]:
    """Where each of the two is half-way, of a single run with a lead that can be told."""
    trend = study.key.trend
    if not isinstance(trend, TrendLead):
        return []
    at = {"alignment": trend.t50.alignment, "task": trend.t50.performance}
    rows = [{"of": name, "step": max(0.0, float(x[0])), "low": max(0.0, float(x[1])), "high": float(x[2])} for name, x in at.items()]
    rows = [row for row in rows if math.isfinite(float(str(row["step"])))]
    for row in rows:
        row["text"] = f"half-way, step {row['step']:,.0f}"
    if len(rows) == 2 and study.key.outcome in ("yes", "no"):
        rows[0]["gap"] = f"{fewer_steps(trend.log10)} steps"
    return rows


def _half_marks(
    rows: Sequence[Mapping[str, Any]], colour: str, domain: Sequence[float], *, falls: bool = False
) -> list[dict[str, Any]]:
    """A dashed vertical with its text, on the side where the curve leaves room at the top."""
    side = {"align": "left", "dx": 5} if falls else {"align": "right", "dx": -5}
    out = []
    for row in rows:
        at = {"field": "step", "type": "quantitative"}
        text = {"step": row["step"], "value": domain[1], "text": [row["text"], *([row["gap"]] if "gap" in row else [])]}
        out += [
            {"data": {"values": [dict(row)]}, "mark": {"type": "rule", "color": colour, "strokeDash": [4, 3]}, "encoding": {"x": at}},
            {
                "data": {"values": [text]},
                "mark": {"type": "text", **side, "baseline": "top", "dy": 3, "color": colour, "fontWeight": 600},
                "encoding": {"x": at, "y": _VALUE, "text": {"field": "text"}},
            },
        ]
    return out


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
    tip = [{"field": "run"}, {"field": "step", "type": "quantitative"}, {"field": "value", "type": "quantitative", "format": ".4f"}]
    line = {"type": "line", "color": ORANGE, "strokeWidth": 2 if len(study.runs) == 1 else 1, "point": {"size": 12, "color": ORANGE}, "clip": True}
    layer: list[dict[str, Any]] = [
        {"data": {"name": "task"}, "mark": line, "encoding": {"x": x, "y": y, "detail": {"field": "run"}, "tooltip": tip}}
    ]
    layer += _half_marks([m for m in marks if m["of"] == "alignment"][:1], BLUE, domain)[:1]
    falls = values[-1] < values[0]
    layer += _half_marks([m for m in marks if m["of"] == "task"], ORANGE, domain, falls=falls)
    return {"layer": layer}
