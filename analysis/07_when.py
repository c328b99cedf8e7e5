"""When does each layer of the published training series reach half of its gain, and do shallow layers come first?

    python analysis/07_when.py

Reads the tables pythia_layers and mixnet_layers of `ontogeny.load_published("shen2026")`, which are not part of the
package: without them it says where they go, and ends. Writes tables/when_*.csv and figures/when-*.png. What is claimed,
and what would refute it, is in PLAN.md (07); what came out is in LOG.md.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ontogeny import load_published
from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import Cells, Finding, when
from ontogeny.findings.statistics.subject_agreement import mean_interval, sign_flip_p
from ontogeny.report.findings import rise_order_section as when_picture

HERE = Path(__file__).parent

Table = Mapping[str, np.ndarray]


def layer_cells(table: Table, model: str, value: str, step: str) -> Cells:
    """One model's layers over training; the table has the best region and subject of each layer only."""
    own = table["model"] == model
    return Cells.of_table(
        {
            "model": model,
            "step": table[step][own],
            "benchmark": "nsd",
            "subject": "best of 4",
            "roi": "best region",
            "layer": [f"layer {layer:02d}" for layer in table["layer"][own].tolist()],
            "depth": table["relative_depth"][own],
            "metric": "cka_36",
            "value": table[value][own],
        }
    )


def found_of(table: Table, value: str, step: str) -> dict[str, Finding]:
    models = dict.fromkeys(table["model"].tolist())
    return {model: when(layer_cells(table, model, value, step), raw=True) for model in models}


def half_points(found: Mapping[str, Finding]) -> list[dict[str, object]]:
    return [{"model": model, **row} for model, one in found.items() for row in one.details["half_points"]]


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def say(found: Mapping[str, Finding]) -> None:
    for model, one in found.items():
        print(f"\n## {model}\n{one.answer}")
        reasons: dict[str, int] = {}
        for row in one.details["half_points"]:
            if row["why_not"]:
                reasons[str(row["why_not"]).split(":")[0]] = reasons.get(str(row["why_not"]).split(":")[0], 0) + 1
        print(f"refused: {reasons or 'none'}")
        (HERE / "figures").mkdir(exist_ok=True)
        for figure in when_picture.figures(one):
            figure.chart.save(str(HERE / "figures" / f"when-{model}.png"), scale_factor=1.0)


def pooled(found: Mapping[str, Finding]) -> str:
    """Mean over sizes of the rank correlation of half point with depth; one run a size."""
    rho = [one.headline.value for one in found.values() if one.headline.of == "layers" and one.headline.p is not None]
    if len(rho) < 3:
        return f"{len(rho)} of {len(found)} sizes have a rank correlation: no test over sizes"
    mean, low, high = mean_interval(np.asarray(rho))
    signs = sign_flip_p(np.asarray(rho))
    each = ", ".join(f"{value:+.2f}" for value in rho)
    return f"rho {mean:+.2f} [{low:+.2f}, {high:+.2f}], {len(rho)} sizes ({each}), sign flips p = {signs:.3f}"


def main() -> None:
    published = load_published("shen2026")
    try:
        tables = {name: published.read(name) for name in ("pythia_layers", "mixnet_layers")}
    except DatasetNotFoundError as error:
        print(f"skipped: {error}")
        return
    pythia = found_of(tables["pythia_layers"], "alignment_max_region", "step")
    mixnet = found_of(tables["mixnet_layers"], "alignment", "epoch")
    for name, found in (("pythia", pythia), ("mixnet", mixnet)):
        say(found)
        write(f"when_{name}.csv", half_points(found))
    print(f"\n## Half points over depth, all Pythia sizes\n{pooled(pythia)}")


if __name__ == "__main__":
    main()
