"""Pictures of the finding on scale: the profile at every scale, and the shift by network and region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ontogeny.findings import Finding
from ontogeny.report.figures import Figure, altair, finished, plain_json

__all__ = ["figures"]

_YEO7 = {
    "Visual": "#781286",
    "Somatomotor": "#4682b4",
    "Dorsal Attention": "#00760e",
    "Ventral Attention": "#c43afa",
    "Limbic": "#a8a35a",
    "Frontoparietal": "#e69422",
    "Default": "#cd3e4e",
}
_MOST = 12


def figures(finding: Finding) -> tuple[Figure, ...]:
    """Profile over scales and shift by network; z at both scales by region.

    Args:
        finding: of `ontogeny.findings.scale`.
    """
    return _networks(finding), _regions(finding)


def _networks(finding: Finding) -> Figure:
    alt = altair()
    curve, shifts = ([plain_json(row) for row in finding.details[name]] for name in ("curve", "networks"))
    names = [row["network"] for row in sorted(shifts, key=lambda row: -row["shift"])]
    kept = names if len(names) <= _MOST else [*names[: _MOST // 2], *names[-_MOST // 2 :]]
    said = str(curve[0]["said"])
    parts = [
        _over_scales([row for row in curve if row["network"] in kept], kept),
        _shifts([row for row in shifts if row["network"] in kept], kept, _ends(finding)),
    ]
    if finding.details["contrast"]:
        parts.append(_contrast(finding))
    chart = alt.hconcat(*parts, spacing=26).properties(title=alt.Title(finding.question, subtitle=[_source(finding)]))
    few = f" The {_MOST} networks that shift most either way are drawn." if len(names) > _MOST else ""
    caption = (
        "Left: z of the networks (over all regions and subjects of a scale), mean over regions, then over subjects, "
        "with the 95 % t interval. Middle: the shift between the two scales. Right: associative minus sensory areas, a "
        "thin line a subject; a shift that z has and ranks have not is a change of the distribution's shape. z says "
        f"where alignment is relatively high, not that it is above chance; values are {said}.{few}"
    )
    return Figure(name="scale-networks", title="The profile over scales", caption=caption, chart=finished(chart))


def _ends(finding: Finding) -> tuple[str, str]:
    low, high = finding.question.removesuffix(", where does alignment move?").split(" from ")[-1].split(" to ")
    return low, high


def _colour(names: Sequence[str]) -> Any:
    alt = altair()
    if set(names) <= set(_YEO7):
        scale = alt.Scale(domain=list(names), range=[_YEO7[name] for name in names])
    else:
        scale = alt.Scale(domain=list(names), scheme="tableau20")
    return alt.Color("network:N", title="network", scale=scale, sort=list(names), legend=alt.Legend(symbolOpacity=1))


def _over_scales(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
    alt = altair()
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("scale:Q", title="scale (kernel width, or k)", scale=alt.Scale(zero=False, nice=False, padding=6)),
        color=_colour(names),
    )
    title = "z of the network"
    return alt.layer(
        base.mark_area(opacity=0.13).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(point=alt.OverlayMarkDef(size=16)).encode(y=alt.Y("z:Q", title=title)),
    ).properties(width=300, height=230, title="profile over scales")


def _shifts(rows: Sequence[dict[str, Any]], names: Sequence[str], ends: tuple[str, str]) -> Any:
    alt = altair()
    y = alt.Y("network:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=200))
    base = alt.Chart(alt.Data(values=list(rows))).encode(y=y, color=_colour(names))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="#7f8c8d").encode(x="zero:Q")
    title = f"shift of z, {ends[0]} to {ends[1]}"
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        base.mark_point(filled=True, size=40, opacity=1).encode(x=alt.X("shift:Q", title=title)),
    ).properties(width=220, height=230, title=f"shift from {ends[0]} to {ends[1]}")


def _contrast(finding: Finding) -> Any:
    alt = altair()
    rows = [plain_json(row) for row in finding.details["contrast"]]
    base = alt.Chart(alt.Data(values=rows))
    x = alt.X("scale:Q", title="scale (kernel width, or k)", scale=alt.Scale(zero=False, nice=False, padding=6))
    dash = alt.StrokeDash("form:N", title="contrast of", scale=alt.Scale(domain=["z", "ranks"], range=[[1, 0], [5, 3]]))
    title = "associative minus sensory"
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="#bdc3c7").encode(y="zero:Q")
    thin = base.mark_line(strokeWidth=0.8, opacity=0.4, color="#7f8c8d")
    mean = base.mark_line(strokeWidth=2.5, color="#2c3e50")
    return alt.layer(
        zero,
        thin.encode(x=x, y=alt.Y("contrast:Q", title=title), strokeDash=dash, detail="subject:N"),
        mean.encode(x=x, y=alt.Y("mean(contrast):Q", title=title), strokeDash=dash),
    ).properties(width=230, height=230, title="associative minus sensory areas")


def _regions(finding: Finding) -> Figure:
    alt = altair()
    rows = [plain_json(row) for row in finding.details["regions"]]
    low, high = _ends(finding)
    names = list(dict.fromkeys(row["network"] for row in rows))
    ends = [row[key] for row in rows for key in ("z_low", "z_high")]
    scale = alt.Scale(domain=[min(ends) - 0.2, max(ends) + 0.2], nice=False)
    same = alt.Chart(alt.Data(values=[{"at": min(ends)}, {"at": max(ends)}])).mark_line(
        color="#7f8c8d", strokeDash=[4, 3]
    )
    x = alt.X("z_low:Q", title=f"z at {low}", scale=scale)
    y = alt.Y("z_high:Q", title=f"z at {high}", scale=scale)
    points = alt.Chart(alt.Data(values=rows)).mark_point(filled=True, size=42, opacity=0.75)
    tooltip = ["region:N", "network:N", "z_low:Q", "z_high:Q", "shift:Q", "q:Q", "same_sign:Q"]
    said = str(finding.details["curve"][0]["said"])
    line = same.encode(
        x=alt.X("at:Q", scale=scale, title=f"z at {low}"), y=alt.Y("at:Q", scale=scale, title=f"z at {high}")
    )
    dots = (
        points.encode(x=x, y=y, tooltip=tooltip)
        if len(names) > _MOST
        else points.encode(x=x, y=y, color=_colour(names), tooltip=tooltip)
    )
    chart = alt.layer(line, dots).properties(
        width=380,
        height=380,
        title=alt.Title(f"Regions at {low} and {high}", subtitle=[_source(finding)]),
    )
    caption = (
        f"A dot per region, mean over subjects; above the dashes it stands out more at {high} than at {low}. A curve, "
        f"or dots fanning out, says that the distribution's shape differs, not where alignment is. Values are {said}."
    )
    return Figure(name="scale-regions", title="Regions at both scales", caption=caption, chart=finished(chart))


def _source(finding: Finding) -> str:
    return finding.source.split(", scales ")[0].split("; ", 1)[-1]
