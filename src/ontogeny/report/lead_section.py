"""Which moves first: leads of the curves of records, chosen without looking at timing, laid out for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ontogeny.errors import LagError
from ontogeny.lag import Leads, Run, leads_map, leads_over_runs, run_from_record, run_leads
from ontogeny.lag.lead_text import lead_row, short
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.figures import Figure, file_stem
from ontogeny.report.lead_figures import map_figure, pair_figures, runs_figure
from ontogeny.report.run_data import RunFacts

__all__ = [
    "PairFound",
    "lead_figures",
    "lead_table",
    "lead_warnings",
    "pooled_leads",
    "record_leads",
]

_MOST_PAIRS = 40
_MOST_CELLS = 400
_MOST_PICTURES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFound:
    """One curve of a record against one task, and what was found."""

    panel: CurveGroup
    task: str
    run: Run
    leads: Leads


def record_leads(facts: RunFacts) -> list[PairFound]:
    """Leads of each panel's declared layer over each task.

    The layer is the one with the highest alignment at the last step, which carries no timing. At most 40 pairs.
    """
    tasks = list(dict.fromkeys(score.metric for score in facts.task))
    out = []
    for panel in [p for p in facts.panels if p.rows][: _MOST_PAIRS // max(1, len(tasks))]:
        at = panel.at(panel.steps[-1])
        layer = max(at, key=lambda name: at[name])
        for task in tasks:
            run = run_from_record(
                facts.record,
                task=task,
                benchmark=panel.benchmark,
                metric=panel.metric,
                roi=panel.roi,
                pooling=panel.pooling,
                layer=layer,
            )
            out.append(PairFound(panel=panel, task=task, run=run, leads=run_leads(run)))
    return out


def lead_table(found: Sequence[PairFound]) -> list[dict[str, str]]:
    """One row per pair, for the page."""
    return [{"curve": pair.run.name, **lead_row(pair.leads)} for pair in found]


def lead_warnings(found: Sequence[PairFound]) -> list[str]:
    """What to know beside the table, each sentence once, with the curves it is about."""
    about: dict[str, list[str]] = {}
    for pair in found:
        for text in pair.leads.warnings:
            about.setdefault(text, []).append(pair.run.name)
    return [_about(text, names) for text, names in about.items()]


def _about(text: str, names: Sequence[str]) -> str:
    more = f", and {len(names) - 1} more" if names[1:] else ""
    return f"{text} ({names[0]}{more})"


def lead_figures(facts: RunFacts, found: Sequence[PairFound]) -> list[Figure]:
    """The first pair of each benchmark and metric, and a map of ROI and layer where there are several."""
    first: dict[tuple[str, str], PairFound] = {}
    for pair in found:
        first.setdefault((pair.panel.benchmark, pair.panel.metric), pair)
    out = []
    for (benchmark, metric), pair in first.items():
        stem = file_stem(facts.record.run, benchmark, metric, "lead")
        out += [*pair_figures(pair.run, pair.leads, name=stem), *_map(facts, pair, f"{stem}-map")]
    return out


def _map(facts: RunFacts, pair: PairFound, name: str) -> list[Figure]:
    """ROI x layer of a pair's benchmark, metric and pooling; none where it holds one cell, too many, or no trend."""
    panel = pair.panel
    alike = [
        p for p in facts.panels if (p.benchmark, p.metric, p.pooling) == (panel.benchmark, panel.metric, panel.pooling)
    ]
    layers = list(dict.fromkeys(layer for p in alike for layer in p.layers))
    if not 1 < len(alike) * len(layers) <= _MOST_CELLS:
        return []
    try:
        found = leads_map(
            facts.record,
            task=pair.task,
            layers=layers,
            benchmark=panel.benchmark,
            metric=panel.metric,
            pooling=panel.pooling,
        )
    except LagError:
        return []
    if all(cell.trend_p is None for cell in found.cells):
        return []
    return [map_figure(found, f"{facts.record.run}: {panel.metric}", name=name)]


def pooled_leads(runs: Sequence[RunFacts]) -> tuple[list[dict[str, str]], list[Figure]]:
    """Several records of one benchmark, pooled: a row for each curve and task, and a picture of every run's lead.

    The layer is the one with the highest alignment at the last step, on average over runs. Nothing with fewer than 3.
    """
    if len(runs) < 3 or any(not facts.panels for facts in runs):
        return [], []
    rows, figures = [], []
    tasks = [t for t in dict.fromkeys(s.metric for s in runs[0].task) if all(_has_task(facts, t) for facts in runs)]
    for panel in runs[0].panels[: _MOST_PAIRS // max(1, len(tasks))]:
        own = [_same(facts, panel) for facts in runs]
        last = [p.at(p.steps[-1]) for p in own if p is not None and p.rows]
        shared = [layer for layer in panel.layers if all(layer in at for at in last)]
        if len(last) < len(runs) or not shared:
            continue
        layer = max(shared, key=lambda name: sum(at[name] for at in last))
        for task in tasks:
            where: dict[str, Any] = {
                "benchmark": panel.benchmark,
                "metric": panel.metric,
                "roi": panel.roi,
                "pooling": panel.pooling,
            }
            found = leads_over_runs(
                [
                    run_from_record(f.record, task=task, name=f"{i + 1} {f.record.run}", layer=layer, **where)
                    for i, f in enumerate(runs)
                ]
            )
            title = f"{panel.metric}, {panel.roi}, {layer} against held-out {task}"
            trend, fluctuation = short(found.trend), short(found.fluctuation)
            rows.append({"curve": title, "runs": str(len(runs)), "trend lead": trend, "fluctuation lead": fluctuation})
            name = file_stem("all-runs", panel.benchmark, panel.metric, panel.roi, panel.pooling, task, "lead")
            figures.append(runs_figure(found, title, name=name))
    return rows, figures[:_MOST_PICTURES]


def _has_task(facts: RunFacts, task: str) -> bool:
    return any(score.metric == task for score in facts.task)


def _same(facts: RunFacts, panel: CurveGroup) -> CurveGroup | None:
    """The panel of another record that shows the same."""
    key = (panel.benchmark, panel.metric, panel.roi, panel.pooling)
    return next((p for p in facts.panels if (p.benchmark, p.metric, p.roi, p.pooling) == key), None)
