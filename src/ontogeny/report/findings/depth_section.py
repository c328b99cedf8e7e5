"""Pictures of the finding on depth: alignment over relative depth by network, and the distances between modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ontogeny._display import number
from ontogeny.findings import Finding
from ontogeny.findings.data.cells import ABOVE_CHANCE
from ontogeny.report.figures import Figure, altair, finished, plain_json

__all__ = ["figures"]

_NAMES = {"text": "language", "image": "vision"}
_COLOURS = {"text": "#c0392b", "image": "#1f6fb4"}
_MOST = 12
_ACROSS = 4
_DISTANCES = {
    "profile": ("profiles: 1 - r over networks", "1 - Pearson r"),
    "level": ("levels: |difference of means|", "difference"),
    "RMS": ("values: root mean square", "difference"),
}


def figures(finding: Finding) -> tuple[Figure, ...]:
    """Curves over depth, and, where two modalities were compared, what became of their distance.

    Args:
        finding: of `ontogeny.findings.depth`.
    """
    out = [_curves(finding)]
    if "distances" in finding.details:
        out.append(_distances(finding))
    return tuple(out)


def _curves(finding: Finding) -> Figure:
    alt = altair()
    rows = [plain_json(row) for row in finding.details["curves"]]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    said = str(rows[0]["said"])
    panels = [_panel([row for row in rows if row["network"] == network], network, rows) for network in networks[:_MOST]]
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + _ACROSS]) for i in range(0, len(panels), _ACROSS)))
    more = f" The first {_MOST} of {len(networks)} networks are drawn." if len(networks) > _MOST else ""
    chance = " Dashes: chance (0)." if said == ABOVE_CHANCE else f" {said[0].upper()}{said[1:]}: no line for chance."
    caption = (
        "Alignment at a layer's relative depth, 0 the first layer read and 1 the last; mean over models and regions of "
        f"a network, then over subjects, with the 95 % t interval over subjects.{chance}{more}"
    )
    title = alt.Title("Alignment over depth, by network", subtitle=finding.source.split("; ", 1))
    return Figure(
        name="depth-curves", title="Alignment over depth", caption=caption, chart=finished(grid.properties(title=title))
    )


def _panel(rows: Sequence[Mapping[str, Any]], network: str, everything: Iterable[Mapping[str, Any]]) -> Any:
    alt = altair()
    ends = [v for row in everything for v in (row["value"], row["low"], row["high"]) if v is not None]
    above = rows[0]["said"] == ABOVE_CHANCE
    low, high = min([*ends, 0.0] if above else ends), max(ends)
    pad = 0.04 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False, zero=False)
    named = [{**row, "models": _NAMES.get(row["modality"], row["modality"])} for row in rows]
    modalities = list(dict.fromkeys(row["modality"] for row in everything))
    colour = alt.Color(
        "models:N",
        title="models",
        legend=alt.Legend(symbolOpacity=1),
        scale=alt.Scale(
            domain=[_NAMES.get(m, m) for m in modalities], range=[_COLOURS.get(m, "#34495e") for m in modalities]
        ),
    )
    base = alt.Chart(alt.Data(values=named)).encode(x=_depth_axis(), color=colour)
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", scale=scale, title="alignment"), y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=14)).encode(
        y=alt.Y("value:Q", scale=scale, title="alignment"),
        tooltip=["models:N", "depth:Q", "value:Q", "low:Q", "high:Q"],
    )
    parts = [band, line]
    if above:
        zero = alt.Chart(alt.Data(values=[{"zero": 0.0}])).mark_rule(strokeDash=[3, 3], color="#111111")
        parts.append(zero.encode(y=alt.Y("zero:Q", scale=scale, title="alignment")))
    return alt.layer(*parts).properties(width=150, height=130, title=network)


def _distances(finding: Finding) -> Figure:
    alt = altair()
    rows = [plain_json(row) for row in finding.details["distances"]]
    by_name = {e.name: e for e in finding.estimates}
    panels = []
    for name in dict.fromkeys(row["distance"] for row in rows):
        own = [row for row in rows if row["distance"] == name]
        title, unit = _DISTANCES[name]
        over, order = by_name[f"{name} distance over depth"], by_name[f"{name} distance, depths shuffled"]
        ends = [] if over.low is None or over.high is None else [number(x, ".3g") for x in (over.low, over.high)]
        slope = f"slope {number(over.value, '.3g')}{f' [{ends[0]}, {ends[1]}]' if ends else ''}"
        heading = alt.Title(title, subtitle=[slope, f"shuffled depths p = {order.p:.2g}"])
        panels.append(_subjects(own, unit).properties(title=heading))
    panels.append(_agreement([plain_json(row) for row in finding.details["agreement"]]))
    said = str(finding.details["curves"][0]["said"])
    chart = alt.hconcat(*panels, spacing=22).properties(
        title=alt.Title("Do deeper layers converge across modalities?", subtitle=finding.source.split("; ", 1))
    )
    caption = (
        "Distance between language and vision models at the same relative depth: a thin line a subject, the thick one "
        "their mean; slopes per whole depth with 95 % t intervals over subjects. Only the first is about profiles: "
        "levels and RMS also fall where all values approach one common level. Last: how alike profiles are between "
        f"subjects; where it rises with depth, less noise brings profiles together by itself. Values: {said}."
    )
    return Figure(name="depth-distances", title="Distance over depth", caption=caption, chart=finished(chart))


def _subjects(rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    alt = altair()
    y = alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.Data(values=list(rows)))
    thin = base.mark_line(strokeWidth=1, opacity=0.45, color="#7f8c8d").encode(x=_depth_axis(), y=y, detail="subject:N")
    mean = base.mark_line(strokeWidth=3, color="#2c3e50", point=alt.OverlayMarkDef(size=20, color="#2c3e50"))
    return alt.layer(thin, mean.encode(x=_depth_axis(), y=alt.Y("mean(value):Q", title=unit))).properties(
        width=170, height=170
    )


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Any:
    alt = altair()
    named = [{**row, "models": _NAMES[row["modality"]]} for row in rows if row["value"] is not None]
    colour = alt.Color(
        "models:N",
        title="models",
        legend=alt.Legend(symbolOpacity=1),
        scale=alt.Scale(domain=[_NAMES[m] for m in _COLOURS], range=list(_COLOURS.values())),
    )
    line = alt.Chart(alt.Data(values=named)).mark_line(point=alt.OverlayMarkDef(size=14))
    y = alt.Y("value:Q", title="mean r between subjects", scale=alt.Scale(zero=False))
    heading = alt.Title("agreement between subjects", subtitle=["mean r of all pairs of subjects", "within a modality"])
    return line.encode(x=_depth_axis(), y=y, color=colour).properties(width=170, height=170, title=heading)


def _depth_axis() -> Any:
    alt = altair()
    return alt.X("depth:Q", title="relative depth", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(values=[0, 0.5, 1]))
