"""Pictures of one record: alignment over training with the task under it, layer x step maps, effective dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.record import Score
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.figures import Figure, altair, depth_colour, file_stem, finished, step_axis
from ontogeny.report.run_data import RunFacts

__all__ = ["run_figures"]

_WIDE, _NARROW, _HEIGHT = 330, 250, 210
_REFERENCES = {
    "ceiling": ("#d9a300", [1, 0]),
    "baseline": ("#c0392b", [7, 3]),
    "token surprisal alone": ("#e67e22", [1, 0]),
    "control: random features": ("#7f8c8d", [2, 3]),
    "control: permuted stimuli": ("#95a5a6", [5, 2, 1, 2]),
    "control: permuted within groups": ("#7f8c8d", [8, 2, 1, 2]),
    "control: random tokens": ("#5d6d7e", [4, 4]),
    "control: split leak": ("#5d6d7e", [1, 3]),
    "control: held-out layer": ("#2e86c1", [6, 2]),
    "highest layer at step 0": ("#ccd1d1", [1, 0]),
    "chance": ("#111111", [3, 3]),
}


def run_figures(facts: RunFacts) -> list[Figure]:
    """All pictures of one record."""
    out: list[Figure] = []
    for benchmark, metric in dict.fromkeys((p.benchmark, p.metric) for p in facts.panels):
        chosen = [p for p in facts.panels if (p.benchmark, p.metric) == (benchmark, metric)]
        stem = file_stem(facts.record.run, benchmark, metric)
        out.append(_curves_figure(facts, chosen, f"{stem}-alignment"))
        out.append(_map_figure(chosen, f"{stem}-map"))
    spread = dict.fromkeys(s.benchmark for s in facts.confounds)
    out += [_dimensions_figure(facts, b, file_stem(facts.record.run, b, "dimensions")) for b in spread]
    if not facts.panels and facts.task:
        chart = _task_charts(facts, width=_WIDE)
        caption = "The task measured on held-out data at the probed weights. The record holds no alignment score."
        name = file_stem(facts.record.run, "task")
        out.append(Figure(name=name, title="Held-out task", caption=caption, chart=altair().vconcat(*chart)))
    return out


def _grid(chosen: Sequence[CurveGroup]) -> list[list[CurveGroup]]:
    """Columns of panels: a column a pooling, or, where there is one pooling only, a column per ROI."""
    poolings = list(dict.fromkeys(p.pooling for p in chosen))
    if len(poolings) == 1:
        return [[p] for p in chosen]
    return [[p for p in chosen if p.pooling == pooling] for pooling in poolings]


def _width(grid: Sequence[Sequence[CurveGroup]]) -> int:
    return _WIDE if len(grid) < 3 else _NARROW


def _curves_figure(facts: RunFacts, chosen: Sequence[CurveGroup], name: str) -> Figure:
    alt = altair()
    layers = list(dict.fromkeys(layer for p in chosen for layer in p.layers))
    names = list(dict.fromkeys(n for p in chosen for n in _reference_names(p)))
    domain = _domain(chosen)
    grid = _grid(chosen)
    size = {"width": _width(grid), "height": _HEIGHT}
    columns = []
    for column in grid:
        drawn = [_panel_chart(p, facts.steps, layers, names, domain).properties(**size) for p in column]
        columns.append(alt.vconcat(*drawn, *_task_charts(facts, width=_width(grid)), spacing=8))
    task = " and ".join(dict.fromkeys(s.metric for s in facts.task))
    under = f" Under it, held-out {task} measured by us at the very same weights." if task else ""
    cut = ""
    if any(p.ceiling is not None and p.ceiling > domain[1] for p in chosen):
        cut = " The ceiling reaches above the picture; the table has its value."
    caption = (
        f"{chosen[0].metric} ({chosen[0].unit}) of every layer after so many optimizer updates; dark lines are early "
        f"layers, light lines late ones{_spread(chosen)}. The yellow band is the noise ceiling, the black dashes are "
        "chance. Read a curve against the red baseline (the stimuli's own surface, no model) and against the grey "
        f"controls, not against zero.{under}{cut}"
    )
    title = f"{chosen[0].benchmark}: {chosen[0].metric}, layer by layer over training"
    return Figure(name=name, title=title, caption=caption, chart=finished(alt.hconcat(*columns, spacing=26)))


def _spread(chosen: Sequence[CurveGroup]) -> str:
    subjects = max((row["n_subjects"] for p in chosen for row in p.rows), default=1)
    if subjects == 1:
        return "; one subject or group average, so no spread over subjects"
    own = ", each of the stimuli that it saw" if any(p.own_stimuli for p in chosen) else ""
    return f"; mean of {subjects} subjects{own}, shaded by one standard error over them"


def _domain(chosen: Sequence[CurveGroup]) -> list[float]:
    """Value axis of all panels: every curve and reference, and as much of the ceiling as leaves them readable."""
    values = [v for p in chosen for row in p.rows for v in (row["low"], row["high"])]
    values += [row["value"] for p in chosen for rows in p.references.values() for row in rows]
    values += [p.chance for p in chosen if p.chance is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    for p in chosen:
        lower = p.ceiling_lower if p.ceiling_lower is not None else p.ceiling
        if lower is not None and lower - low < 4 * max(high - low, 1e-9):
            high = max(high, lower * 1.08)
    pad = 0.04 * max(high - low, 1e-6)
    return [low - pad, high + pad]


def _reference_names(panel: CurveGroup) -> list[str]:
    names = [*panel.references]
    names += ["ceiling"] if panel.ceiling is not None else []
    names += ["highest layer at step 0"] if panel.before_training is not None else []
    return [*names, *(["chance"] if panel.chance is not None else [])]


def _style(name: str) -> tuple[str, list[int]]:
    return _REFERENCES.get(name) or _REFERENCES["baseline"]


def _reference_rows(panel: CurveGroup, last: int) -> list[Mapping[str, Any]]:
    """Every reference as a line: those known at one step only are drawn over the whole axis."""
    rows: list[Mapping[str, Any]] = []
    levels = [(name, row["value"]) for name, part in panel.references.items() if len(part) == 1 for row in part]
    if panel.before_training is not None:
        levels.append(("highest layer at step 0", panel.before_training))
    if panel.chance is not None:
        levels.append(("chance", panel.chance))
    for bound, value in (("lower", panel.ceiling_lower), ("upper", panel.ceiling)):
        rows += [{"reference": "ceiling", "line": bound, "step": x, "value": value} for x in (0, last) if value]
    for name, value in levels:
        rows += [{"reference": name, "line": name, "step": step, "value": value} for step in (0, last)]
    for name, part in panel.references.items():
        if len(part) > 1:
            rows += [{"reference": name, "line": name, "step": r["step"], "value": r["value"]} for r in part]
    return rows


def _panel_chart(
    panel: CurveGroup, steps: Sequence[int], layers: Sequence[str], names: Sequence[str], domain: Sequence[float]
) -> Any:
    alt = altair()
    x = step_axis(steps, titled=False)
    last = max([1, *steps])
    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    y = alt.Y("value:Q", title=panel.unit, scale=scale)
    parts = []
    if panel.ceiling is not None and panel.ceiling_lower is not None:
        band = alt.Chart(alt.Data(values=[{"low": panel.ceiling_lower, "high": panel.ceiling}]))
        parts.append(
            band.mark_rect(color="#f1c40f", opacity=0.16, clip=True).encode(
                y=alt.Y("low:Q", scale=scale, title=panel.unit), y2="high:Q"
            )
        )
    styles = [_style(n) for n in names]
    stroke = alt.Stroke(
        "reference:N", title="beside it", scale=alt.Scale(domain=list(names), range=[c for c, _ in styles])
    )
    dash = alt.StrokeDash(
        "reference:N", title="beside it", scale=alt.Scale(domain=list(names), range=[d for _, d in styles])
    )
    references = alt.Chart(alt.Data(values=_reference_rows(panel, last)))
    parts.append(
        references.mark_line(clip=True, strokeWidth=1.5).encode(
            x=x,
            y=y,
            stroke=stroke,
            strokeDash=dash,
            detail="line:N",
            tooltip=["reference:N", "step:Q", _number("value")],
        )
    )
    base = alt.Chart(alt.Data(values=[dict(row) for row in panel.rows])).encode(x=x, color=depth_colour(layers))
    spread = alt.Y("low:Q", scale=scale, title=panel.unit)
    parts.append(base.mark_area(opacity=0.08, clip=True).encode(y=spread, y2="high:Q"))
    tooltip = ["layer:N", "step:Q", _number("value"), _number("low"), _number("high"), "n_subjects:Q", "n_stimuli:Q"]
    parts.append(base.mark_line(clip=True, point=alt.OverlayMarkDef(size=14)).encode(y=y, tooltip=tooltip))
    heading = f"{panel.roi} · {panel.pooling}" if panel.pooling else panel.roi
    return alt.layer(*parts).properties(title=heading)


def _number(name: str) -> Any:
    return altair().Tooltip(f"{name}:Q", format=".4f")


def _task_charts(facts: RunFacts, *, width: int) -> list[Any]:
    """One small chart a task measure, on the same x axis."""
    alt = altair()
    out = []
    metrics = list(dict.fromkeys(s.metric for s in facts.task))
    for metric in metrics:
        rows = [_task_row(s) for s in facts.task if s.metric == metric]
        unit = next(s.unit for s in facts.task if s.metric == metric)
        base = alt.Chart(alt.Data(values=rows)).mark_line(
            color="#34495e", point=alt.OverlayMarkDef(size=14, color="#34495e")
        )
        y = alt.Y("value:Q", title=[f"held-out {metric}", f"({unit})"], scale=alt.Scale(zero=False))
        x = step_axis(facts.steps, titled=metric == metrics[-1])
        chart = base.encode(x=x, y=y, tooltip=["step:Q", _number("value"), "weights:N"])
        out.append(chart.properties(width=width, height=90))
    return out


def _task_row(score: Score) -> dict[str, Any]:
    return {"step": score.step, "value": score.value, "weights": score.weights}


def _map_figure(chosen: Sequence[CurveGroup], name: str) -> Figure:
    alt = altair()
    layers = list(dict.fromkeys(layer for p in chosen for layer in p.layers))
    values = [row["value"] for p in chosen for row in p.rows]
    scale = alt.Scale(scheme="magma", domain=[min(values, default=0.0), max(values, default=1.0)])
    grid = _grid(chosen)
    columns = []
    for column in grid:
        drawn = []
        for p in column:
            heat = alt.Chart(alt.Data(values=[dict(row) for row in p.rows])).mark_rect()
            encoded = heat.encode(
                x=alt.X("step:O", title="probed step", axis=alt.Axis(labelOverlap=True, labelAngle=0)),
                y=alt.Y("layer:N", sort=list(reversed(layers)), title=None),
                color=alt.Color("value:Q", title=p.unit, scale=scale),
                tooltip=["layer:N", "step:O", _number("value")],
            )
            heading = f"{p.roi} · {p.pooling}" if p.pooling else p.roi
            drawn.append(encoded.properties(width=_width(grid), height=24 * len(layers), title=heading))
        columns.append(alt.vconcat(*drawn, spacing=14))
    caption = (
        "The same values as a map: a row per layer (last on top), a column per probed step, one colour scale for all "
        "panels. Look where the bright patch begins, and whether it moves up or down while the model trains."
    )
    title = f"{chosen[0].benchmark}: {chosen[0].metric}, layer x step"
    return Figure(name=name, title=title, caption=caption, chart=finished(alt.hconcat(*columns, spacing=26)))


def _dimensions_figure(facts: RunFacts, benchmark: str, name: str) -> Figure:
    alt = altair()
    found = [s for s in facts.confounds if s.benchmark == benchmark and s.layer != "surprisal"]
    layers = list(dict.fromkeys(s.layer for s in found))
    columns = []
    for pooling in dict.fromkeys(s.pooling for s in found):
        for metric in dict.fromkeys(s.metric for s in found):
            rows = [
                {"step": s.step, "layer": s.layer, "value": s.value}
                for s in found
                if (s.pooling, s.metric) == (pooling, metric)
            ]
            unit = next(s.unit for s in found if s.metric == metric)
            line = alt.Chart(alt.Data(values=rows)).mark_line(point=alt.OverlayMarkDef(size=14))
            encoded = line.encode(
                x=step_axis(facts.steps),
                y=alt.Y("value:Q", title=unit, scale=alt.Scale(type="log", nice=False)),
                color=depth_colour(layers),
                tooltip=["layer:N", "step:Q", _number("value")],
            )
            columns.append(encoded.properties(width=_WIDE, height=170, title=f"{metric} · {pooling}"))
    caption = (
        "Participation ratio: over how many dimensions a layer's features spread (1 to the number of features); "
        "intrinsic dimension: of the surface they lie on, however it is bent; and the mean length of a feature vector. "
        "All change in training without any alignment; a score that follows them closely may say no more than they do."
    )
    rows_of_two = [alt.hconcat(*columns[i : i + 2], spacing=26) for i in range(0, len(columns), 2)]
    title = f"{benchmark}: effective dimensions and size of the features"
    return Figure(name=name, title=title, caption=caption, chart=finished(alt.vconcat(*rows_of_two)))
