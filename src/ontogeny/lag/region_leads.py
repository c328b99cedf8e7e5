"""The trend lead of many curves over one task: one per region of a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.preconditions import Pair, clean, refuse_pair, refuse_trend
from ontogeny.lag.results import TrendLead, Untestable
from ontogeny.lag.runs_from_records import Run

__all__ = ["RegionLead", "region_leads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLead:
    """One region's lead.

    Args:
        name: of the region.
        trend: its lead, or why it has none.
        n: checkpoints.
    """

    name: str
    trend: TrendLead | Untestable
    n: int


def region_leads(runs: Sequence[Run]) -> tuple[RegionLead, ...]:
    """The trend lead of each, which is that of `ontogeny.lag.leads`.

    Args:
        runs: one per region, named after it, all of one training.

    Raises:
        LagError: the arrays of one do not fit together.
    """
    pairs = [clean(r.steps, r.alignment, r.performance, higher_is_better=r.higher_is_better) for r in runs]
    trends: list[TrendLead | Untestable] = [Untestable(reason="")] * len(runs)
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for place, pair in enumerate(pairs):
        refused = refuse_pair(pair)
        if refused is not None:
            trends[place] = refused
        else:
            alike.setdefault((pair.steps.tobytes(), pair.values[1].tobytes()), []).append(place)
    for places in alike.values():
        for place, trend in zip(places, _trends([pairs[i] for i in places]), strict=True):
            trends[place] = trend
    return tuple(
        RegionLead(name=run.name, trend=trend, n=pair.n) for run, trend, pair in zip(runs, trends, pairs, strict=True)
    )


def _trends(pairs: Sequence[Pair]) -> list[TrendLead | Untestable]:
    """Of pairs that share their steps and performance, which is fitted once."""
    values = np.stack([pairs[0].values[1], *(pair.values[0] for pair in pairs)])
    performance, *alignment = decompose(pairs[0].steps, values).timings
    return [refuse_trend(one, performance) or trend_lead(one, performance) for one in alignment]
