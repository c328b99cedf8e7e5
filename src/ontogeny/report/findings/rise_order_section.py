"""Picture of the finding on when: half points of regions in the order of the hierarchy, of layers in that of depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.findings import Finding
from ontogeny.report.figures import Figure, altair, finished

__all__ = ["figures"]

_INK = {"rois": "#1f4e79", "layers": "#0b7a5c"}
_TITLES = {"rois": "regions, hierarchy from below", "layers": "layers, depth from below"}
_MOST_ROWS = 60


def figures(finding: Finding) -> tuple[Figure, ...]:
    """Half points of regions, of layers, and of both; none where no curve has one.

    Args:
        finding: of `ontogeny.findings.rise_order`.
    """
    alt = altair()
    sides = {name: [dict(row) for row in finding.details.get(name, ())] for name in _INK}
    timed = [dict(row) for row in finding.details["half_points"] if not row["why_not"]]
    if not timed:
        return ()
    order = {name: _order(rows) for name, rows in sides.items()}
    span = _span([row for rows in sides.values() for row in rows] + timed)
    panels = [_points(rows, order[name], name, span) for name, rows in sides.items() if len(rows) > 1]
    if all(len(rows) > 1 for rows in sides.values()):
        panels.append(_map(finding.details["half_points"], order, span))
    caption = (
        "When alignment first reaches half of its own gain, with 95 % intervals (cut at the edge), in updates. A "
        "region's point is adjusted for the layers that have a half point, a layer's for regions. In the map, light "
        f"is late; empty cells have no half point (see the table). {finding.answer} Source: {finding.source}."
    )
    return (
        Figure(name="when", title=finding.question, caption=caption, chart=finished(alt.hconcat(*panels, spacing=24))),
    )


def _order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """By place from below, those without one by their half point above them; the latest on top."""

    def key(row: Mapping[str, Any]) -> tuple[float, float]:
        place = float(row["place"])
        return (math.inf if math.isnan(place) else place, float(row["log10"]))

    return [str(row["name"]) for row in sorted(rows, key=key, reverse=True)]


def _span(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Half a decade around all half points; intervals that reach further are cut."""
    values = [float(row["log10"]) for row in rows]
    return [math.floor(2 * min(values) - 1) / 2, math.ceil(2 * max(values) + 1) / 2]


def _axis(field: str, span: Sequence[float]) -> Any:
    alt = altair()
    ticks = list(range(math.ceil(span[0]), math.floor(span[1]) + 1))
    label = "datum.value < 3 ? format(pow(10, datum.value), '.0f') : format(pow(10, datum.value), '.0s')"
    return alt.X(
        f"{field}:Q",
        title="half point (step + 1)",
        scale=alt.Scale(domain=list(span), nice=False),
        axis=alt.Axis(values=ticks, labelExpr=label)
        if len(ticks) > 1
        else alt.Axis(labelExpr="format(pow(10, datum.value), '.2s')"),
    )


def _points(rows: list[dict[str, Any]], order: list[str], name: str, span: Sequence[float]) -> Any:
    alt = altair()
    named = len(order) <= _MOST_ROWS
    y = alt.Y(
        "name:N",
        sort=order,
        title=_TITLES[name],
        axis=alt.Axis(titlePadding=10) if named else alt.Axis(labels=False, ticks=False),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    bars = base.mark_rule(strokeWidth=1.8, color=_INK[name], clip=True).encode(x=_axis("low", span), x2="high:Q")
    dots = base.mark_point(filled=True, size=60, color=_INK[name], opacity=1).encode(x=_axis("log10", span))
    return alt.layer(bars, dots).properties(width=260, height=max(60, (22 if named else 5) * len(order)))


def _map(points: Sequence[Mapping[str, Any]], order: Mapping[str, list[str]], span: Sequence[float]) -> Any:
    alt = altair()
    rows = [{k: row[k] for k in ("roi", "layer", "log10", "step")} for row in points if not row["why_not"]]
    label = "datum.value < 3 ? format(pow(10, datum.value), '.0f') : format(pow(10, datum.value), '.2s')"
    colour = alt.Color(
        "log10:Q",
        title=["half point", "(step + 1)"],
        scale=alt.Scale(scheme="viridis", domain=list(span)),
        legend=alt.Legend(labelExpr=label),
    )
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_rect()
        .encode(
            x=alt.X("layer:N", sort=order["layers"][::-1], title="layer, first to last", axis=alt.Axis(labelAngle=-40)),
            y=alt.Y("roi:N", sort=order["rois"], title=None),
            color=colour,
            tooltip=["roi:N", "layer:N", alt.Tooltip("step:Q", format=".0f")],
        )
        .properties(width=max(120, 26 * len(order["layers"])), height=max(60, 22 * len(order["rois"])))
    )
