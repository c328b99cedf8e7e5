"""Does language align more than vision? On 180 areas of 4 subjects, by each of 26 metrics of arXiv:2507.01966.

    python analysis/05_modality.py

Reads the tables `regions_language` and `regions_vision` of `ontogeny.load_published("shen2026")`. They are not in the
package; without them it says where they are looked for, and stops. Writes tables/modality.csv and pictures
figures/modality-*.png.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import Cells, Finding, modality_difference, published_regions
from ontogeny.report.figures import finished
from ontogeny.report.findings.modality_section import figures

HERE = Path(__file__).parent
DRAWN = ("cka_36", "mutual_knn_20")


def row(metric: str, finding: Finding, *, known: bool) -> dict[str, object]:
    """One metric's answer as one line of the table."""
    main, text, image = finding.estimates[:3]
    by_subject = [r["difference"] for r in finding.details["subjects"]]
    regions = finding.details["regions"]
    return {
        "metric": metric,
        "chance": "removed" if known else "not known",
        "text": text.value,
        "image": image.value,
        "difference": main.value,
        "low": main.low,
        "high": main.high,
        "sign_flip_p": main.p,
        "subjects": len(by_subject),
        "subjects_text_above": sum(value > 0 for value in by_subject),
        "regions": len(regions),
        "regions_text_above": sum(r["difference"] > 0 for r in regions),
        "regions_text_above_q05": sum(r["difference"] > 0 and r["q"] is not None and r["q"] < 0.05 for r in regions),
        "regions_image_above_q05": sum(r["difference"] < 0 and r["q"] is not None and r["q"] < 0.05 for r in regions),
    }


def write(rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / "modality.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows)


def draw_widths(rows: Sequence[Mapping[str, object]]) -> None:
    """Difference by kernel width, each in units of the mean score: where its sign turns."""
    import altair as alt

    points = [
        {
            "width": int(str(r["metric"]).removeprefix("cka_")),
            **{
                k: 100 * float(str(r[k])) / (float(str(r["text"])) + float(str(r["image"]))) * 2
                for k in ("difference", "low", "high")
            },
        }
        for r in rows
        if str(r["metric"]).startswith("cka_")
    ]
    base = alt.Chart(alt.Data(values=points)).encode(x=alt.X("width:Q", title="width of the RBF kernel"))
    y = alt.Y("low:Q", title=["text minus image,", "% of their mean score (chance not known)"])
    zero = alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(color="#7f8c8d").encode(y="y:Q")
    note = alt.Chart(alt.Data(values=[{"width": 101, "y": 100, "text": "chance not known"}]))
    text = note.mark_text(align="right").encode(x="width:Q", y="y:Q", text="text:N")
    line = base.mark_line(color="#34495e", point=True).encode(y="difference:Q")
    bars = base.mark_rule(color="#34495e").encode(y=y, y2="high:Q")
    chart = alt.layer(zero, bars, line, text).properties(width=380, height=230)
    finished(chart).save(str(HERE / "figures" / "modality-by-width.png"), scale_factor=1.0)


def main() -> None:
    try:
        both = Cells.joined(*(published_regions(name)[0] for name in ("language", "vision")))
    except DatasetNotFoundError as error:
        print(f"skipped: {error}")
        return
    metrics = sorted(
        both.names("metric"),
        key=lambda name: (name.rpartition("_")[0], int(name.rpartition("_")[2]) if "_" in name else 0),
    )
    rows = []
    for metric in metrics:
        finding = modality_difference(both.where(metric=metric), raw=True)
        known = finding.headline.unit.endswith("above chance")
        rows.append(row(metric, finding, known=known))
        print(f"- {metric}: {finding.answer}")
        if metric in DRAWN:
            (HERE / "figures").mkdir(exist_ok=True)
            for figure in figures(finding):
                figure.chart.save(str(HERE / "figures" / f"{figure.name}.png"), scale_factor=1.0)
    write(rows)
    draw_widths(rows)


if __name__ == "__main__":
    main()
