"""Picture of "do better models align better?": every model, and every benchmark's correlation with and without size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ontogeny.findings import Finding
from ontogeny.report.figures import Figure, altair, file_stem, finished

__all__ = ["figures"]

_COLOURS = ("#1f6fb4", "#c0392b", "#27865a", "#8e44ad", "#d98200", "#16a3a3", "#7b5b3a", "#d6568c")
_OTHERS, _GREY, _MANY = "other families", "#b8bfc6", 100


def figures(finding: Finding) -> tuple[Figure, ...]:
    """One picture in two panels.

    Args:
        finding: of `across_models`.
    """
    alt = altair()
    benchmark = finding.headline.name.split(", ", 1)[1]
    about = finding.details["alignment"][0]
    axis = f"alignment: {about['metric']}" if about["metric"] else "alignment"
    scatter = _scatter(finding.details["models"], benchmark, [axis, f"(chance {about['chance']})"])
    chart = alt.hconcat(scatter, _dots(finding.details["correlations"]), spacing=34).resolve_scale(
        color="independent", size="independent"
    )
    caption = (
        f"Left: {benchmark} and alignment of each model, coloured by family, larger for more parameters; alignment's "
        f"chance level is {about['chance']}. Right: Pearson r of each benchmark over all models (dark) and "
        "the partial r given the logarithm of what is said (colour), with 95 % intervals over families; right of the "
        f"line better models align better. {finding.answer}"
    )
    name = file_stem("across", finding.source) if finding.source else "across"
    return (Figure(name=name, title=finding.question, caption=caption, chart=finished(chart)),)


def _scatter(rows: Sequence[Mapping[str, Any]], benchmark: str, title: list[str]) -> Any:
    alt = altair()
    counted = Counter(row["family"] for row in rows).most_common(len(_COLOURS))
    shown = [family for family, count in counted if count > 1]
    points = [
        {
            "model": row["model"],
            "group": row["family"] if row["family"] in shown else _OTHERS,
            "alignment": row["alignment"],
            "performance": row[benchmark],
            **({"parameters": row["parameters"]} if _finite(row.get("parameters")) else {}),
        }
        for row in rows
        if _finite(row["alignment"]) and _finite(row[benchmark])
    ]
    points.sort(key=lambda p: p["group"] != _OTHERS)
    domain = [*shown, _OTHERS] if any(p["group"] == _OTHERS for p in points) else shown
    colours = [*_COLOURS[: len(shown)], _GREY][: len(domain)]
    encoded = {
        "x": alt.X("performance:Q", title=benchmark, scale=alt.Scale(zero=False)),
        "y": alt.Y("alignment:Q", title=title, scale=alt.Scale(zero=False)),
        "color": alt.Color("group:N", title="family", scale=alt.Scale(domain=domain, range=colours), sort=domain),
        "tooltip": ["model:N", "group:N", "performance:Q", "alignment:Q"],
    }
    if any("parameters" in p for p in points):
        encoded["size"] = alt.Size(
            "parameters:Q",
            title="parameters",
            scale=alt.Scale(type="log", range=[12, 220 if len(points) < _MANY else 90]),
            legend=alt.Legend(
                tickCount=3,
                format="~s",
                labelExpr="replace(datum.label, 'G', 'B')",
                symbolFillColor=_GREY,
                symbolStrokeColor=_GREY,
            ),
        )
    chart = alt.Chart(alt.Data(values=points)).mark_point(filled=True, opacity=0.75)
    return chart.encode(**encoded).properties(width=330, height=300, title=f"{len(points)} models")


def _dots(rows: Sequence[Mapping[str, Any]]) -> Any:
    alt = altair()
    kept = [row for row in rows if row["kind"] == "pearson" and row["given"] != "within families"]
    series = list(dict.fromkeys(_series(row) for row in kept))
    points = [
        {
            "benchmark": row["benchmark"],
            "series": _series(row),
            "r": row["r"],
            **({"low": row["low"], "high": row["high"]} if row["low"] is not None else {}),
        }
        for row in kept
    ]
    order = list(dict.fromkeys(p["benchmark"] for p in points))
    lowest = min(p.get("low", p["r"]) for p in points)
    scale = alt.Scale(domain=[min(-0.05, round(lowest - 0.05, 1)), 1.0], nice=False)
    colour = alt.Color(
        "series:N",
        title=None,
        sort=series,
        scale=alt.Scale(domain=series, range=["#34495e", *_COLOURS[1 : len(series)]]),
        legend=alt.Legend(orient="top", direction="vertical"),
    )
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("benchmark:N", sort=order, title=None, axis=alt.Axis(labelLimit=220)),
        yOffset=alt.YOffset("series:N", sort=series),
        color=colour,
    )
    x = alt.X("low:Q", title="correlation with alignment, 95 % interval over families", scale=scale)
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x=alt.X("x:Q", scale=scale))
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=42, opacity=1).encode(x=alt.X("r:Q", scale=scale), tooltip=["r:Q"])
    return alt.layer(zero, bars, dots).properties(width=300, height=max(120, 17 * len(points)))


def _series(row: Mapping[str, Any]) -> str:
    return f"partial r given {row['given']}" if row["given"] else "r"


def _finite(value: Any) -> bool:
    return isinstance(value, float | int) and value - value == 0
