"""The regions of a study: their curves in every run, how high they end, and which is first in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ontogeny.errors import LagError
from ontogeny.lag import Run, RunsLeads, leads_over_runs
from ontogeny.lag.false_discovery import false_discovery_control
from ontogeny.lag.region_leads import region_leads
from ontogeny.lag.results import PooledLead, TrendLead, Untestable
from ontogeny.lag.runs_from_records import run_of_curves
from ontogeny.lag.verdict import Level, Outcome, Verdict, verdict
from ontogeny.lag.verdict_pooled import corrected_outcome, verdict_of_runs
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.record.pooled_runs import over_runs
from ontogeny.report.run_data import RunFacts

__all__ = ["Curve", "Region", "curves_of", "regions_of", "run_of"]

_MOST_POOLED = 60


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
        return np.asarray(self.panel.means.value[self.panel.layers.index(self.layer)])


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
    def drawn(self) -> CurveGroup:
        """What figures of all layers show: means over runs; the first run's where runs are of different models."""
        panels = [curve.panel for curve in self.curves]
        return over_runs(panels, [curve.facts.name for curve in self.curves]) or panels[0]

    @property
    def pooled(self) -> bool:
        """Whether `drawn` is of several runs."""
        return len(self.curves) > 1 and len({curve.panel.layers for curve in self.curves}) == 1

    @property
    def factor(self) -> tuple[float, float, float]:
        """How many times fewer steps alignment needs, with its 95 % interval; NaN where there is no lead."""
        if isinstance(self.trend, Untestable):
            return (math.nan,) * 3
        at, ends = (
            (self.trend.mean, self.trend.ci)
            if isinstance(self.trend, PooledLead)
            else (self.trend.log10, self.trend.ci_log10)
        )
        at, low, high = (float(10 ** np.clip(x, -9, 9)) for x in (at, *ends))
        return at, low, high


def curves_of(runs: Sequence[RunFacts], where: Mapping[str, str], layer: str = "") -> tuple[Curve, ...]:
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
    if layer:
        pass
    elif len(found) > 1 and shared:
        lasts = [panel.at(panel.steps[-1]) for _, panel in found]
        layer = max(shared, key=lambda name: sum(at.get(name, -math.inf) for at in lasts))
    else:
        return tuple(Curve(facts=facts, panel=panel, layer=panel.best_at_last) for facts, panel in found)
    return tuple(Curve(facts=facts, panel=panel, layer=layer) for facts, panel in found if layer in panel.layers)


def run_of(curve: Curve, task: str) -> Run:
    """The curve against the task, on common steps."""
    rows = [s for s in curve.facts.task if s.metric == task]
    return run_of_curves(curve.panel, curve.layer, rows, name=curve.facts.name)


def regions_of(
    found: Mapping[str, tuple[Curve, ...]], levels: Mapping[str, Level], task: str, path: str
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Every region's lead, corrected for their number."""
    several = max(len(found[roi]) for roi in levels) > 1
    if several:
        count = sum(len(found[roi]) for roi in levels)
        chosen = list(levels)[: max(1, _MOST_POOLED // max(len(found[roi]) for roi in levels))]
        notes = (
            ()
            if len(chosen) == len(levels)
            else (
                f"Leads of {len(chosen)} of {len(levels)} regions were pooled ({count} curves are too "
                "many for a page); "
                "`ontogeny lag RUNS --roi NAME` pools the others.",
            )
        )
        pooled = [_pooled(roi, found[roi], levels[roi], task) for roi in chosen]
    else:
        notes, pooled = (), _single(found, levels, task, path)
    p = _corrected([region.trend for region in pooled])
    out = [replace(r, p=q, outcome=corrected_outcome(r.own, q)) for r, q in zip(pooled, p, strict=True)]
    return tuple(out), notes


def _pooled(roi: str, curves: tuple[Curve, ...], level: Level, task: str) -> Region:
    """Runs of one number of parameters are replicates, sizes are groups."""
    sizes = [str(curve.facts.record.header.get("parameters", "")) for curve in curves]
    named = sizes if len(set(sizes)) > 1 else [""] * len(sizes)
    runs = [replace(run_of(c, task), group=group) for c, group in zip(curves, named, strict=True)] if task else []
    leads = leads_over_runs(runs) if runs else None
    trend = Untestable(reason="no task") if leads is None else leads.trend
    own = Verdict(outcome="cannot be told", sentence="") if leads is None else verdict_of_runs(leads, level, task=task)
    return Region(
        roi=roi, curves=curves, level=level, trend=trend, p=math.nan, outcome=own.outcome, own=own, leads=leads
    )


def _single(found: Mapping[str, tuple[Curve, ...]], levels: Mapping[str, Level], task: str, path: str) -> list[Region]:
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
        out.append(
            Region(roi=roi, curves=found[roi], level=level, trend=trend, p=math.nan, outcome=own.outcome, own=own)
        )
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
        p[known] = false_discovery_control(p[known])
    return [float(x) for x in p]
