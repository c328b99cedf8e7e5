"""The same answer of several runs, and of all regions where none was declared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ontogeny.lag.across_runs import RunsLeads
from ontogeny.lag.answer import CAUSE, Level, Outcome, Verdict
from ontogeny.lag.results import PooledLead, TrendLead, Untestable
from ontogeny.lag.roi_layer_map import LeadMap
from ontogeny.lag.verdict import (
    claimed,
    nothing_to_time,
    power,
    times,
    undecided,
    untestable,
    verdict,
    with_region,
)

__all__ = ["corrected_outcome", "verdict_of_map", "verdict_of_regions", "verdict_of_runs"]

_ALPHA = 0.05


def verdict_of_runs(found: RunsLeads, level: Level | None, *, task: str) -> Verdict:
    """The answer of the same curve of several runs.

    Args:
        found: their leads.
        level: of the mean over runs; None where the source does not say.
        task: see `verdict`.
    """
    runs = len(found.runs)
    if level is not None and not level.above_surface:
        return nothing_to_time(level, "RUN")
    if isinstance(found.trend, Untestable):
        return _unpooled(found, level, task)
    caveats = ("the run is the unit: further runs of this kind, not further subjects", CAUSE)
    return replace(_pooled(found.trend, level, task, runs), caveats=caveats)


def _pooled(trend: PooledLead, level: Level | None, task: str, runs: int) -> Verdict:
    over = f"over {len(trend.runs)} of {runs} runs" if len(trend.runs) < runs else f"over {runs} runs"
    one = claimed(trend.verdict, power(trend.mean), trend.ci, level, task=task, where=over)
    return one or undecided(*trend.ci, f"alignment{with_region(level)} and {task} {over}")


def _unpooled(found: RunsLeads, level: Level | None, task: str) -> Verdict:
    """Too few runs with a lead: what holds back most of them, or that two are no test."""
    refused = [(run.leads.n, run.leads.trend) for run in found.runs if isinstance(run.leads.trend, Untestable)]
    if len(found.runs) - len(refused) >= len(refused):
        each = Counter(run.leads.trend.verdict for run in found.runs if isinstance(run.leads.trend, TrendLead))
        counts = ", ".join(f"{verdict} in {count}" for verdict, count in each.items())
        text = f"Cannot be told over {len(found.runs)} runs: three with a lead are needed for a test ({counts})."
        return Verdict(outcome="cannot be told", sentence=text, advice="Train more seeds.")
    first = Counter(trend.kind for _, trend in refused).most_common(1)[0][0]
    alike = [(n, trend) for n, trend in refused if trend.kind == first]
    n, longest = max(alike, key=lambda pair: _known(pair[1].until))
    one = untestable(longest, level, task, n)
    return replace(one, caveats=(f"so it is in {len(alike)} of {len(found.runs)} runs",))


def _known(step: float) -> float:
    return 0.0 if math.isnan(step) else step


def verdict_of_map(found: LeadMap) -> Verdict:
    """The answer of every ROI and layer of a map, corrected for their number.

    Args:
        found: the map.
    """
    levels = [cell.level or _unknown(cell.roi, cell.layer) for cell in found.cells]
    pairs = zip(found.cells, levels, strict=True)
    alone = [verdict(cell.trend, level, task=found.task, n=found.n, path=found.path or "RUN") for cell, level in pairs]
    p = [math.nan if cell.trend_p is None else cell.trend_p.bh for cell in found.cells]
    one = verdict_of_regions(alone, p, levels, task=found.task, path=found.path or "RUN", what="curves")
    best = max(levels, key=lambda level: level.value if math.isfinite(level.value) else -math.inf)
    command = f'ontogeny lag {found.path or "RUN"} --roi "{best.roi}" --layer "{best.layer}"'
    return replace(one, advice="To answer for one curve, declare it:", command=command) if len(alone) > 1 else one


def _unknown(roi: str, layer: str) -> Level:
    unknown = math.nan
    return Level(roi=roi, layer=layer, metric="", unit="", n_subjects=0, value=unknown, error=unknown, peak=unknown)


def verdict_of_regions(
    alone: Sequence[Verdict],
    p: Sequence[float],
    levels: Sequence[Level],
    *,
    task: str,
    path: str = "RUN",
    what: str = "regions",
) -> Verdict:
    """The answer where no curve was declared: in how many regions, corrected for looking at all of them.

    Args:
        alone: each region's own answer.
        p: two-sided, corrected for the number of regions; NaN where a region has no lead.
        levels: of the same regions.
        task: see `verdict`.
        path: see `verdict`.
        what: they are, "regions" or "curves" (of regions and layers).
    """
    if len(alone) == 1:
        return alone[0]
    outcomes = [corrected_outcome(own, one) for own, one in zip(alone, p, strict=True)]
    kinds, n = Counter(outcomes), len(alone)
    commonest = alone[outcomes.index(kinds.most_common(1)[0][0])]
    example = max(levels, key=lambda level: level.share if math.isfinite(level.share) else level.value)
    common: dict[str, Any] = {
        "caveats": (f"no curve was declared, so this is corrected for the number of {what}", *commonest.caveats),
        "advice": "To answer for one region, declare it:",
        "command": f'ontogeny report {path} --primary "{example.roi}"',
    }
    yes, no = kinds["yes"], kinds["no"]
    if yes and no:
        text = f"Cannot be told as one: alignment is first in {yes} of {n} {what}, the {task} in {no}."
        return Verdict(outcome="cannot be told", sentence=text, detail=_counted(kinds, n, what), **common)
    if yes or no:
        leading = [own for own, outcome in zip(alone, outcomes, strict=True) if outcome in ("yes", "no")]
        text = _in_regions(leading, n, task, what)
        return Verdict(outcome=leading[0].outcome, sentence=text, detail=_counted(kinds, n, what), **common)
    outcome = kinds.most_common(1)[0][0]
    text = commonest.sentence.partition(": ")[2]
    if outcome == "nothing to time":
        surface = f"{levels[0].surface} alone" if levels[0].surface else "chance"
        risen = "" if not any(level.above_surface for level in levels) else " and rises"
        text = (
            f"none of {n} {what} is above {surface}{risen}."
            if kinds[outcome] == n
            else f"in {kinds[outcome]} of {n} {what}; {text}"
        )
    else:
        text = f"in {kinds[outcome]} of {n} {what}; {text}"
    head = f"{outcome[0].upper()}{outcome[1:]}"
    return Verdict(outcome=outcome, sentence=f"{head}: {text}", detail=_counted(kinds, n, what), **common)


def corrected_outcome(own: Verdict, p: float) -> Outcome:
    """A lead that does not survive the correction is none that can be told."""
    return "cannot be told" if own.outcome in ("yes", "no") and not p < _ALPHA else own.outcome


def _in_regions(leading: Sequence[Verdict], n: int, task: str, what: str) -> str:
    factors = sorted(10 ** abs(math.log10(own.factor)) for own in leading)
    many = " to ".join(dict.fromkeys(map(times, (factors[0], factors[-1]))))
    if leading[0].outcome == "yes":
        return (
            f"Yes, in {len(leading)} of {n} {what}: half-way to the alignment in {many} fewer steps than to the {task}."
        )
    return (
        f"No: in {len(leading)} of {n} {what} the {task} is first, half-way in {many} fewer steps than the alignment."
    )


def _counted(kinds: Counter[Outcome], n: int, what: str) -> str:
    if len(kinds) < 2:
        return ""
    return f"of {n} {what}: {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}"
