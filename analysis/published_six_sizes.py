"""Six Pythia sizes together: leads of published alignment over each task, tested over sizes, simulated, in words.

Part of 02_published_series.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from ontogeny.lag import rise_times
from ontogeny.lag.fit._growth_curve import curve, fit_rises, log_steps
from ontogeny.lag.fit.timing import Timing, timing

SIZES = ("pythia-70m", "pythia-160m", "pythia-410m", "pythia-1b", "pythia-1.4b", "pythia-2.8b")
TASKS = ("lambada_openai", "sciq", "piqa", "winogrande", "logiqa", "arc_easy", "arc_challenge")
NAMES = (*(f"{task} acc" for task in TASKS), "lambada_openai log ppl")
RISING = tuple(f"{task} acc" for task in ("lambada_openai", "sciq", "piqa", "arc_easy")) + NAMES[-1:]
PLANTED = (0.0, 0.11, 0.3)
TIE = 1e-9  # one checkpoint between both half points

Series = tuple[np.ndarray, np.ndarray]
Table = Mapping[str, np.ndarray]
Row = Mapping[str, object]


def series(table: Table, value: str, **where: object) -> Series:
    """Steps and values of the rows that match, by step."""
    rows = np.all([table[name] == want for name, want in where.items()], axis=0)
    step = "step" if "step" in table else "epoch"
    order = np.argsort(table[step][rows])
    return table[step][rows][order], table[value][rows][order]


def task_series(tables: Mapping[str, Table], size: str, name: str) -> Series:
    """A task's curve, higher is better: accuracy, or less the log perplexity."""
    task, metric = name.split(" ", 1)
    steps, values = series(tables["pythia_benchmarks"], "value", model=size, task=task, metric=metric.split()[-1])
    return steps, (-np.log(values) if metric == "log ppl" else values)


def by_size(rows: Sequence[Row], name: str, column: str = "log10") -> np.ndarray:
    """One value per size, NaN where refused."""
    return np.asarray([float(str(r[column])) for r in rows if f"{r['task']} {r['metric']}" == name])


def t_of(values: np.ndarray) -> np.ndarray:
    """Mean over its error, of every row; NaN are left out."""
    known = np.isfinite(values).sum(axis=-1)
    error = np.nanstd(values, axis=-1, ddof=1) / np.sqrt(known)
    out: np.ndarray = np.nanmean(values, axis=-1) / np.maximum(error, 1e-12)
    return out


def together_p(rows: Sequence[Row]) -> dict[str, float]:
    """P of each task among all that rise: the largest |t| over tasks, a size's sign flipped for all tasks at once."""
    leads_of = np.stack([by_size(rows, name) for name in RISING])
    signs = np.asarray(list(product((1.0, -1.0), repeat=len(SIZES))))
    largest = np.abs([t_of(leads_of * sign) for sign in signs]).max(axis=1)
    return {name: float((largest >= t - 1e-9).mean()) for name, t in zip(RISING, np.abs(t_of(leads_of)), strict=True)}


def simulated(timed: Timing, by: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and replicates of a fitted curve, `by` log10 steps later, with AR(1) noise like its residuals."""
    rise, phi = timed.best.rise, timed.best.phi
    theta = rise.theta.copy()
    theta[[2, 6] if len(theta) > 5 else [2]] += by
    n = len(rise.u)
    white = rng.standard_normal((count, n)) * np.sqrt(rise.rss / (n - len(theta)))
    for i in range(1, n):
        white[:, i] = phi * white[:, i - 1] + np.sqrt(1 - phi**2) * white[:, i]
    return np.rint(10**rise.u - 1), curve(rise.u, theta[None], rise.shape)[0] + white


def simulated_half_points(timed: Timing, by: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Of every replicate; NaN where refused."""
    found = rise_times(*simulated(timed, by, count, rng), names=[""] * count)
    return np.asarray([one.log10 for one in found])


def error_rates(tables: Mapping[str, Table], count: int) -> list[dict[str, object]]:
    """How often six sizes together claim a lead, on these grids and with this noise, for leads that are known."""
    rng, rows = np.random.default_rng(2026), []
    timings: dict[str, list[Timing]] = {name: [] for name in ("alignment", *RISING)}
    for size in SIZES:
        for name, own in timings.items():
            one = series(tables["pythia_alignment"], "alignment", model=size) if name == "alignment" else None
            steps, values = one or task_series(tables, size, name)
            own.append(timing(fit_rises(log_steps(steps), values[None])[0]))
    alignment = np.stack([simulated_half_points(timed, 0.0, count, rng) for timed in timings["alignment"]])
    middle = [timed.best.u[1] for timed in timings["alignment"]]
    for name, true in product(RISING, PLANTED):
        by = [at + true - timed.best.u[1] for at, timed in zip(middle, timings[name], strict=True)]
        task = [simulated_half_points(timed, shift, count, rng) for timed, shift in zip(timings[name], by, strict=True)]
        found = [interval(column[np.isfinite(column)]) for column in (np.stack(task) - alignment).T]
        known = [case for case in found if case is not None]
        earlier, later = (100 * np.mean([sign * case[edge] > 0 for case in known]) for sign, edge in ((1, 1), (-1, 2)))
        covers = 100 * np.mean([case[1] <= true <= case[2] for case in known])
        rows.append(
            {"series": name, "lead": true, "tested": len(known), "earlier": earlier, "later": later, "covers": covers}
        )
    return rows


def interval(values: np.ndarray) -> tuple[float, float, float] | None:
    """Mean over sizes and its 95 % t interval; None with fewer than 3."""
    if len(values) < 3:
        return None
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return float(values.mean()), float(low), float(high)


def joint_lines(times: Sequence[Row], p: Mapping[str, float], errors: Sequence[Row]) -> list[str]:
    out = [
        "## 4. Six sizes together",
        "",
        "Leads in log10 steps. p: of the largest |t| of the five series, signs of sizes flipped for all series at "
        "once; 6 sizes allow no p below .031. Checkpoints: in how many sizes the two checkpoints round each half point "
        "alone tell the order, however the curves run between them. Simulated: the same curves, grids and noise with a "
        "known lead for all sizes; claims by the t interval, in percent.",
        "",
        "| series | at 50 % | p | at 25 % | checkpoints | "
        + " | ".join(f"simulated, lead {true:g}: claimed earlier, later; covers" for true in PLANTED)
        + " |",
        "|" + "---|" * (5 + len(PLANTED)),
    ]
    for name in RISING:
        values, least, most, quarter = (by_size(times, name, c) for c in ("log10", "least", "most", "quarter"))
        known = np.isfinite(values)
        told = int((least[known] > -TIE).sum() + (most[known] < TIE).sum())
        rates = [f"{r['earlier']:.0f}, {r['later']:.0f}; {r['covers']:.0f}" for r in errors if r["series"] == name]
        cells = [signed(values), f"{p[name]:.3f}", signed(quarter), f"{told} of {known.sum()}", *rates]
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*out, ""]


def signed(values: np.ndarray) -> str:
    """Mean over sizes with its interval."""
    found = interval(values[np.isfinite(values)])
    return "-" if found is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*found)


def five_sentences(times: Sequence[Row], p: Mapping[str, float], errors: Sequence[Row]) -> list[str]:
    """What the tables support, for a reader of the paper; the numbers are computed."""
    of = {name: by_size(times, name) for name in RISING}
    means = [10 ** np.nanmean(of[name]) for name in RISING[:-1]]
    earlier = sum(int((of[name] > 0).sum()) for name in RISING[:-1])
    known = sum(int(np.isfinite(of[name]).sum()) for name in RISING[:-1])
    least = sum(int((by_size(times, name, "least") > -TIE).sum()) for name in RISING[:-1])
    log_ppl, threshold = of[RISING[-1]], of[RISING[0]] - of[RISING[-1]]
    told = int((by_size(times, RISING[-1], "least") > -TIE).sum())
    half = signed(log_ppl)
    share = 100 * np.nanmean(threshold) / np.nanmean(of[RISING[0]][np.isfinite(log_ppl)])
    none = [r for r in errors if r["lead"] == 0.0]
    first, later = (max(float(str(r[way])) for r in none) for way in ("earlier", "later"))
    small, large = ([float(str(r["earlier"])) for r in errors if r["lead"] == true] for true in PLANTED[1:])
    return [
        "## In five sentences",
        "",
        "1. No size by itself can be tested, and the printed correlations say nothing of order: alignment and "
        "benchmarks share 11 checkpoints, all in the first 0.7 % of training.",
        "2. Six sizes together, each curve timed on its own checkpoints, support that alignment as plotted is half-way "
        f"before the four accuracies that rise ({earlier} of {known} pairs of size and task, in {least} of them "
        f"whatever the curves do between checkpoints; {min(means):.1f} to {max(means):.1f} times fewer steps, "
        f"p = {max(p[name] for name in RISING[:-1]):.3f} over all five series, the least that six sizes allow).",
        "3. They do not support that alignment is before what the model has learned: over the log-perplexity of the "
        f"same LAMBADA items its lead is {10 ** np.nanmean(log_ppl):.1f} times ({half} log10 steps, p = "
        f"{p[RISING[-1]]:.3f}; the checkpoints tell the order in {told} of {np.isfinite(log_ppl).sum()} sizes), so "
        f"{share:.0f} % of its lead over LAMBADA's accuracy lies between two scores of one task, not between brain and "
        "model.",
        "4. Simulated curves like these on the same checkpoints, in which nothing leads, make six sizes claim that "
        f"alignment is first in {first:.0f} % at most (that the task is, in {later:.0f} %; 2.5 % are meant), and a "
        f"lead of {10 ** PLANTED[1]:.1f} times is found in {min(small):.0f} to {max(small):.0f} %, one of "
        f"{10 ** PLANTED[2]:.0f} times in {min(large):.0f} % or more: the leads over accuracy are no artefact of the "
        "grids, and whether there is one over log-perplexity is open.",
        "5. They cannot say whether it holds for other seeds, stimuli or brains (one run per size, one data order, "
        "four subjects), nor that it is alignment that rises (biased CKA of one template token, whose chance level "
        "grows with the features' dimension and is not in the tables); several seeds per size, read with the loss at "
        "common checkpoints and debiased, could.",
        "",
        "![Lead of alignment over each task, by size and for six sizes together](figures/published-half-times.png)",
        "",
        "Points with their 95 % interval; grey bars: what the two checkpoints round each half point leave open; black: "
        "mean over sizes with its t interval. Left of 0 the task is first.",
        "",
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Leads of every size with their intervals and checkpoints, and of six sizes together."""
    import altair as alt

    order = [*SIZES, "six sizes"]
    scale = alt.Scale(domain=[-0.6, 2.0], nice=False)
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x=alt.X("x:Q", scale=scale))
    panels = []
    for name in RISING:
        own = [r for r in rows if f"{r['task']} {r['metric']}" == name and not r["why"]]
        points = [
            {k: float(str(r[k])) for k in ("log10", "low", "high", "least", "most")} | {"model": r["model"]}
            for r in own
        ]
        whole = interval(by_size(own, name))
        if whole is not None:
            points.append(dict(zip(("log10", "low", "high"), whole, strict=True)) | {"model": "six sizes"})
        base = alt.Chart(alt.Data(values=points)).encode(
            y=alt.Y("model:N", sort=order, scale=alt.Scale(domain=order), title=None),
            color=alt.condition("datum.model == 'six sizes'", alt.value("black"), alt.value("#2471a3")),
        )
        x = alt.X("low:Q", title="lead of alignment, log10 steps", scale=scale)
        between = (
            base.transform_filter("isValid(datum.least)")
            .mark_bar(clip=True, height=9)
            .encode(
                x=alt.X("least:Q", scale=scale, title="lead of alignment, log10 steps"),
                x2="most:Q",
                color=alt.value("#d5d8dc"),
            )
        )
        rule = base.mark_rule(clip=True, strokeWidth=2).encode(x=x, x2="high:Q")
        point = base.mark_point(filled=True, clip=True, size=45, opacity=1).encode(x=alt.X("log10:Q", scale=scale))
        panels.append(alt.layer(between, zero, rule, point).properties(title=name, width=230, height=125))
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + 3]) for i in range(0, len(panels), 3)))
    path.parent.mkdir(exist_ok=True)
    grid.save(str(path), scale_factor=1.0)
