"""Picture of the finding on regions: every region's alignment in order, with its interval and its subjects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ontogeny.findings import YEO_7, Finding
from ontogeny.report.figures import Figure, altair, finished

__all__ = ["figures"]

_MOST_ROWS = 40
_NAMED = 8
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
    known = unit.endswith("above chance")
    axis = unit if known else f"{unit} (raw: its chance level is not known)"
    for row in rows:
        row["network"] = (groups or {}).get(row["roi"], "")
    few = len(rows) <= _MOST_ROWS
    chart = _listed(rows, axis, known) if few else _ranked(rows, axis, known)
    level = (
        "The line at 0 is chance." if known else "Chance is not known, so the height above 0 says nothing by itself."
    )
    what = "Small dots are subjects; r is the 95 % interval of the rank." if few else "The first and last are named."
    caption = (
        f"Alignment of every region ({axis}), highest first: mean over subjects, 95 % t interval. {what} {level} "
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
    return alt.Color("network:N", title="network", scale=scale)


def _listed(rows: list[dict[str, Any]], axis: str, known: bool) -> Any:
    alt = altair()
    y = alt.Y("roi:N", sort=[row["roi"] for row in rows], title=None)
    own = [
        {"roi": row["roi"], "value": value, "network": row["network"]}
        for row in rows
        for name, value in row.items()
        if name.startswith("subject ")
    ]
    x = alt.X("value:Q", title=axis, scale=alt.Scale(zero=known))
    subjects = alt.Chart(alt.Data(values=own)).mark_circle(size=16, opacity=0.45).encode(x=x, y=y, color=_colour(rows))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=_colour(rows))
    span = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q", title=axis), x2="high:Q")
    mean = base.mark_point(filled=True, size=55, opacity=1).encode(x=alt.X("alignment:Q", title=axis))
    said = [{"roi": r["roi"], "text": f"r {r['rank_low']}–{r['rank_high']}"} for r in rows]
    rank = (
        alt.Chart(alt.Data(values=said))
        .mark_text(align="left", color="#7f8c8d", fontSize=10)
        .encode(
            y=alt.Y("roi:N", sort=[row["roi"] for row in rows], title=None, axis=None), text="text:N", x=alt.value(0)
        )
        .properties(width=44, height=22 * len(rows))
    )
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(strokeDash=[3, 3]).encode(x=alt.X("x:Q", title=axis))
    main = alt.layer(*([zero] if known else []), subjects, span, mean).properties(width=380, height=22 * len(rows))
    return alt.hconcat(main, rank, spacing=4)


def _ranked(rows: list[dict[str, Any]], axis: str, known: bool) -> Any:
    alt = altair()
    x = alt.X("rank:Q", title="regions, highest first", scale=alt.Scale(domain=[0, len(rows) + 1], nice=False))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, color=_colour(rows))
    span = base.mark_rule(strokeWidth=1, opacity=0.5).encode(y=alt.Y("low:Q", title=axis), y2="high:Q")
    mean = base.mark_point(filled=True, size=22, opacity=1).encode(y=alt.Y("alignment:Q", title=axis))
    ends = [(row, 1) for row in rows[:_NAMED]] + [(row, -1) for row in rows[-_NAMED:]]
    said = [
        {"roi": row["roi"], "rank": row["rank"], "at": row["high"] if way > 0 else row["low"], "way": way}
        for row, way in ends
    ]
    names = [
        alt.Chart(alt.Data(values=[s for s in said if s["way"] == way]))
        .mark_text(angle=270, align="left" if way > 0 else "right", dx=4 * way, fontSize=9, color="#34495e")
        .encode(x=x, y=alt.Y("at:Q", title=axis), text="roi:N")
        for way in (1, -1)
    ]
    zero = alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(strokeDash=[3, 3]).encode(y=alt.Y("y:Q", title=axis))
    return alt.layer(*([zero] if known else []), span, mean, *names).properties(width=640, height=300)
