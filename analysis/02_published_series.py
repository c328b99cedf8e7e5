"""What do the published series of arXiv:2507.01966 allow to be said about which moves first?

    python analysis/02_published_series.py

Reads the tables of `ontogeny.load_published("shen2026")`; writes tables/published_correlations.csv,
tables/published_half_times.csv, figures/published-half-times.png and published_series.md, which says what holds, what
does not, and what the tables cannot tell.
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


def plain_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """What the tables support, in words; the numbers are computed."""

    def known(metric: str, count: int) -> dict[str, list[float]]:
        by_task: dict[str, list[float]] = {}
        for r in rows:
            if r["metric"] == metric and not r["why"]:
                by_task.setdefault(str(r["task"]), []).append(float(str(r["log10"])))
        return {task: values for task, values in by_task.items() if len(values) >= count}

    accuracies = known("acc", 5)
    means = [float(np.mean(values)) for values in accuracies.values()]
    earlier = sum(v > 0 for values in accuracies.values() for v in values)
    total = sum(len(values) for values in accuracies.values())
    (continuous,) = known("log ppl", 3).values()
    return [
        "## 4. In plain words",
        "",
        "- No test of what moves first can be run on these series as published: alignment and benchmarks share 11 of "
        "18 and 27 Pythia steps, MixNet has 8 epochs.",
        f"- As a description: alignment is half-way before accuracy in {earlier} of {total} pairs of size and task "
        f"({', '.join(accuracies)}), by {10 ** min(means):.1f} to {10 ** max(means):.1f} times fewer steps on average "
        "over sizes. The other tasks do not rise clearly at most sizes.",
        "- Against the continuous task, LAMBADA's log-perplexity, the lead shrinks to "
        f"{10 ** np.mean(continuous):.1f} times ({min(continuous):+.2f} to {max(continuous):+.2f} log10 over "
        f"{len(continuous)} sizes): most of the lead over accuracy is a lead over its threshold.",
        "- Sizes are not seeds: one run a size. Alignment is biased CKA of one template token, whose chance level "
        "moves with the features' dimension; a rise of that chance level would look the same.",
        "",
        "## What was plotted in the original",
        "",
        "- Pythia: twice the score (best region, mean over layers and subjects), log axis of tokens, accuracy on a "
        "second axis; the printed r is Pearson's over the common steps. r does not depend on the doubling.",
        "- MixNet: the score plus four times the mean of all raw scores of the epoch, the same for all four sizes. Any "
        "curve shape that the sizes share may come from that term.",
        "",
    ]


def draw(rows: Sequence[Mapping[str, object]]) -> None:
    """Leads of every size and task with their intervals."""
    import altair as alt

    points = [{**r, "series": f"{r['task']} {r['metric']}"} for r in rows if not r["why"]]
    points = [{k: float(v) if k in ("log10", "low", "high") else str(v) for k, v in p.items()} for p in points]
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("model:N", sort=list(SIZES), title=None), color=alt.Color("model:N", legend=None, sort=list(SIZES))
    )
    scale = alt.Scale(domain=[-0.5, 2.2], nice=False)
    x = alt.X("low:Q", title="lead of alignment, log10 steps", scale=scale)
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x=alt.X("x:Q", scale=scale))
    panels = [
        alt.layer(
            zero,
            base.transform_filter(f"datum.series == '{name}'").mark_rule(clip=True).encode(x=x, x2="high:Q"),
            base.transform_filter(f"datum.series == '{name}'").mark_point(filled=True, clip=True).encode(x="log10:Q"),
        ).properties(title=name, width=230, height=110)
        for name in dict.fromkeys(p["series"] for p in points)
    ]
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + 3]) for i in range(0, len(panels), 3)))
    (HERE / "figures").mkdir(exist_ok=True)
    grid.save(str(HERE / "figures" / "published-half-times.png"), scale_factor=1.0)


def pooled(values: np.ndarray) -> str:
    if len(values) < 3:
        return f"{len(values)} sizes: no test | -"
    interval = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    p = stats.permutation_test((values,), np.mean, permutation_type="samples", alternative="two-sided").pvalue
    return f"{values.mean():+.2f} [{interval[0]:+.2f}, {interval[1]:+.2f}], {len(values)} sizes | {p:.3f}"


def main() -> None:
    published = load_published("shen2026")
    rows = correlations(published.tables)
    write("published_correlations.csv", rows)
    times = half_times(published.tables)
    write("published_half_times.csv", times)
    draw(times)
    lines = [
        "# What the published series allow to be said",
        "",
        "Made by `python analysis/02_published_series.py`.",
        "",
        published.citation,
        "",
        *correlation_lines(rows),
        *battery_lines(published.tables),
        *half_time_lines(times),
        "![Leads of alignment over each task, by size](figures/published-half-times.png)",
        "",
        *plain_lines(times),
        "## Caveats of the tables",
        "",
        *(f"- {line}" for line in published.caveats),
    ]
    text = "\n".join(lines) + "\n"
    (HERE / "published_series.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
