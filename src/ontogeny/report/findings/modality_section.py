"""Picture of "does one modality align more?": every region by both, and every subject's difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.findings import Finding
from ontogeny.findings.data.cells import ABOVE_CHANCE, CHANCE_LEFT_IN
from ontogeny.report.figures import Figure, altair, file_stem, finished

__all__ = ["figures"]

_BLUE, _RED, _GREY = "#1f6fb4", "#c0392b", "#9aa3ab"


def figures(finding: Finding) -> tuple[Figure, ...]:
    """One picture in two panels.

    Args:
        finding: of `modality_difference`.
    """
    first, second = (estimate.name for estimate in finding.estimates[1:3])
    unit = finding.headline.unit
    raw = unit.endswith(f"({CHANCE_LEFT_IN})")
    left = _regions(finding.details["regions"], first, second, unit, raw=raw)
    right = _subjects(finding, first, second, unit)
    level = (
        "Chance is not known of this metric and is left in, so a difference of chance levels would look the same."
        if raw
        else "Chance is taken off: 0 is chance (dotted)."
    )
    caption = (
        f"Left: each region, mean over subjects and models, by {first} and by {second}; above the diagonal {first} "
        "aligns more. Coloured where the paired difference over subjects has q < .05 over regions. Right: each "
        f"subject's mean difference over regions (dots), their mean with its 95 % t interval (bar). {level}"
    )
    chart = altair().hconcat(left, right, spacing=34)
    metric = unit.removesuffix(f" ({CHANCE_LEFT_IN})").removesuffix(f" {ABOVE_CHANCE}")
    return (
        Figure(
            name=file_stem("modality", metric),
            title=f"{finding.question} ({metric})",
            caption=caption,
            chart=finished(chart),
        ),
    )


def _regions(rows: Sequence[Mapping[str, Any]], first: str, second: str, unit: str, *, raw: bool) -> Any:
    alt = altair()
    names = {_BLUE: f"{first} more, q < .05", _RED: f"{second} more, q < .05", _GREY: "not told apart"}
    points = [{"roi": r["roi"], "x": r[second], "y": r[first], "group": names[_colour(r)]} for r in rows]
    there = {colour: name for colour, name in names.items() if any(p["group"] == name for p in points)}
    values = [v for p in points for v in (p["x"], p["y"])] + ([] if raw else [0.0])
    pad = 0.05 * (max(values) - min(values) or 1.0)
    low, high = min(values) - pad, max(values) + pad
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x, y = (alt.X("x:Q", scale=scale, title=f"{second}: {unit}"), alt.Y("y:Q", scale=scale, title=f"{first}: {unit}"))
    ends = alt.Chart(alt.Data(values=[{"x": low, "y": low}, {"x": high, "y": high}]))
    parts = [ends.mark_line(color="#7f8c8d", strokeWidth=1).encode(x=x, y=y)]
    if raw:
        note = alt.Chart(alt.Data(values=[{"x": high, "y": low, "text": "chance not known"}]))
        parts.append(
            note.mark_text(align="right", baseline="bottom", dx=-6, dy=-6, fontSize=12).encode(x=x, y=y, text="text:N")
        )
    else:
        at = alt.Chart(alt.Data(values=[{"x": 0, "y": 0}]))
        dotted = {"strokeDash": [2, 3], "color": "#111111"}
        parts += [at.mark_rule(**dotted).encode(x=x), at.mark_rule(**dotted).encode(y=y)]
    colour = alt.Color(
        "group:N",
        title=None,
        scale=alt.Scale(domain=list(there.values()), range=list(there)),
        legend=alt.Legend(orient="top", direction="vertical"),
    )
    dots = alt.Chart(alt.Data(values=points)).mark_point(filled=True, size=26, opacity=0.75)
    parts.append(dots.encode(x=x, y=y, color=colour, tooltip=["roi:N", "x:Q", "y:Q"]))
    return alt.layer(*parts).properties(width=300, height=300, title=f"{len(points)} regions")


def _colour(row: Mapping[str, Any]) -> str:
    if row["q"] is None or row["q"] >= 0.05:
        return _GREY
    return _BLUE if row["difference"] > 0 else _RED


def _subjects(finding: Finding, first: str, second: str, unit: str) -> Any:
    alt = altair()
    main = finding.headline
    rows = [{"subject": r["subject"], "value": r["difference"]} for r in finding.details["subjects"]]
    order = [*(r["subject"] for r in rows), "mean"]
    y = alt.Y("subject:N", sort=order, title=None, scale=alt.Scale(domain=order))
    ends = [0.0, *(r["value"] for r in rows), *(v for v in (main.low, main.high) if v is not None)]
    pad = 0.08 * (max(ends) - min(ends) or 1.0)
    scale = alt.Scale(domain=[min(ends) - pad, max(ends) + pad], nice=False)
    x = alt.X("value:Q", title=[f"{first} minus {second}", unit], scale=scale, axis=alt.Axis(tickCount=4))
    zero = alt.Chart(alt.Data(values=[{"value": 0}])).mark_rule(color="#7f8c8d").encode(x=x)
    mean = {"subject": "mean", "value": main.value, "low": main.low, "high": main.high}
    summary = alt.Chart(alt.Data(values=[mean]))
    parts = [zero, alt.Chart(alt.Data(values=rows)).mark_point(filled=True, size=55, color=_GREY).encode(x=x, y=y)]
    if main.low is not None:
        parts.append(summary.mark_rule(strokeWidth=2, color="#34495e").encode(x=alt.X("low:Q"), x2="high:Q", y=y))
    parts.append(summary.mark_point(filled=True, size=80, color="#34495e", opacity=1).encode(x=x, y=y))
    return alt.layer(*parts).properties(width=240, height=28 * len(order), title="by subject")
