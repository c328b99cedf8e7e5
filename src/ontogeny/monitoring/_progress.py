"""One plain line about a probe, for someone who watches the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ontogeny.brain.noise_ceiling import share_of_ceiling
from ontogeny.record import Row, Score

__all__ = ["progress_line"]

_ROIS = 4


def progress_line(rows: Sequence[Row]) -> str:
    """Best layer of every ROI by the benchmark's first metric, its share of the ceiling, and the task: of one probe.

    "step 464: human IT 0.176 in net.head (47 % of the ceiling; rsa-correlation-spearman), loss 1.46; too early to say
    which leads". A run never says which leads while it trains: `ontogeny lag` does, with its reasons.

    Args:
        rows: of one probe.
    """
    step = rows[0].step if rows else 0
    scores = [row for row in rows if isinstance(row, Score)]
    curves: dict[tuple[str, str], dict[tuple[str, str], list[Score]]] = {}
    first: dict[tuple[str, str], str] = {}
    for score in scores:
        roi = (score.benchmark, score.roi)
        if score.kind != "alignment" or score.value is None:
            continue
        if first.setdefault(roi, score.metric) == score.metric:
            curves.setdefault(roi, {}).setdefault((score.layer, score.pooling), []).append(score)
    parts = [_best(roi, sites) for (_, roi), sites in list(curves.items())[:_ROIS]]
    if len(curves) > _ROIS:
        parts.append(f"and {len(curves) - _ROIS} more ROIs")
    parts += [f"{s.metric} {s.value:.3g}" for s in scores if s.kind == "task" and s.value is not None]
    return f"step {step}: {', '.join(parts) or 'nothing could be scored'}; too early to say which leads"


def _best(roi: str, sites: dict[tuple[str, str], list[Score]]) -> str:
    means = {site: float(np.mean([s.value for s in own if s.value is not None])) for site, own in sites.items()}
    site = max(means, key=lambda at: means[at])
    ceilings = [s.ceiling for s in sites[site] if s.ceiling is not None]
    share = share_of_ceiling(means[site], float(np.mean(ceilings)) if ceilings else None)
    of_it = "" if share is None else f"{share:.0%} of the ceiling; "
    return f"{roi} {means[site]:.3f} in {' '.join(part for part in site if part)} ({of_it}{sites[site][0].metric})"
