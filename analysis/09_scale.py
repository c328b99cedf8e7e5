"""Does alignment move from sensory to associative areas as the scale grows? Writes scale.md, tables and pictures.

python analysis/09_scale.py     (reads the published tables `regions_language` and `regions_vision` in ONTOGENY_DATA;
                                where they are not, it says where they come from)
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import Estimate, Finding, published_regions, scale
from ontogeny.report import write_figures
from ontogeny.report.findings.scale_section import figures

HERE = Path(__file__).parent
WIDTHS = ((28, 68), (20, 100), (36, 100), (44, 100))
KNN = (20, 400)
MODALITIES = ("language", "vision")
STAND_OUT = 4.0

Found = dict[tuple[str, str, tuple[int, int]], Finding]


def asked() -> Found:
    """Every modality, kernel widths and k of mutual kNN, as planned."""
    out: Found = {}
    for modality in MODALITIES:
        cells, groups = published_regions(modality)
        for family, pairs in (("cka_*", WIDTHS), ("mutual_knn_*", (KNN,))):
            for low, high in pairs:
                out[modality, family, (low, high)] = scale(
                    cells,
                    low=low,
                    high=high,
                    family=family,
                    groups=groups,
                    raw=True,
                    source=f"shen2026, table regions_{modality}",
                )
    return out


def alike() -> list[dict[str, object]]:
    """Not planned: how alike the two modalities' profiles are by each metric, over areas and subjects.

    Chance of biased CKA is a factor of the model's kernel times one of the region's: by chance alone r would be 1.
    """
    tables = {}
    for modality in MODALITIES:
        cells, _ = published_regions(modality)
        keys = zip(cells.metric.tolist(), cells.subject.tolist(), cells.roi.tolist(), strict=True)
        tables[modality] = dict(zip(keys, cells.value.tolist(), strict=True))
    both = [key for key in tables["language"] if key in tables["vision"]]
    rows: list[dict[str, object]] = []
    for metric in sorted({key[0] for key in both}, key=lambda name: (name.rsplit("_", 1)[0], len(name), name)):
        a, b = (np.array([tables[m][key] for key in both if key[0] == metric]) for m in MODALITIES)
        r = float(np.corrcoef(a, b)[0, 1])
        rows.append({"metric": metric, "r": r, "language": a.mean(), "vision": b.mean(), "rows": len(a)})
    return rows


def alike_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    out = [
        "The profile over areas and subjects, language against vision, by each metric of the tables. The chance level "
        "of biased CKA is a factor of the model times a factor of the region, so that by chance alone r would be 1; "
        "that of kNN metrics is the same for all regions. A region's share of signal would raise both kinds of metric.",
        "",
        "| metric | r | mean, language | mean, vision | rows |",
        "|---|---|---|---|---|",
    ]
    return [
        *out,
        *(f"| {r['metric']} | {r['r']:.3f} | {r['language']:.4f} | {r['vision']:.4f} | {r['rows']} |" for r in rows),
        "",
    ]


def both_alike(found: Found) -> list[str]:
    """Not planned: whether the shift is the models' or the brain's, from how alike the two modalities are."""
    regions = {m: found[m, "cka_*", WIDTHS[0]].details["regions"] for m in MODALITIES}
    a, b = (np.array([row["shift"] for row in regions[m]]) for m in MODALITIES)
    out = [f"- shift from 28 to 68: r = {np.corrcoef(a, b)[0, 1]:.3f} between language and vision over {len(a)} areas"]
    for modality in MODALITIES:
        top = sorted(regions[modality], key=lambda row: -float(row["z_low"]))[:4]
        said = ", ".join(f"{r['region']} ({r['network']}) {r['z_low']:.1f} -> {r['z_high']:.1f}" for r in top)
        out.append(f"- {modality}, areas that stand out most at 28, z at 28 -> at 68: {said}")
    return out


def without_outstanding(found: Found) -> list[str]:
    """Not planned: the contrast when areas above `STAND_OUT` z at either width are left out."""
    out = []
    for modality in MODALITIES:
        cells, groups = published_regions(modality)
        rows = found[modality, "cka_*", WIDTHS[0]].details["regions"]
        left = sorted(str(r["region"]) for r in rows if max(r["z_low"], r["z_high"]) > STAND_OUT)
        kept = {roi: network for roi, network in groups.items() if roi not in left}
        finding = scale(cells, groups=kept, family="cka_*", raw=True)
        out.append(f"- {modality}, without {', '.join(left)}: {finding.answer}")
    return out


def interval(one: Estimate) -> str:
    return "" if one.low is None else f" [{one.low:+.2f}, {one.high:+.2f}], p {one.p:.3f}"


def network_lines(found: Found) -> list[str]:
    out = ["", "## Networks, shift of z from 28 to 68", "", "| network | language | vision |", "|---|---|---|"]
    tables = {m: {r["network"]: r for r in found[m, "cka_*", WIDTHS[0]].details["networks"]} for m in MODALITIES}
    for network in tables[MODALITIES[0]]:
        own = [tables[m][network] for m in MODALITIES]
        cells = [f"{r['shift']:+.2f} [{r['low']:+.2f}, {r['high']:+.2f}], q {r['q']:.2f}" for r in own]
        out.append(f"| {network} | {' | '.join(cells)} |")
    return out


def lines(found: Found) -> list[str]:
    out = [
        "# Does alignment move from sensory to associative areas as the scale grows?",
        "",
        "Made by `python analysis/09_scale.py`. shen2026, tables regions_language and regions_vision; biased "
        "CKA, chance level not known.",
        "",
        "## The planned contrasts: associative minus sensory areas, shift",
        "",
        "| models | metric | from | to | z | ranks | corrected for noise | subjects |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (modality, family, (low, high)), finding in found.items():
        contrasts = [e for e in finding.estimates if e.name.startswith("associative minus sensory")]
        cells = [
            f"{e.value:+.2f}" + ("" if e.low is None else f" [{e.low:+.2f}, {e.high:+.2f}], p {e.p:.3f}")
            for e in contrasts
        ]
        cells += [""] * (3 - len(cells))
        out.append(f"| {modality} | {family} | {low} | {high} | {' | '.join(cells)} | {finding.headline.n} |")
    out += [
        "",
        *(f"- {m}, {f}: {finding.answer}" for (m, f, pair), finding in found.items() if pair in (WIDTHS[0], KNN)),
    ]
    out += network_lines(found)
    planned = found[MODALITIES[0], "cka_*", WIDTHS[0]]
    return [
        *out,
        "",
        "![Networks over scales](figures/scale-language-networks.png)",
        "",
        "![Regions at both scales](figures/scale-language-regions.png)",
        "",
        "## Seen on the way, not planned",
        "",
        *alike_lines(alike()),
        *both_alike(found),
        *without_outstanding(found),
        "",
        "## What else would explain it (language, 28 to 68)",
        "",
        *(f"- {sentence}" for sentence in planned.else_explains),
        "",
        "## What the tables cannot tell",
        "",
        *(f"- {sentence}" for sentence in planned.cannot_tell),
        "- How many voxels an area has; so how much of its score at a narrow width is its size.",
        "- Whether the shift with k is more than one subject's: the tables hold all k for one subject only.",
        "",
    ]


def write(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    try:
        found = asked()
    except DatasetNotFoundError as missing:
        print(f"skipped: {missing}")
        return
    rows = [
        {"models": m, "metric": f, "from": low, "to": high, **{k: v for k, v in asdict(one).items() if k != "how"}}
        for (m, f, (low, high)), finding in found.items()
        for one in finding.estimates
    ]
    write("scale.csv", rows)
    write(
        "scale_regions.csv",
        [{"models": m, **r} for m in MODALITIES for r in found[m, "cka_*", WIDTHS[0]].details["regions"]],
    )
    write("scale_modalities_alike.csv", alike())
    (HERE / "figures").mkdir(exist_ok=True)
    for m in MODALITIES:
        drawn = figures(found[m, "cka_*", WIDTHS[0]])
        write_figures([replace(f, name=f.name.replace("scale-", f"scale-{m}-")) for f in drawn], HERE / "figures")
    text = "\n".join(lines(found))
    (HERE / "scale.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
