"""What do the published series of arXiv:2507.01966 allow to be said about which moves first?

    python analysis/02_published_series.py

Reads the tables of `ontogeny.load_published("shen2026")`; writes tables/published_correlations.csv,
tables/published_half_times.csv and prints what holds, what does not, and what the tables cannot tell.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from ontogeny import load_published
from ontogeny.lag import Untestable, leads, rise_time

HERE = Path(__file__).parent
SIZES = ("pythia-70m", "pythia-160m", "pythia-410m", "pythia-1b", "pythia-1.4b", "pythia-2.8b")
TASKS = ("lambada_openai", "sciq", "piqa", "winogrande", "logiqa", "arc_easy", "arc_challenge")

Series = tuple[np.ndarray, np.ndarray]
Table = Mapping[str, np.ndarray]


def series(table: Table, value: str, **where: object) -> Series:
    """Steps and values of the rows that match, by step."""
    rows = np.all([table[name] == want for name, want in where.items()], axis=0)
    step = "step" if "step" in table else "epoch"
    order = np.argsort(table[step][rows])
    return table[step][rows][order], table[value][rows][order]


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
        alignment = rise_time(*series(tables["pythia_alignment"], "alignment", model=size), name="alignment")
        for task, metric in [(task, "acc") for task in TASKS] + [("lambada_openai", "log ppl")]:
            steps, values = series(
                tables["pythia_benchmarks"], "value", model=size, task=task, metric=metric.split()[-1]
            )
            if metric == "log ppl":
                values = -np.log(values)
            task_time = rise_time(steps, values, name=f"{task} {metric}")
            rows.append({"model": size, "task": task, "metric": metric, **lead(alignment, task_time)})
    return rows


def lead(alignment: object, task: object) -> dict[str, object]:
    """Difference of two half times, or why there is none."""
    for found in (alignment, task):
        if isinstance(found, Untestable):
            return {"log10": float("nan"), "low": float("nan"), "high": float("nan"), "why": found.reason}
    error = np.hypot(*((t.ci_log10[1] - t.ci_log10[0]) / 2 for t in (alignment, task)))  # type: ignore[attr-defined]
    value = task.log10 - alignment.log10  # type: ignore[attr-defined]
    return {"log10": value, "low": value - error, "high": value + error, "why": ""}


def write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def show_correlations(rows: Sequence[Mapping[str, object]]) -> None:
    print(f"1. Pearson r over the {rows[0]['n']} common steps, 0 to {rows[0]['last']} (0.7 % of training)\n")
    print("| task | " + " | ".join(SIZES) + " |\n|" + "---|" * (len(SIZES) + 1))
    for task in TASKS:
        print(f"| {task} | " + " | ".join(f"{r['r']:.2f}" for r in rows if r["task"] == task) + " |")


def show_battery(tables: Mapping[str, Table]) -> None:
    print("\n2. The battery on common checkpoints\n")
    reasons: dict[str, int] = {}
    for size in SIZES:
        for task in TASKS:
            alignment = series(tables["pythia_alignment"], "alignment", model=size)
            accuracy = series(tables["pythia_benchmarks"], "value", model=size, task=task, metric="acc")
            found = leads(*together(alignment, accuracy), thresholded=True)
            verdict = found.trend.verdict
            reasons[verdict] = reasons.get(verdict, 0) + 1
    for reason, count in reasons.items():
        print(f"- Pythia, {count} of {len(SIZES) * len(TASKS)} pairs: {reason}")
    for size in ("mixnet_s", "mixnet_m", "mixnet_l", "mixnet_xl"):
        alignment = series(tables["mixnet_alignment"], "plotted", model=size)
        for ema in (True, False):
            accuracy = series(tables["mixnet_performance"], "top1", model=size, use_ema=ema)
            found = leads(*together(alignment, accuracy), thresholded=True)
            print(f"- {size}, {'EMA' if ema else 'raw'} weights' accuracy: {found.trend.verdict}")


def show_half_times(rows: Sequence[Mapping[str, object]]) -> None:
    print(
        "\n3. Half-gain steps, each curve on its own grid: log10 lead of alignment (positive: alignment is earlier)\n"
    )
    kinds = list(dict.fromkeys((r["task"], r["metric"]) for r in rows))
    print("| task | " + " | ".join(SIZES) + " | mean over sizes, 95 % t interval | p (sign flips) |\n|" + "---|" * 9)
    for task, metric in kinds:
        own = [r for r in rows if (r["task"], r["metric"]) == (task, metric)]
        known = np.asarray([float(str(r["log10"])) for r in own])
        cells = [f"{r['log10']:+.2f} [{r['low']:+.2f}, {r['high']:+.2f}]" if not r["why"] else "refused" for r in own]
        print(f"| {task} {metric} | " + " | ".join(cells) + f" | {pooled(known[np.isfinite(known)])} |")
    refused = [r for r in rows if r["why"]]
    print(f"\n{len(refused)} of {len(rows)} refused, for instance:")
    for reason in list(dict.fromkeys(f"{r['model']}: {r['why']}" for r in refused))[:4]:
        print(f"- {reason}")


def pooled(values: np.ndarray) -> str:
    if len(values) < 3:
        return f"{len(values)} sizes: no test | -"
    interval = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    p = stats.permutation_test((values,), np.mean, permutation_type="samples", alternative="two-sided").pvalue
    return f"{values.mean():+.2f} [{interval[0]:+.2f}, {interval[1]:+.2f}], {len(values)} sizes | {p:.3f}"


def main() -> None:
    published = load_published("shen2026")
    print(published.citation + "\n")
    rows = correlations(published.tables)
    write("published_correlations.csv", rows)
    show_correlations(rows)
    show_battery(published.tables)
    times = half_times(published.tables)
    write("published_half_times.csv", times)
    show_half_times(times)
    print("\nCaveats of the tables:\n" + "\n".join(f"- {line}" for line in published.caveats))


if __name__ == "__main__":
    main()
