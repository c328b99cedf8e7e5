"""Picture of the finding on regions: every region's alignment in order, with its interval and its subjects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ontogeny.findings import YEO_7, Finding
from ontogeny.findings.data.cells import ABOVE_CHANCE
from ontogeny.report.figures import Figure, altair, finished

__all__ = ["figures"]

_MOST_ROWS = 40
_ENDS = 15
_WIDE = 340
_INK = "#1f4e79"
_SCHEME = ("#7b3294", "#3b6fb6", "#1b8a3a", "#d1349b", "#b8a800", "#e07b00", "#c8374a")


def figures(finding: Finding, *, groups: Mapping[str, str] | None = None) -> tuple[Figure, ...]:
    """The profile as one picture.

    Args:
        finding: of `ontogeny.findings.regions`.
        groups: ROI -> network, to colour regions by.
    """
    rows = [dict(row) for row in finding.details["profile"]]
    unit = finding.estimates[1].unit
    known = unit.endswith(ABOVE_CHANCE)
    for row in rows:
        row["network"] = (groups or {}).get(row["roi"], "")
    few = len(rows) <= _MOST_ROWS
    chart = _listed(rows, unit, known) if few else _ranked(rows, unit, known)
    level = (
        "The line at 0 is chance." if known else "Chance is not known, so the height above 0 says nothing by itself."
    )
    what = "Small dots are subjects; numbers on the right are the 95 % interval of the rank."
    caption = (
        f"Alignment of every region ({unit}), highest first: mean over subjects, 95 % t interval. {what} {level} "
        f"{finding.answer}"
    )
    return (Figure(name="regions", title=finding.question, caption=caption, chart=finished(chart)),)


def _colour(rows: list[dict[str, Any]]) -> Any:
    alt = altair()
    found = dict.fromkeys(row["network"] for row in rows)
    if set(found) == {""}:
        return alt.value(_INK)
    domain = [name for name in YEO_7 if name in found] + [name for name in found if name not in YEO_7]
    scale = alt.Scale(domain=domain, range=[_SCHEME[i % len(_SCHEME)] for i in range(len(domain))])
    return alt.Color("network:N", title="network", scale=scale, legend=alt.Legend(offset=56))


def _listed(rows: list[dict[str, Any]], axis: str, known: bool, title: str = "") -> Any:
    alt = altair()
    y = alt.Y("roi:N", sort=[row["roi"] for row in rows], title=None)
    own = [
        {"roi": row["roi"], "value": value, "network": row["network"]}
        for row in rows
        for name, value in row.items()
        if name.startswith("subject ")
    ]
    x = alt.X("value:Q", title=axis, scale=alt.Scale(zero=known), axis=alt.Axis(tickCount=6))
    subjects = alt.Chart(alt.Data(values=own)).mark_circle(size=16, opacity=0.45).encode(x=x, y=y, color=_colour(rows))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=_colour(rows))
    span = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q", title=axis), x2="high:Q")
    mean = base.mark_point(filled=True, size=55, opacity=1).encode(x=alt.X("alignment:Q", title=axis))
    said = [{"roi": row["roi"], "text": f"{row['rank_low']}–{row['rank_high']}"} for row in rows]
    rank = alt.Chart(alt.Data(values=said)).mark_text(align="left", color="#7f8c8d", fontSize=10, clip=False)
    ranks = rank.encode(y=y, text="text:N", x=alt.value(_WIDE + 8))
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(strokeDash=[3, 3]).encode(x=alt.X("x:Q", title=axis))
    parts = [*([zero] if known else []), subjects, span, mean, ranks]
    return alt.layer(*parts).properties(width=_WIDE, height=20 * len(rows), title=title)


def _ranked(rows: list[dict[str, Any]], axis: str, known: bool) -> Any:
    alt = altair()
    x = alt.X("rank:Q", title="all regions, highest first", scale=alt.Scale(domain=[0, len(rows) + 1], nice=False))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=_colour(rows))
    span = base.mark_rule(strokeWidth=1, opacity=0.5).encode(y=alt.Y("low:Q", title=axis), y2="high:Q")
    mean = base.mark_point(filled=True, size=22, opacity=1).encode(y=alt.Y("alignment:Q", title=axis))
    zero = alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(strokeDash=[3, 3]).encode(y=alt.Y("y:Q", title=axis))
    every = alt.layer(*([zero] if known else []), span, mean).properties(width=2 * _WIDE + 60, height=230)
    ends = [
        _listed(part, axis, known, title)
        for part, title in ((rows[:_ENDS], f"the {_ENDS} highest"), (rows[-_ENDS:], f"the {_ENDS} lowest"))
    ]
    return alt.vconcat(every, alt.hconcat(*ends, spacing=50), spacing=20)
