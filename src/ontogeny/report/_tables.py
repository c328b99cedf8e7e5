"""What a page tables, and the CSV files that have all of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from ontogeny._csv_files import write_csv
from ontogeny._display import number
from ontogeny.record import Event
from ontogeny.report.level_tests import KINDS, LevelTest
from ontogeny.report.regions import Region
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study

__all__ = [
    "MOST_ROWS",
    "cell",
    "layer_rows",
    "missing_notes",
    "refusal_rows",
    "region_rows",
    "run_rows",
    "write_tables",
]

MOST_ROWS = 600
_CURVES = (
    "run",
    "benchmark",
    "metric",
    "pooling",
    "roi",
    "layer",
    "step",
    "value",
    "SE",
    "n_subjects",
    "n_stimuli",
    "chance",
    "ceiling_lower",
    "ceiling",
    "unit",
)


def cell(value: float | None, digits: int = 3) -> str:
    """A number with a real minus sign; "" where there is none."""
    return "" if value is None or not math.isfinite(value) else number(value, f".{digits}f")


def region_rows(study: Study, tests: Sequence[LevelTest]) -> list[dict[str, str]]:
    """One row a region: how high, what it was tested against, how much earlier."""
    by_curve = {(one.panel.roi, one.layer): one for one in tests}
    return [_region_row(study, region, by_curve.get((region.roi, region.layer))) for region in study.regions]


def _region_row(study: Study, region: Region, test: LevelTest | None) -> dict[str, str]:
    level = region.level
    at, low, high = region.factor
    missing = region.curves[0].panel.missing_of(region.layer) if len(region.curves) == 1 else ()
    row = {
        "region": region.roi,
        "layer": region.layer,
        f"alignment ({level.unit})": f"{cell(level.value)} ± {cell(level.error)}" if level.error else cell(level.value),
        "share of ceiling": "" if math.isnan(level.share) else f"{100 * level.share:.0f} %",
    }
    if test is not None and (len(region.curves) == 1 or region.pooled):
        row |= {f"{'below' if kind == 'ceiling' else 'above'} {kind}": test.in_words(kind) for kind in KINDS}
    row["subjects" if len(region.curves) == 1 else "runs"] = str(
        level.n_subjects if len(region.curves) == 1 else len(region.curves)
    )
    if study.task:
        row["times fewer steps"] = (
            ""
            if math.isnan(at) or region.outcome == "nothing to time"
            else f"{_factor(at)} [{_factor(low)}, {_factor(high)}]"
        )
        row["which is first"] = {"yes": "alignment", "no": study.task}.get(region.outcome, region.outcome)
        row["why"] = "" if region.outcome in ("yes", "no") else region.own.sentence.partition(": ")[2]
    return row | ({"missing": "; ".join(missing)} if missing else {})


def _factor(value: float) -> str:
    """Two decimals; what no training could show is not a number."""
    if not math.isfinite(value):
        return "open"
    return f"{value:.2f}" if 1e-3 < value < 1e3 else "< 1/1000" if value <= 1e-3 else "> 1000"


def layer_rows(study: Study, tests: Sequence[LevelTest]) -> list[dict[str, str]]:
    """One row a region and layer, at the last step; means over runs where there are several of one model."""
    rows = []
    for one in tests:
        panel = one.panel
        error = f" ± {cell(one.error)}" if one.n > 1 else ""
        first = panel.means.value[panel.layers.index(one.layer), 0]
        rows.append(
            {
                "metric": panel.metric,
                "region": panel.roi,
                "pooling": panel.pooling,
                "layer": one.layer,
                f"step {panel.steps[0]:,}": cell(float(first)),
                "last step": cell(one.value) + error,
                "chance": cell(panel.chance),
                "ceiling": " to ".join(x for x in (cell(panel.ceiling_lower), cell(panel.ceiling)) if x),
                **{f"{'below' if kind == 'ceiling' else 'above'} {kind}": one.in_words(kind) for kind in KINDS},
                **{name: cell(float(found.mean[-1])) for name, found in panel.stated.items()},
                "runs" if study.key.pooled else "subjects": str(one.n),
                "stimuli": f"{_stimuli(one)}{' or more, each its own' if panel.own_stimuli else ''}",
            }
        )
    return rows


def _stimuli(one: LevelTest) -> int:
    return int(one.panel.n_stimuli[one.panel.layers.index(one.layer), one.panel.steps.index(one.step)])


def run_rows(study: Study) -> list[dict[str, str]]:
    """One row a run: what it ended with, and which is first in it."""
    rows = []
    answers = {one.name: one.leads.trend for one in study.key.leads.runs} if study.key.leads else {}
    for curve in study.key.curves:
        facts, i = curve.facts, curve.panel.layers.index(curve.layer)
        own = [s for s in facts.task if s.metric == study.task and s.value is not None]
        row = {
            "run": facts.name,
            "probes": str(len(facts.seconds)),
            "last step": f"{facts.steps[-1]:,}",
            f"alignment with {study.key.roi}": cell(float(curve.panel.means.value[i, -1])),
        }
        if own:
            row[f"held-out {study.task}"] = cell(max(own, key=lambda s: s.step).value)
        if facts.name in answers:
            row["which is first"] = answers[facts.name].verdict
        rows.append(row)
    return rows


def refusal_rows(runs: Sequence[RunFacts]) -> list[dict[str, str]]:
    """What could not be measured, and why; the same reason at many steps is one row."""

    def about(pair: tuple[str, Event]) -> tuple[str, ...]:
        run, event = pair
        return run, event.benchmark, event.layer, event.metric, event.note

    pairs = sorted(((facts.name, event) for facts in runs for event in facts.refusals), key=about)
    rows = []
    for (run, benchmark, layer, metric, note), group in groupby(pairs, key=about):
        steps = sorted({event.step for _, event in group})
        span = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]} ({len(steps)} probes)"
        row = {"benchmark": benchmark, "layer": layer, "metric": metric, "step": span, "why": note}
        rows.append({"run": run, **row} if len(runs) > 1 else row)
    return rows


def missing_notes(facts: RunFacts) -> list[str]:
    """What is not there, each once with a count."""
    out = []
    for (benchmark, roi), count in facts.unmeasured.items():
        out.append(
            f"{facts.name}: no value at all in region {roi} of {benchmark} ({count:,} scores were tried); "
            "it is not shown."
        )
    texts: dict[str, list[str]] = {}
    for panel in facts.panels:
        for text in panel.missing:
            texts.setdefault(text, []).append(panel.roi)
    for text, rois in texts.items():
        named = list(dict.fromkeys(rois))
        more = f" and {len(named) - 3} more regions" if len(named) > 3 else ""
        out.append(f"{facts.name}, {', '.join(named[:3])}{more}: {text}.")
    return out


def write_tables(
    studies: Sequence[Study], runs: Sequence[RunFacts], tests: Mapping[int, Sequence[LevelTest]], folder: Path
) -> None:
    """curves.csv: every curve; layers.csv: every layer at the last step with its tests; regions.csv: leads."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(_CURVES)
        writer.writerows(_curve_rows(runs))
    layers = [row for i, s in enumerate(studies) for row in layer_rows(s, tests[i])]
    write_csv([*map(_for_machines, layers)], folder / "layers.csv")
    rows = [{"benchmark": s.benchmark, **row} for i, s in enumerate(studies) for row in region_rows(s, tests[i])]
    write_csv([*map(_for_machines, rows)], folder / "regions.csv")


def _for_machines(row: Mapping[str, str]) -> dict[str, str]:
    """Numbers as programs read them, with a hyphen."""
    return {name: text.replace("−", "-") for name, text in row.items()}


def _curve_rows(runs: Sequence[RunFacts]) -> Iterator[tuple[object, ...]]:
    for facts in runs:
        for panel in facts.panels:
            m, rest = panel.means, (panel.chance, panel.ceiling_lower, panel.ceiling, panel.unit)
            head = (facts.name, panel.benchmark, panel.metric, panel.pooling, panel.roi)
            value, error, n, stimuli = (
                part.tolist() for part in (m.value.round(6), m.error.round(6), m.n_subjects, panel.n_stimuli)
            )
            known = np.isfinite(m.value).tolist()
            for i, layer in enumerate(panel.layers):
                for k, step in enumerate(panel.steps):
                    if known[i][k]:
                        yield (*head, layer, step, value[i][k], error[i][k], n[i][k], stimuli[i][k], *rest)
