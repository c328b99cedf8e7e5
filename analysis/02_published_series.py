"""What do the published series of arXiv:2507.01966 allow to be said about which moves first?

    python analysis/02_published_series.py                       4 minutes
    python analysis/02_published_series.py --replicates 10       a quick look

Reads the tables of `ontogeny.load_published("shen2026")`; writes published_correlations.csv, published_half_times.csv,
published_six_sizes.csv in tables/, figures/published-half-times.png and published_series.md, which says what holds,
what does not, and what the tables cannot tell.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from published_six_sizes import (
    NAMES,
    SIZES,
    TASKS,
    Series,
    Table,
    draw,
    error_rates,
    five_sentences,
    joint_lines,
    series,
    signed,
    task_series,
    together_p,
)
from scipy import stats

from ontogeny import load_published
from ontogeny.lag import RiseTime, Untestable, leads, rise_time

HERE = Path(__file__).parent


def together(a: Series, b: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both on the steps that both have."""
    steps, at_a, at_b = np.intersect1d(a[0], b[0], return_indices=True)
    return steps, a[1][at_a], b[1][at_b]


def correlations(tables: Mapping[str, Table]) -> list[dict[str, object]]:
    """Pearson r of every size and task over common steps, as printed above the original's panels."""
    rows = []
    for task in TASKS:
        for size in SIZES:
            alignment = series(tables["pythia_alignment"], "alignment", model=size)
            accuracy = series(tables["pythia_benchmarks"], "value", model=size, task=task, metric="acc")
            steps, a, p = together(alignment, accuracy)
            r, chance = stats.pearsonr(a, p)
            rows.append({"task": task, "model": size, "r": r, "p": chance, "n": len(steps), "last": int(steps[-1])})
    return rows


def half_times(tables: Mapping[str, Table]) -> list[dict[str, object]]:
    """log10 half-gain step of alignment (18 steps) and of each task (27 steps), each on its own grid."""
    rows = []
    for size in SIZES:
        own = series(tables["pythia_alignment"], "alignment", model=size)
        alignment = rise_time(*own, name="alignment")
        for name in NAMES:
            steps, values = task_series(tables, size, name)
            task, metric = name.split(" ", 1)
            found = lead(alignment, rise_time(steps, values, name=name), (own[0], steps))
            rows.append({"model": size, "task": task, "metric": metric, **found})
    return rows


def lead(
    alignment: RiseTime | Untestable, task: RiseTime | Untestable, grids: tuple[np.ndarray, np.ndarray]
) -> dict[str, object]:
    """Difference of two half times, its interval, and what the checkpoints round both leave open; or why none."""
    for found in (alignment, task):
        if isinstance(found, Untestable):
            return dict.fromkeys(("log10", "low", "high", "least", "most", "quarter"), float("nan")) | {
                "why": found.reason
            }
    error = np.hypot(*((t.ci_log10[1] - t.ci_log10[0]) / 2 for t in (alignment, task)))
    value = task.log10 - alignment.log10
    (a_before, a_after), (p_before, p_after) = (
        np.log10(grid[[(at := int(np.searchsorted(grid, found.step))) - 1, at]] + 1.0)
        for grid, found in zip(grids, (alignment, task), strict=True)
    )
    quarter = np.log10((task.t25 + 1) / (alignment.t25 + 1))
    return {
        "log10": value,
        "low": value - error,
        "high": value + error,
        "least": p_before - a_after,
        "most": p_after - a_before,
        "quarter": quarter,
        "why": "",
    }


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def correlation_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    out = [
        f"## 1. Pearson r over the {rows[0]['n']} common steps, 0 to {rows[0]['last']} (0.7 % of training)",
        "",
        "| task | " + " | ".join(SIZES) + " |",
        "|" + "---|" * (len(SIZES) + 1),
    ]
    out += [f"| {t} | " + " | ".join(f"{r['r']:.2f}" for r in rows if r["task"] == t) + " |" for t in TASKS]
    return [*out, "", "Eleven points of two curves that both change in training correlate, whichever moves first.", ""]


def battery_lines(tables: Mapping[str, Table]) -> list[str]:
    """Every pair through `leads`; pairs with the same answer are one line."""
    said: dict[str, list[str]] = {}
    for size in SIZES:
        alignment = series(tables["pythia_alignment"], "alignment", model=size)
        for task in TASKS:
            accuracy = series(tables["pythia_benchmarks"], "value", model=size, task=task, metric="acc")
            found = leads(*together(alignment, accuracy), thresholded=True)
            said.setdefault(found.trend.verdict, []).append(f"{size} {task}")
    for size in ("mixnet_s", "mixnet_m", "mixnet_l", "mixnet_xl"):
        alignment = series(tables["mixnet_alignment"], "plotted", model=size)
        for ema in (True, False):
            accuracy = series(tables["mixnet_performance"], "top1", model=size, use_ema=ema)
            found = leads(*together(alignment, accuracy), thresholded=True)
            said.setdefault(found.trend.verdict, []).append(f"{size} {'EMA' if ema else 'raw'} top-1")
    out = ["## 2. The battery on common checkpoints", ""]
    out += [f"- {len(pairs)} pairs ({pairs[0]} ... {pairs[-1]}): {verdict}" for verdict, pairs in said.items()]
    return [*out, ""]


def half_time_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    kinds = list(dict.fromkeys((r["task"], r["metric"]) for r in rows))
    out = [
        "## 3. Half-gain steps, each curve on its own grid",
        "",
        "log10 lead of alignment over the task; +: alignment is half-way first. Alignment has 18 steps, tasks 27.",
        "",
        "| task | " + " | ".join(SIZES) + " | mean over sizes, 95 % t interval | p (sign flips) |",
        "|" + "---|" * 9,
    ]
    for task, metric in kinds:
        own = [r for r in rows if (r["task"], r["metric"]) == (task, metric)]
        known = np.asarray([float(str(r["log10"])) for r in own])
        cells = [f"{r['log10']:+.2f} [{r['low']:+.2f}, {r['high']:+.2f}]" if not r["why"] else "refused" for r in own]
        out.append(f"| {task} {metric} | " + " | ".join(cells) + f" | {pooled(known[np.isfinite(known)])} |")
    refused = [r for r in rows if r["why"]]
    out += ["", f"{len(refused)} of {len(rows)} refused:", ""]
    return [*out, *(f"- {r['model']}, {r['task']} {r['metric']}: {r['why']}" for r in refused), ""]


PLOTTED = [
    "## What was plotted in the original",
    "",
    "- Pythia: twice the score (best region, mean over layers and subjects), log axis of tokens, accuracy on a "
    "second axis; the printed r is Pearson's over the common steps. r does not depend on the doubling.",
    "- MixNet: the score plus four times the mean of all raw scores of the epoch, the same for all four sizes. Any "
    "curve shape that the sizes share may come from that term.",
    "",
]


def pooled(values: np.ndarray) -> str:
    if len(values) < 3:
        return f"{len(values)} sizes: no test | -"
    p = stats.permutation_test((values,), np.mean, permutation_type="samples", alternative="two-sided").pvalue
    return f"{signed(values)}, {len(values)} sizes | {p:.3f}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=100, help="simulated sets of six sizes per series and lead")
    count = parser.parse_args(argv).replicates
    published = load_published("shen2026")
    rows = correlations(published.tables)
    write("published_correlations.csv", rows)
    times = half_times(published.tables)
    write("published_half_times.csv", times)
    errors = error_rates(published.tables, count)
    write("published_six_sizes.csv", errors)
    draw(times, HERE / "figures" / "published-half-times.png")
    p = together_p(times)
    lines = [
        "# What the published series allow to be said",
        "",
        f"Made by `python analysis/02_published_series.py` ({count} simulated sets of six sizes per number).",
        "",
        published.citation,
        "",
        *five_sentences(times, p, errors),
        *correlation_lines(rows),
        *battery_lines(published.tables),
        *half_time_lines(times),
        *joint_lines(times, p, errors),
        *PLOTTED,
        "## Caveats of the tables",
        "",
        *(f"- {line}" for line in published.caveats),
    ]
    text = "\n".join(lines) + "\n"
    (HERE / "published_series.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
