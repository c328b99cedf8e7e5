"""Study: the runs of one benchmark, the curves that are shown of them, and the answer that they give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ontogeny.errors import RecordError, nearest
from ontogeny.findings.data.cells import is_biased
from ontogeny.lag import Leads, run_leads
from ontogeny.lag.levels import level_of
from ontogeny.lag.results import TrendLead, Untestable
from ontogeny.lag.verdict import Verdict
from ontogeny.lag.verdict_pooled import verdict_of_regions
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.regions import Region, curves_of, regions_of, run_of
from ontogeny.report.run_data import RunFacts

__all__ = ["Primary", "Study", "primary_of", "studies"]


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
    def claims(self) -> bool:
        """Whether there is a lead to speak of: not after "not yet" or "nothing to time"."""
        return self.verdict is not None and self.verdict.outcome not in ("not yet", "nothing to time")

    def answered(self, told: Verdict | None) -> Study:
        """The same with another wording of its answer."""
        return replace(self, verdict=told)

    @property
    def title(self) -> str:
        """Its runs by their names."""
        names = [facts.name for facts in self.runs]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def studies(runs: Sequence[RunFacts], primary: Primary | None, path: str, *, detailed: bool = True) -> list[Study]:
    """One study per benchmark, in the order of the records.

    Args:
        runs: of the page.
        primary: declared curve.
        path: of the record, or of their folder.
        detailed: the key curve's lead test in detail, too.

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
    return [
        _study(name, group, primary, path if len(group) > 1 else str(group[0].record.folder), detailed=detailed)
        for name, group in groups.items()
    ]


def _study(benchmark: str, runs: Sequence[RunFacts], primary: Primary | None, path: str, *, detailed: bool) -> Study:
    own = [p for facts in runs for p in facts.panels if p.benchmark == benchmark and p.layers]
    stated = (facts.record.header["benchmarks"].get(benchmark, {}).get("primary", "") for facts in runs)
    primary = primary or primary_of(next(filter(None, stated), ""))
    declared = primary if primary is not None and any(p.roi == primary.roi for p in own) else None
    metric, pooling = _view(own, declared)
    rois = list(dict.fromkeys(p.roi for p in own if (p.metric, p.pooling) == (metric, pooling)))
    task = _task(runs)
    columns = {"benchmark": benchmark, "metric": metric, "pooling": pooling}
    found = {
        roi: curves_of(runs, {**columns, "roi": roi}, declared.layer if declared and declared.roi == roi else "")
        for roi in rois
    }
    levels = {roi: level_of([(one.panel, one.layer) for one in curves]) for roi, curves in found.items() if curves}
    regions, notes = regions_of(found, levels, task, path)
    by_name = {region.roi: region for region in regions}
    key = by_name[declared.roi] if declared else max(regions, key=_height)
    chosen = key.own if declared or len(regions) == 1 else _over_regions(regions, task, path)
    if isinstance(key.trend, TrendLead | Untestable) and task and len(key.curves) == 1 and detailed:
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


def _over_regions(regions: Sequence[Region], task: str, path: str) -> Verdict:
    return verdict_of_regions(
        [r.own for r in regions], [r.p for r in regions], [r.level for r in regions], task=task, path=path
    )
