"""Is language strongest in limbic and integrative regions, and does vision follow the visual hierarchy?

    python analysis/06_regions.py

Reads the tables regions_language, regions_vision and yeo7_depth of `ontogeny.load_published("shen2026")`, which are not
part of the package: without them it says where they go, and ends. Writes tables/regions_*.csv and pictures of them.
What is claimed, and what would refute it, is in PLAN.md (06); what came out is in LOG.md.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import (
    YEO_7,
    Cells,
    Estimate,
    contrast,
    gradient,
    grouped,
    hierarchy,
    published_depth,
    published_regions,
    regions,
)
from ontogeny.report import Figure
from ontogeny.report.findings import hierarchy_section as hierarchy_picture
from ontogeny.report.findings import regions_section as regions_picture

HERE = Path(__file__).parent
MODALITIES: dict[Literal["language", "vision"], str] = {"language": "text", "vision": "image"}
INTEGRATIVE, SENSORY = ("Limbic", "Default", "Frontoparietal"), ("Visual", "Somatomotor")
VENTRAL = ("V1", "V2", "V3", "V4", "PIT")
HEADLINE = "cka_36"


def tested(cells: Cells) -> list[str]:
    """Widths of CKA and sizes of mutual neighbourhoods that more than one subject has."""
    own = (m for m in sorted(cells.names("metric")) if m.startswith(("cka_", "mutual_knn_")))
    return [m for m in own if len(cells.where(metric=m).names("subject")) > 1]


def claims(cells: Cells, groups: Mapping[str, str], modality: str) -> list[dict[str, object]]:
    """Every claim of the plan in every metric of `tested`."""
    networks = grouped(cells, groups)
    rows = []
    for metric in tested(cells):
        own, areas = networks.where(metric=metric), cells.where(metric=metric)
        means = {name: float(np.mean(own.where(roi=name).levels(raw=True)[0])) for name in YEO_7}
        others = [name for name in YEO_7 if name != "Visual"]
        for claim, found in {
            "integrative less sensory": contrast(own, INTEGRATIVE, SENSORY, raw=True),
            "limbic less the others": contrast(own, ["Limbic"], [n for n in YEO_7 if n != "Limbic"], raw=True),
            "visual less the others": contrast(own, ["Visual"], others, raw=True),
            "tau along V1 V2 V3 V4 PIT": gradient(areas, VENTRAL, raw=True),
        }.items():
            top = max(means, key=means.__getitem__)
            rows.append(
                {
                    "modality": modality,
                    "metric": metric,
                    "chance": "taken away" if own.levels(raw=True)[1] == "above chance" else "not known",
                }
                | {"highest": top, "claim": claim}
                | numbers(found)
            )
    return rows


def numbers(found: Estimate) -> dict[str, object]:
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p, "n": found.n, "unit": found.unit}


def shared(tables: Sequence[Cells]) -> str:
    """Are the profiles of language and vision models one profile? Spearman's rho per subject, over areas."""
    out = []
    for metric in (HEADLINE, "mutual_knn_20"):
        text, image = (cells.where(metric=metric) for cells in tables)
        rho = []
        for subject in text.names("subject"):
            one, two = (
                dict(zip(c.roi.tolist(), c.value.tolist(), strict=True))
                for c in (text.where(subject=subject), image.where(subject=subject))
            )
            rho.append(float(stats.spearmanr(list(one.values()), [two[roi] for roi in one]).statistic))
        out.append(f"{metric}: {np.mean(rho):.2f} ({min(rho):.2f} to {max(rho):.2f} over {len(rho)} subjects)")
    return "; ".join(out)


def without_subjects(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """What was computed, not what was published."""
    return [{k: v for k, v in row.items() if not k.startswith("subject ")} for row in rows]


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(figures: Sequence[Figure], name: str) -> None:
    (HERE / "figures").mkdir(exist_ok=True)
    for figure in figures:
        figure.chart.save(str(HERE / "figures" / f"{name}.png"), scale_factor=1.0)


def one_modality(cells: Cells, groups: Mapping[str, str], name: str) -> list[dict[str, object]]:
    """Profiles of networks and areas at the headline width and in mutual kNN, drawn; and every claim."""
    for metric in (HEADLINE, "mutual_knn_20"):
        own = cells.where(metric=metric)
        networks = regions(grouped(own, groups), raw=True)
        print(f"\n## {name}, {metric}, networks\n{networks.answer}")
        draw(regions_picture.figures(networks), f"regions-{name}-{metric}-networks")
        write(f"regions_{name}_{metric}.csv", without_subjects(networks.details["profile"]))
        areas = regions(own, raw=True)
        print(f"\n## {name}, {metric}, areas\n{areas.answer}")
        if metric == HEADLINE:
            draw(regions_picture.figures(areas, groups=groups), f"regions-{name}-{metric}-areas")
    return claims(cells, groups, name)


def main() -> None:
    try:
        tables = {name: published_regions(name) for name in MODALITIES}
        depths = published_depth()
    except DatasetNotFoundError as error:
        print(f"skipped: {error}")
        return
    rows = [row for name, table in tables.items() for row in one_modality(*table, name)]
    write("regions_claims.csv", rows)
    print("\n## Claims: difference or tau, 95 % t interval over 4 subjects")
    for row in rows:
        if row["metric"] in (HEADLINE, "mutual_knn_20") or row["claim"] != "visual less the others":
            print(
                f"{row['modality']:9}{row['metric']:15} top {row['highest']:18}{row['claim']:28}"
                f"{row['value']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            )
    alike = shared([cells for cells, _ in tables.values()])
    print(f"\n## Not planned: rank correlation over areas of the two modalities' profiles\n{alike}")
    by_depth = []
    for name, kind in MODALITIES.items():
        for best in ("others", "centre"):
            found = hierarchy(depths.where(modality=kind), "networks", best=best, raw=True)
            by_depth.append({"modality": name, "best": best} | numbers(found.headline))
            print(f"\n## depth, {name}, {best}\n{found.answer}")
            if best == "centre":
                draw(hierarchy_picture.figures(found), f"hierarchy-{name}")
    write("regions_depth.csv", by_depth)


if __name__ == "__main__":
    main()
