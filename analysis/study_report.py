"""What is written of a study of training: leads by layer over its seeds, one picture, one table, and its records.

tables/vision_study.csv           each curve against each task measure: level, pooled leads, or why not tested
figures/vision-study.png          mean over seeds by layer; below, the trend lead of each layer
records/vision/seed0-raw/...      the records in Parquet, which `ontogeny report` and `ontogeny lag` read as they are
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import false_discovery_control
from tqdm import tqdm
from training_study import is_finished

from ontogeny import Record
from ontogeny.findings.statistics.subject_agreement import mean_interval
from ontogeny.lag import Run, RunsLeads, leads_over_runs, run_from_record
from ontogeny.report.figures import altair, depth_colour, finished, step_axis

MOST_BYTES = 5_000_000
COLUMNS = ("benchmark", "metric", "pooling", "roi", "layer")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one panel of the picture shows: a metric of some weights, all layers."""

    weights: str
    metric: str
    pooling: str = ""

    def has(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the table belongs here."""
        known = row["weights"] == self.weights and row["metric"] == self.metric
        return known and self.pooling in ("", row["pooling"])


def finished_seeds(out: Path, steps: int) -> dict[str, dict[str, Record]]:
    """Weights -> seed -> record, of the seeds that are finished.

    Raises:
        SystemExit: none is.
    """
    found: dict[str, dict[str, Record]] = {}
    for folder in sorted(out.glob("seed*"), key=lambda path: int(path.name.removeprefix("seed"))):
        names = [name for name in ("raw", "ema") if (folder / name / "record.json").is_file()]
        if names and is_finished(folder, names, steps):
            for name in names:
                found.setdefault(name, {})[folder.name] = Record(folder / name)
    if not found:
        raise SystemExit(f"no seed in {out} has reached step {steps}: train first, or give its --steps and --out")
    return found


def curves_of(record: Record) -> list[dict[str, str]]:
    """What makes each alignment curve of a record one, in the record's order."""
    scores = record.select(kind="alignment", step=0)
    keys = dict.fromkeys(tuple(getattr(score, name) for name in COLUMNS) for score in scores)
    return [dict(zip(COLUMNS, key, strict=True)) for key in keys]


def over_seeds(name: str, values: Sequence[float]) -> Row:
    """Mean over seeds with its 95 % t interval."""
    mean, low, high = mean_interval(np.asarray(values)) if len(values) > 1 else (values[0], np.nan, np.nan)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def level(runs: Sequence[Run]) -> Row:
    """The mean curve, the mean of its last three checkpoints (`end`) and that less step 0 (`gain`); the surface."""
    mean = np.mean([run.alignment for run in runs], axis=0)
    top = int(np.nanargmax(mean))
    beside = runs[0].about.level
    return {
        "first": mean[0],
        "highest": mean[top],
        "at_step": int(runs[0].steps[top]),
        "last": mean[-1],
        **over_seeds("end", [float(np.mean(run.alignment[-3:])) for run in runs]),
        **over_seeds("gain", [float(np.mean(run.alignment[-3:]) - run.alignment[0]) for run in runs]),
        "surface": "" if beside is None else beside.baseline,
        "ceiling": "" if beside is None else beside.ceiling,
    }


def lead(found: RunsLeads, name: str) -> Row:
    """A pooled lead as columns; positive: alignment is earlier."""
    pooled = getattr(found, name)
    tested = sum(getattr(run.leads, name).testable for run in found.runs)
    out: Row = {f"{name}_seeds": tested, f"{name}": "", f"{name}_low": "", f"{name}_high": ""}
    out |= {f"{name}_p_alignment": "", f"{name}_p_performance": "", f"{name}_verdict": pooled.verdict}
    if not pooled.testable:
        return {**out, f"{name}_verdict": f"not tested: {pooled.reason}"}
    numbers = (pooled.mean, *pooled.ci, pooled.p_alignment_leads, pooled.p_performance_leads)
    parts = ("", "_low", "_high", "_p_alignment", "_p_performance")
    return out | {f"{name}{part}": number for part, number in zip(parts, numbers, strict=True)}


def table_row(records: Mapping[str, Record], weights: str, where: Mapping[str, str], task: str) -> Row:
    """One curve against one task measure, over all seeds."""
    runs = [run_from_record(record, task=task, name=seed, **where) for seed, record in records.items()]
    found = leads_over_runs(runs)
    answer = {"answer": found.answer.outcome, "sentence": found.answer.sentence}
    about = {"weights": weights, **where, "task": task, "seeds": len(runs), "checkpoints": len(runs[0].steps)}
    return {**about, **level(runs), **lead(found, "trend"), **lead(found, "fluctuation"), **answer}


def table_of(seeds: Mapping[str, Mapping[str, Record]], tasks: Sequence[str]) -> list[Row]:
    """All curves against all task measures; p of the trend lead, two-sided, corrected for the layers (BH)."""
    asked = [
        (records, weights, where, task)
        for weights, records in seeds.items()
        for where in curves_of(next(iter(records.values())))
        for task in tasks
    ]
    rows = [table_row(*one) for one in tqdm(asked, desc="leads", unit="curve", mininterval=5)]
    together: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        row["trend_q_over_layers"] = ""
        if isinstance(row["trend"], float):
            together.setdefault(tuple(row[name] for name in ("weights", "task", *COLUMNS[:-1])), []).append(row)
    for own in together.values():
        p = [min(1.0, 2 * min(row["trend_p_alignment"], row["trend_p_performance"])) for row in own]
        for row, q in zip(own, false_discovery_control(p), strict=True):
            row["trend_q_over_layers"] = float(q)
    return rows


def write_table(rows: Sequence[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})


def curve_points(records: Mapping[str, Record], where: Mapping[str, str]) -> list[Row]:
    """Mean over seeds at each step, with one standard deviation."""
    series = [record.series(**where) for record in records.values()]
    values = np.stack([one.values for one in series])
    mean, spread = values.mean(axis=0), values.std(axis=0)
    return [
        {"layer": where["layer"], "step": int(step), "value": float(m), "low": float(m - s), "high": float(m + s)}
        for step, m, s in zip(series[0].steps, mean, spread, strict=True)
    ]


def curves_chart(points: Sequence[Row], layers: Sequence[str], rows: Sequence[Row], title: str) -> Any:
    """Mean of each layer over training; dashed: the stimuli's own surface."""
    alt = altair()
    x = step_axis(sorted({point["step"] for point in points}))
    base = alt.Chart(alt.Data(values=list(points))).encode(x=x, color=depth_colour(layers))
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title=str(rows[0]["metric"])), y2="high:Q")
    surface = [{"value": row["surface"]} for row in rows[:1] if isinstance(row["surface"], float)]
    rule = alt.Chart(alt.Data(values=[s for s in surface if np.isfinite(s["value"])]))
    dashed = rule.mark_rule(strokeDash=[4, 3], color="#b03a2e").encode(y="value:Q")
    return alt.layer(band, base.mark_line().encode(y="value:Q"), dashed).properties(title=title, width=250, height=150)


def leads_chart(rows: Sequence[Row], layers: Sequence[str]) -> Any:
    """Pooled trend lead of each layer with its 95 % interval; a layer without a dot was not tested."""
    alt = altair()
    points = [
        {"layer": row["layer"], "lead": row["trend"], "low": row["trend_low"], "high": row["trend_high"]}
        for row in rows
        if isinstance(row["trend"], float)
    ]
    reach = 0.2 + max([abs(end) for p in points for end in (p["low"], p["high"]) if np.isfinite(end)], default=0.5)
    scale = alt.Scale(domain=[-min(reach, 3), min(reach, 3)], nice=False)
    y = alt.Y("layer:N", sort=list(layers), title=None, scale=alt.Scale(domain=list(layers)))
    title = f"trend lead over {rows[0]['task']}, log10 steps; right: alignment first"
    base = alt.Chart(alt.Data(values=points)).encode(y=y, color=depth_colour(layers))
    line = base.mark_rule(clip=True).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color="#7f8c8d").encode(x=alt.X("x:Q", scale=scale))
    dots = base.mark_point(filled=True, clip=True).encode(x=alt.X("lead:Q", scale=scale))
    return alt.layer(zero, line, dots).properties(width=250, height=18 * len(layers))


def panel(curve: Curve, seeds: Mapping[str, Mapping[str, Record]], table: Sequence[Row], tasks: Sequence[str]) -> Any:
    """One metric: curves, and below the leads over each task measure; of several regions the first."""
    own = [row for row in table if curve.has(row)]
    own = [row for row in own if (row["benchmark"], row["roi"]) == (own[0]["benchmark"], own[0]["roi"])]
    layers = list(dict.fromkeys(row["layer"] for row in own))
    asked = [row for row in own if row["task"] == tasks[0]]
    points = [
        point for row in asked for point in curve_points(seeds[curve.weights], {name: row[name] for name in COLUMNS})
    ]
    title = " · ".join(part for part in (own[0]["roi"], own[0]["pooling"], curve.weights) if part)
    below = [leads_chart([row for row in own if row["task"] == task], layers) for task in tasks]
    return altair().vconcat(curves_chart(points, layers, asked, title), *below)


def write_figure(panels: Sequence[Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    alt = altair()
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + 2]) for i in range(0, len(panels), 2)))
    finished(grid).save(str(path), scale_factor=1.0)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE)
    small.save(path, optimize=True)


def keep_records(seeds: Mapping[str, Mapping[str, Record]], folder: Path) -> int:
    """Copies of the records in Parquet; how many bytes they take."""
    shutil.rmtree(folder, ignore_errors=True)
    for weights, records in seeds.items():
        for seed, record in records.items():
            copy = folder / f"{seed}-{weights}"
            shutil.copytree(record.folder, copy, ignore=shutil.ignore_patterns(".lock"))
            kept = Record(copy)
            kept.compact()
            kept.close()
            (copy / ".lock").unlink(missing_ok=True)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_results(name: str, options: argparse.Namespace, shown: Sequence[Curve], *, tasks: Sequence[str]) -> None:
    """Table, picture and records of the seeds that are finished.

    Raises:
        SystemExit: no seed is.
    """
    seeds = finished_seeds(options.out, options.steps)
    table = table_of(seeds, tasks)
    write_table(table, options.results / "tables" / f"{name}_study.csv")
    present = [curve for curve in shown if any(curve.has(row) for row in table)]
    panels = [panel(curve, seeds, table, tasks) for curve in present]
    write_figure(panels, options.results / "figures" / f"{name}-study.png")
    size = keep_records(seeds, options.results / "records" / name)
    for row in table:
        print(f"{row['weights']} {row['metric']} {row['pooling']} {row['layer']} over {row['task']}: {row['sentence']}")
    print(f"{len(next(iter(seeds.values())))} seeds, {len(table)} rows, records {size / 1e6:.2f} MB")
    if size > MOST_BYTES:
        print(f"the records are above {MOST_BYTES / 1e6:.0f} MB: too large to be kept in the repository")
