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
_DEPTH: dict[str, Any] = {
    "field": "depth",
    "type": "quantitative",
    "title": "relative depth",
    "scale": {"domain": [0, 1]},
    "axis": {"values": [0, 0.5, 1]},
}
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
    rows = [plain_json(row) for row in finding.details["curves"]]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    said = str(rows[0]["said"])
    drawn = {_of(name): [_named(row) for row in rows if row["network"] == name] for name in networks[:_MOST]}
    panels = _panels(networks[:_MOST], rows, above=said == ABOVE_CHANCE)
    more = f" The first {_MOST} of {len(networks)} networks are drawn." if len(networks) > _MOST else ""
    chance = " Dashes: chance (0)." if said == ABOVE_CHANCE else f" {said[0].upper()}{said[1:]}: no line for chance."
    caption = (
        "Alignment at a layer's relative depth, 0 the first layer read and 1 the last; mean over models and regions of "
        f"a network, then over subjects, with the 95 % t interval over subjects.{chance}{more}"
    )
    chart = {
        "title": {"text": "Alignment over depth, by network", "subtitle": finding.source.split("; ", 1)},
        "datasets": {**drawn, "chance": [{"zero": 0.0}]} if said == ABOVE_CHANCE else drawn,
        "vconcat": [{"hconcat": panels[i : i + _ACROSS]} for i in range(0, len(panels), _ACROSS)],
    }
    return Figure(name="depth-curves", title="Alignment over depth", caption=caption, chart=chart)


def _of(network: str) -> str:
    """The name of its data set."""
    return f"network {network}"


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "models": _NAMES.get(row["modality"], row["modality"])}


def _panels(networks: Iterable[str], rows: Sequence[Mapping[str, Any]], *, above: bool) -> list[dict[str, Any]]:
    """One a network, of the data set of its name; all with the axes of all rows."""
    ends = [v for row in rows for v in (row["value"], row["low"], row["high"]) if v is not None]
    low, high = min([*ends, 0.0] if above else ends), max(ends)
    pad = 0.04 * (high - low or 1.0)
    scale = {"domain": [low - pad, high + pad], "nice": False, "zero": False}
    y = {"type": "quantitative", "scale": scale, "title": "alignment"}
    both = {"x": _DEPTH, "color": _colour(list(dict.fromkeys(row["modality"] for row in rows)))}
    tip = [{"field": "models", "type": "nominal"}]
    tip += [{"field": name, "type": "quantitative"} for name in ("depth", "value", "low", "high")]
    band = {**both, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    marks: list[dict[str, Any]] = [
        {"mark": {"type": "area", "opacity": 0.18}, "encoding": band},
        {
            "mark": {"type": "line", "point": {"size": 14}},
            "encoding": {**both, "y": {**y, "field": "value"}, "tooltip": tip},
        },
    ]
    if above:
        zero = {"type": "rule", "strokeDash": [3, 3], "color": "#111111"}
        marks.append({"data": {"name": "chance"}, "mark": zero, "encoding": {"y": {**y, "field": "zero"}}})
    return [
        {"data": {"name": _of(name)}, "layer": marks, "width": 150, "height": 130, "title": name} for name in networks
    ]


def _colour(modalities: Sequence[str]) -> dict[str, Any]:
    colours = [_COLOURS.get(m, "#34495e") for m in modalities]
    return {
        "field": "models",
        "type": "nominal",
        "title": "models",
        "legend": {"symbolOpacity": 1},
        "scale": {"domain": [_NAMES.get(m, m) for m in modalities], "range": colours},
    }


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
    thin = base.mark_line(strokeWidth=1, opacity=0.45, color="#7f8c8d").encode(
        x=alt.X(**_DEPTH), y=y, detail="subject:N"
    )
    mean = base.mark_line(strokeWidth=3, color="#2c3e50", point=alt.OverlayMarkDef(size=20, color="#2c3e50"))
    return alt.layer(thin, mean.encode(x=alt.X(**_DEPTH), y=alt.Y("mean(value):Q", title=unit))).properties(
        width=170, height=170
    )


def _agreement(rows: Sequence[Mapping[str, Any]]) -> Any:
    alt = altair()
    named = [{**row, "models": _NAMES[row["modality"]]} for row in rows if row["value"] is not None]
    colour = alt.Color(**_colour(list(_COLOURS)))
    line = alt.Chart(alt.Data(values=named)).mark_line(point=alt.OverlayMarkDef(size=14))
    y = alt.Y("value:Q", title="mean r between subjects", scale=alt.Scale(zero=False))
    heading = alt.Title("agreement between subjects", subtitle=["mean r of all pairs of subjects", "within a modality"])
    return line.encode(x=alt.X(**_DEPTH), y=y, color=colour).properties(width=170, height=170, title=heading)
