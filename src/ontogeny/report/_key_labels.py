"""Labels of the key figure: lines named at their ends, half points, the gap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ontogeny._display import number
from ontogeny.lag.results import PooledLead, TrendLead, Untestable
from ontogeny.lag.verdict import fewer_steps
from ontogeny.report.figures import BLUE
from ontogeny.report.layer_names import short_names
from ontogeny.report.study import Study

__all__ = ["half_marks", "half_points", "label_mark", "labels_apart", "references_of"]

_VALUE = {"field": "value", "type": "quantitative"}


def references_of(study: Study) -> list[dict[str, Any]]:
    """What the curve is read against."""
    level = study.key.level
    lower = level.ceiling_lower if math.isfinite(level.ceiling_lower) else level.ceiling
    thin = 0.004 * abs(lower) if level.ceiling == lower else 0.0
    out = [
        {"name": f"{level.surface} alone", "value": level.baseline, "dash": "baseline"},
        {"name": "chance", "value": level.chance, "dash": "chance"},
        {"name": "noise ceiling", "value": lower, "top": level.ceiling + thin, "dash": "ceiling"},
    ]
    return [row for row in out if math.isfinite(float(str(row["value"])))]


def labels_apart(
    references: Sequence[Mapping[str, Any]], end: Mapping[str, Any], study: Study, domain: Sequence[float]
) -> list[dict[str, Any]]:
    """Labels at the right end, moved apart where their lines are close."""
    layer = short_names([study.key.layer], study.key.curves[0].panel.layers)[0]
    ceiling = study.key.level.ceiling
    rows: list[dict[str, Any]] = [{"text": layer, "at": end["value"], "colour": BLUE}]
    for row in references:
        name = str(row["name"])
        outside = name == "noise ceiling" and float(row["value"]) > domain[1]
        at = (
            row["value"]
            if name != "noise ceiling" or not math.isfinite(ceiling)
            else min((row["value"] + ceiling) / 2, domain[1])
        )
        rows.append(
            {
                "text": f"{name} {number(row['value'])} ↑" if outside else name,
                "at": min(float(at), domain[1]),
                "colour": "#7a5c00" if name == "noise ceiling" else "#3d4a57",
            }
        )
    room = 0.062 * (domain[1] - domain[0])
    rows.sort(key=lambda row: float(row["at"]))
    for below, row in pairwise(rows):
        row["at"] = max(row["at"], below["at"] + room)
    return rows


def label_mark(row: Mapping[str, Any], last: int) -> dict[str, Any]:
    """One label right of the last step."""
    return {
        "data": {"values": [{"step": last, "value": row["at"], "text": row["text"]}]},
        "mark": {"type": "text", "align": "left", "dx": 6, "color": row["colour"], "limit": 190},
        "encoding": {"x": {"field": "step", "type": "quantitative"}, "y": _VALUE, "text": {"field": "text"}},
    }


def half_points(study: Study) -> list[dict[str, Any]]:
    """Where each of the two is half-way; of several runs on average over those whose leads are pooled."""
    trend = study.key.trend
    if isinstance(trend, Untestable) or study.key.outcome == "nothing to time":
        return []
    at, lead = (
        (_over_runs(study, trend), trend.mean)
        if isinstance(trend, PooledLead)
        else ([trend.t50.alignment[0], trend.t50.performance[0]], trend.log10)
    )
    rows: list[dict[str, Any]] = [
        {"of": name, "step": max(0.0, float(x)), "text": f"half-way, step {max(0.0, float(x)):,.0f}"}
        for name, x in zip(("alignment", "task"), at, strict=True)
        if math.isfinite(x)
    ]
    if len(rows) == 2 and study.key.outcome in ("yes", "no"):
        rows[0]["gap"] = f"{fewer_steps(lead)} steps"
    return rows


def _over_runs(study: Study, pooled: PooledLead) -> list[float]:
    """Alignment's and the task's half point: mean logarithms over the pooled runs, over groups of them first."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for one in study.key.leads.runs if study.key.leads is not None else ():
        trend = one.leads.trend
        if isinstance(trend, TrendLead) and one.name in pooled.runs:
            both = (trend.t50.alignment[0], trend.t50.performance[0])
            groups.setdefault(one.group, []).append((math.log10(both[0] + 1), math.log10(both[1] + 1)))
    means = np.mean([np.mean(own, axis=0) for own in groups.values()], axis=0)
    return [float(10**u - 1) for u in means]


def half_marks(
    rows: Sequence[Mapping[str, Any]], colour: str, domain: Sequence[float], *, falls: bool = False
) -> list[dict[str, Any]]:
    """A dashed vertical with its text, on the side where the curve leaves room at the top."""
    side = {"align": "left", "dx": 5} if falls else {"align": "right", "dx": -5}
    out = []
    for row in rows:
        at = {"field": "step", "type": "quantitative"}
        text = {"step": row["step"], "value": domain[1], "text": [row["text"], *([row["gap"]] if "gap" in row else [])]}
        out += [
            {
                "data": {"values": [dict(row)]},
                "mark": {"type": "rule", "color": colour, "strokeDash": [4, 3]},
                "encoding": {"x": at},
            },
            {
                "data": {"values": [text]},
                "mark": {"type": "text", **side, "baseline": "top", "dy": 3, "color": colour, "fontWeight": 600},
                "encoding": {"x": at, "y": _VALUE, "text": {"field": "text"}},
            },
        ]
    return out
