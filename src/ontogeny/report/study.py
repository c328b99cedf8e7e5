"""Study: the runs of one benchmark, the curves that are shown of them, and the answer that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from ontogeny.errors import LagError, RecordError, nearest
from ontogeny.findings.data.cells import is_biased
from ontogeny.lag import Leads, Run, RunsLeads, leads_over_runs, run_leads
from ontogeny.lag.region_leads import region_leads
from ontogeny.lag.results import PooledLead, TrendLead, Untestable
from ontogeny.lag.runs_from_records import run_of_curves
from ontogeny.lag.verdict import (
    Level,
    Outcome,
    Verdict,
    corrected_outcome,
    verdict,
    verdict_of_regions,
    verdict_of_runs,
)
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.run_data import RunFacts

__all__ = ["Curve", "Primary", "Region", "Study", "primary_of", "run_of", "studies"]

_MOST_POOLED = 60
_WINDOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """A declared curve.

    Args:
        roi: its region.
        metric: the first unbiased one where "".
        layer: the one that ends highest where "".
    """

    roi: str
    metric: str = ""
    layer: str = ""


def primary_of(text: str) -> Primary | None:
    """What `--primary ROI:metric:layer` says; metric and layer may be left out. None of ""."""
    roi, _, rest = text.partition(":")
    metric, _, layer = rest.partition(":")
    return Primary(roi=roi, metric=metric, layer=layer) if text else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One region's curve in one run.

    Args:
        facts: of the run.
        panel: the region's curves.
        layer: which of them.
    """

    facts: RunFacts
    panel: CurveGroup
    layer: str

    @property
    def values(self) -> np.ndarray:
        """One mean over subjects per step of the panel."""
        return self.panel.means.value[self.panel.layers.index(self.layer)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """One region of a study: the layer that ends highest, in every run.

    Args:
        roi: which.
        curves: one per run.
        level: how high, on average over runs.
        trend: its lead over the task, pooled where there are several runs.
        p: two-sided, corrected for the number of regions; NaN where there is no lead.
        outcome: its own answer after the correction.
        own: its own answer before it.
        leads: of every run, where they were pooled.
    """

    roi: str
    curves: tuple[Curve, ...]
    level: Level
    trend: TrendLead | PooledLead | Untestable
    p: float
    outcome: Outcome
    own: Verdict
    leads: RunsLeads | None = None

    @property
    def layer(self) -> str:
        """The layer."""
        return self.level.layer

    @property
    def factor(self) -> tuple[float, float, float]:
        """How many times fewer steps alignment needs, with its 95 % interval; NaN where there is no lead."""
        if isinstance(self.trend, Untestable):
            return (math.nan,) * 3
        at, ends = (
            (self.trend.mean, self.trend.ci) if isinstance(self.trend, PooledLead) else (self.trend.log10, self.trend.ci_log10)
        )
        at, low, high = (float(10 ** np.clip(x, -9, 9)) for x in (at, *ends))
        return at, low, high


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """The runs of one benchmark.

    Args:
        benchmark: name.
        metric: that is shown first, with its options.
        pooling: that is shown first.
        runs: of the folder that were scored with it.
        task: what alignment is compared with, "" where there is none.
        regions: of the metric and pooling, in the order of the record.
        key: the region whose curve is drawn large.
        declared: whether it was declared.
        verdict: the answer; None where there is no task or no alignment.
        leads: of the key curve of a single run.
        notes: limits that were applied, sentences.
    """

    benchmark: str
    metric: str
    pooling: str
    runs: tuple[RunFacts, ...]
    task: str
    regions: tuple[Region, ...]
    key: Region
    declared: bool
    verdict: Verdict | None
    leads: Leads | None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its runs by their names."""
        names = [facts.name for facts in self.runs]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def studies(runs: Sequence[RunFacts], primary: Primary | None, path: str) -> list[Study]:
    """One study per benchmark, in the order of the records.

    Raises:
        RecordError: the declared curve is in none of them.
    """
    groups: dict[str, list[RunFacts]] = {}
    for facts in runs:
        for name in dict.fromkeys(p.benchmark for p in facts.panels if p.layers):
            groups.setdefault(name, []).append(facts)
    known = dict.fromkeys(p.roi for facts in runs for p in facts.panels if p.layers)
    if primary is not None and primary.roi not in known:
        raise RecordError(f"--primary {primary.roi}: no such ROI. {nearest(primary.roi, list(known))}")
    return [_study(name, group, primary, path) for name, group in groups.items()]


def _study(benchmark: str, runs: Sequence[RunFacts], primary: Primary | None, path: str) -> Study:
    own = [p for facts in runs for p in facts.panels if p.benchmark == benchmark and p.layers]
    declared = primary if primary is not None and any(p.roi == primary.roi for p in own) else None
    metric, pooling = _view(own, declared)
    rois = list(dict.fromkeys(p.roi for p in own if (p.metric, p.pooling) == (metric, pooling)))
    task = _task(runs)
    columns = {"benchmark": benchmark, "metric": metric, "pooling": pooling}
    found = {roi: _curves(runs, {**columns, "roi": roi}, declared if declared and declared.roi == roi else None) for roi in rois}
    levels = {roi: _level(curves) for roi, curves in found.items() if curves}
    regions, notes = _regions(found, levels, task, path)
    by_name = {region.roi: region for region in regions}
    key = by_name[declared.roi] if declared else max(regions, key=_height)
    chosen = key.own if declared or len(regions) == 1 else _over_regions(regions, task, path)
    if isinstance(key.trend, TrendLead | Untestable) and task and len(key.curves) == 1:
        leads = run_leads(run_of(key.curves[0], task))
    else:
        leads = None
    return Study(
        benchmark=benchmark,
        metric=metric,
        pooling=pooling,
        runs=tuple(runs),
        task=task,
        regions=regions,
        key=key,
        declared=declared is not None,
        verdict=chosen if task else None,
        leads=leads,
        notes=notes,
    )


def _height(region: Region) -> float:
    """Which region is drawn large where none was declared: the one that ends highest of its ceiling."""
    share = region.level.share
    return share if math.isfinite(share) else region.level.value - 1e6


def _view(own: Sequence[CurveGroup], declared: Primary | None) -> tuple[str, str]:
    """Metric and pooling that are shown first: the declared metric, else the first that is unbiased."""
    metrics = list(dict.fromkeys(p.metric for p in own))
    if declared is not None and declared.metric:
        if declared.metric not in metrics:
            raise RecordError(f"--primary: no metric {declared.metric!r}. {nearest(declared.metric, metrics)}")
        metric = declared.metric
    else:
        metric = next((name for name in metrics if not is_biased(name)), metrics[0])
    here = [p for p in own if p.metric == metric]
    if declared is not None and declared.layer:
        layers = list(dict.fromkeys(layer for p in here for layer in p.layers))
        if declared.layer not in layers:
            raise RecordError(f"--primary: no layer {declared.layer!r}. {nearest(declared.layer, layers)}")
        here = [p for p in here if declared.layer in p.layers]
    return metric, here[0].pooling


def _task(runs: Sequence[RunFacts]) -> str:
    """The first that all runs have."""
    shared = [name for name in runs[0].tasks if all(name in facts.tasks for facts in runs)]
    return shared[0] if shared else ""


def _curves(runs: Sequence[RunFacts], where: Mapping[str, str], declared: Primary | None) -> tuple[Curve, ...]:
    """The same curve of every run: of the declared layer, else of the one that ends highest on average over runs."""
    found = [
        (facts, panel)
        for facts in runs
        for panel in facts.panels
        if all(getattr(panel, name) == value for name, value in where.items()) and panel.best_at_last
    ]
    if not found:
        return ()
    shared = [layer for layer in found[0][1].layers if all(layer in panel.layers for _, panel in found)]
    if declared is not None and declared.layer:
        layer = declared.layer
    elif len(found) > 1 and shared:
        lasts = [panel.at(panel.steps[-1]) for _, panel in found]
        layer = max(shared, key=lambda name: sum(at.get(name, -math.inf) for at in lasts))
    else:
        return tuple(Curve(facts=facts, panel=panel, layer=panel.best_at_last) for facts, panel in found)
    return tuple(Curve(facts=facts, panel=panel, layer=layer) for facts, panel in found if layer in panel.layers)


def _level(curves: Sequence[Curve]) -> Level:
    """Of the mean over runs; with one run the spread is over subjects, with several over runs."""
    panel, layer = curves[0].panel, curves[0].layer
    ends = [_last(curve) for curve in curves]
    value = float(np.mean([value for value, _, _ in ends]))
    error = ends[0][1] if len(ends) == 1 else float(stats.sem([value for value, _, _ in ends]))
    return Level(
        roi=panel.roi,
        layer=layer,
        metric=panel.metric,
        unit=panel.unit,
        value=value,
        error=error,
        n_subjects=ends[0][2],
        peak=float(np.mean([_peak(curve.values) for curve in curves])),
        chance=_known(panel.chance),
        baseline=math.nan if panel.baseline is None else panel.baseline[1],
        surface="" if panel.baseline is None else panel.baseline[0],
        ceiling=_known(panel.ceiling),
        ceiling_lower=_known(panel.ceiling_lower),
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _last(curve: Curve) -> tuple[float, float, int]:
    """Value, standard error and subjects at the last step that has a value."""
    i, means = curve.panel.layers.index(curve.layer), curve.panel.means
    at = np.flatnonzero(np.isfinite(means.value[i]))[-1]
    return float(means.value[i, at]), float(means.error[i, at]), int(means.n_subjects[i, at])


def _peak(values: np.ndarray) -> float:
    """The highest mean of three checkpoints in a row."""
    known = values[np.isfinite(values)]
    window = min(_WINDOW, len(known))
    return float(np.convolve(known, np.ones(window) / window, "valid").max())


def run_of(curve: Curve, task: str) -> Run:
    """The curve against the task, on common steps."""
    rows = [s for s in curve.facts.task if s.metric == task]
    return run_of_curves(curve.panel, curve.layer, rows, name=curve.facts.name)


def _regions(
    found: Mapping[str, tuple[Curve, ...]], levels: Mapping[str, Level], task: str, path: str
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Every region's lead, corrected for their number."""
    several = max(len(found[roi]) for roi in levels) > 1
    if several:
        count = sum(len(found[roi]) for roi in levels)
        chosen = list(levels)[: max(1, _MOST_POOLED // max(len(found[roi]) for roi in levels))]
        notes = () if len(chosen) == len(levels) else (
            f"Leads of {len(chosen)} of {len(levels)} regions were pooled ({count} curves are too many for a page); "
            "`ontogeny lag RUNS --roi NAME` pools the others.",
        )
        pooled = [_pooled(roi, found[roi], levels[roi], task) for roi in chosen]
    else:
        notes, pooled = (), _single(found, levels, task, path)
    p = _corrected([region.trend for region in pooled])
    out = [replace(r, p=q, outcome=corrected_outcome(r.own, q)) for r, q in zip(pooled, p, strict=True)]
    return tuple(out), notes


def _pooled(roi: str, curves: tuple[Curve, ...], level: Level, task: str) -> Region:
    leads = leads_over_runs([run_of(curve, task) for curve in curves]) if task else None
    trend = Untestable(reason="no task") if leads is None else leads.trend
    own = Verdict(outcome="cannot be told", sentence="") if leads is None else verdict_of_runs(leads, level, task=task)
    return Region(roi=roi, curves=curves, level=level, trend=trend, p=math.nan, outcome=own.outcome, own=own, leads=leads)


def _single(
    found: Mapping[str, tuple[Curve, ...]], levels: Mapping[str, Level], task: str, path: str
) -> list[Region]:
    runs, rois = [], []
    for roi in levels:
        try:
            runs.append(replace(run_of(found[roi][0], task), name=roi))
            rois.append(roi)
        except LagError:  # no step in common with the task
            pass
    by_name = {one.name: one for one in region_leads(runs)}
    out = []
    for roi, level in levels.items():
        one = by_name.get(roi)
        trend = Untestable(reason="alignment and task share no step") if one is None else one.trend
        own = verdict(trend, level, task=task, n=0 if one is None else one.n, path=path)
        out.append(Region(roi=roi, curves=found[roi], level=level, trend=trend, p=math.nan, outcome=own.outcome, own=own))
    return out


def _corrected(trends: Sequence[Any]) -> list[float]:
    """Two-sided p after Benjamini-Hochberg."""
    p = np.asarray(
        [
            math.nan if isinstance(t, Untestable) else min(1.0, 2 * min(t.p_alignment_leads, t.p_performance_leads))
            for t in trends
        ]
    )
    known = np.isfinite(p)
    if known.any():
        p[known] = stats.false_discovery_control(p[known])
    return [float(x) for x in p]


def _over_regions(regions: Sequence[Region], task: str, path: str) -> Verdict:
    return verdict_of_regions([r.own for r in regions], [r.p for r in regions], [r.level for r in regions], task=task, path=path)
