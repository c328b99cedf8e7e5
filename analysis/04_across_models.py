"""Do better models align better? On the 36 language and 594 vision models of arXiv:2507.01966.

    python analysis/04_across_models.py

Reads `ontogeny.load_published("shen2026")`; writes tables/across_language.csv, tables/across_vision.csv,
tables/across_transformations.csv and figures/across-language.png, figures/across-vision.png.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from ontogeny import load_published
from ontogeny.findings import Finding, Models, across_models
from ontogeny.report.findings.across_models_section import figures

HERE = Path(__file__).parent


def transformations(models: Models, modality: str) -> list[dict[str, object]]:
    """R of each benchmark, and of size, with alignment as it stands and with its logarithm."""
    rows = []
    size = models.given["parameters"]
    for name, column in (*models.performance.items(), ("log parameters", np.log10(size)), ("parameters", size)):
        known = np.isfinite(column)
        raw, log = (stats.pearsonr(y[known], column[known])[0] for y in (models.alignment, np.log(models.alignment)))
        rows.append({"modality": modality, "with": name, "n": int(known.sum()), "raw": float(raw), "log": float(log)})
    return rows


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def say(finding: Finding, modality: str) -> None:
    print(f"\n## {modality}\n\n{finding.answer}\n")
    print("| benchmark | given | r | over families | as if independent | q | without one family |")
    print("|---|---|---|---|---|---|---|")
    for row in finding.details["correlations"]:
        if row["kind"] == "pearson":
            ends = f"[{row['low']:.2f}, {row['high']:.2f}] | [{row['fisher_low']:.2f}, {row['fisher_high']:.2f}]"
            q = "" if row["q"] is None else f"{row['q']:.3f}"
            span = ""
            if "least" in row:
                span = f"{row['least']:.2f} ({row['least_without']}) to {row['most']:.2f} ({row['most_without']})"
            print(f"| {row['benchmark']} | {row['given']} | {row['r']:.3f} | {ends} | {q} | {span} |")
    for sentence in (*finding.else_explains, *finding.cannot_tell):
        print(f"- {sentence}")


def main() -> None:
    published = load_published("shen2026")
    changed: list[dict[str, object]] = []
    for modality in ("language", "vision"):
        models = Models.of_published(published, modality)  # type: ignore[arg-type]
        changed += transformations(models, modality)
        finding = across_models(models)
        say(finding, modality)
        write(f"across_{modality}.csv", finding.details["correlations"])
        (HERE / "figures").mkdir(exist_ok=True)
        for figure in figures(finding):
            figure.chart.save(str(HERE / "figures" / f"across-{modality}.png"), scale_factor=1.0)
    write("across_transformations.csv", changed)
    print("\n## Which transformation gives the printed r (.89 of the average, .53 of ImageNet)\n")
    for row in changed:
        print(f"- {row['modality']}, {row['with']}, n = {row['n']}: raw {row['raw']:.3f}, log {row['log']:.3f}")


if __name__ == "__main__":
    main()
