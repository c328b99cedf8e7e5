"""Picture of the finding on hierarchy: every region's alignment over depth, and its best depth against its place."""

from __future__ import annotations

from typing import Any

from ontogeny.findings import Finding
from ontogeny.report.figures import Figure, altair, finished

__all__ = ["figures"]

_INK = "#1f4e79"
_ROW = 34
_NARROWEST = 0.2


def figures(finding: Finding) -> tuple[Figure, ...]:
    """Profiles over depth, and depths against the hierarchy, as one picture.

    Args:
        finding: of `ontogeny.findings.hierarchy`.
    """
    alt = altair()
    rows = [dict(row) for row in finding.details["depths"]]
    order = [row["roi"] for row in rows][::-1]
    chart = alt.hconcat(_profiles(finding, order), _depths(rows, order), spacing=24)
    caption = (
        "Left: alignment of every region (highest of the hierarchy on top) with every layer, each in units of its "
        "own range, so that its shape over depth shows and not its height. Right: the depth that it resembles; small "
        f"dots are subjects, the bar is the 95 % t interval over them. {finding.answer} Source: {finding.source}."
    )
    return (Figure(name="hierarchy", title=finding.question, caption=caption, chart=finished(chart)),)


def _profiles(finding: Finding, order: list[str]) -> Any:
    alt = altair()
    rows = [dict(row) for row in finding.details["profiles"]]
    ends = {roi: [r["alignment"] for r in rows if r["roi"] == roi] for roi in order}
    for row in rows:
        low, high = min(ends[row["roi"]]), max(ends[row["roi"]])
        row["share"] = (row["alignment"] - low) / (high - low) if high > low else 0.0
    layers = [r["layer"] for r in sorted(rows, key=lambda r: r["depth"])]
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_rect()
        .encode(
            x=alt.X(
                "layer:N", sort=list(dict.fromkeys(layers)), title="layer, first to last", axis=alt.Axis(labelAngle=-40)
            ),
            y=alt.Y("roi:N", sort=order, title="region, highest of the hierarchy on top"),
            color=alt.Color("share:Q", title=["share of", "own range"], scale=alt.Scale(scheme="viridis")),
            tooltip=["roi:N", "layer:N", alt.Tooltip("alignment:Q", format=".4f")],
        )
        .properties(width=300, height=_ROW * len(order))
    )


def _depths(rows: list[dict[str, Any]], order: list[str]) -> Any:
    alt = altair()
    title = "depth that it resembles (0 first layer, 1 last)"
    y = alt.Y("roi:N", sort=order, title=None)
    scale = alt.Scale(domain=_domain(rows), nice=False)
    own = [
        {"roi": row["roi"], "depth": value}
        for row in rows
        for name, value in row.items()
        if name.startswith("subject ")
    ]
    x = alt.X("depth:Q", title=title, scale=scale)
    dots = alt.Chart(alt.Data(values=own)).mark_circle(size=18, opacity=0.45, color=_INK, clip=True).encode(x=x, y=y)
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    span = base.mark_rule(strokeWidth=1.8, color=_INK, clip=True).encode(
        x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"
    )
    mean = base.mark_point(filled=True, size=70, color=_INK, opacity=1).encode(x=x)
    return alt.layer(dots, span, mean).properties(width=300, height=_ROW * len(order))


def _domain(rows: list[dict[str, Any]]) -> list[float]:
    """All depths and intervals, and never less than a fifth of the model: differences smaller than that look small."""
    values = [v for row in rows for name, v in row.items() if name in ("low", "high") or name.startswith("subject ")]
    low, high = max(0.0, min(values) - 0.02), min(1.0, max(values) + 0.02)
    pad = max(0.0, _NARROWEST - (high - low)) / 2
    return [max(0.0, low - pad), min(1.0, high + pad)]
