"""One plain line about a probe, for someone who watches the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ontogeny.scores import Score

__all__ = ["plain_line"]


def plain_line(scores: Sequence[Score]) -> str:
    """Best layer of every metric and ROI, its share of the ceiling, and the task: of one probe.

    "step 464: human IT rsa-correlation-spearman 0.176 in net.head (47 % of the ceiling), loss 1.46; too early to say
    which leads". A run never says which leads while it trains: `ontogeny lag` does, with its reasons.

    Args:
        scores: rows of one probe.
    """
    step = scores[0].step if scores else 0
    curves: dict[tuple[str, str], dict[str, list[Score]]] = {}
    for score in scores:
        if score.kind == "alignment" and score.value is not None:
            where = f"{score.layer} ({score.pooling})" if score.pooling else score.layer
            curves.setdefault((score.roi, score.metric), {}).setdefault(where, []).append(score)
    parts = [_best(roi, metric, layers) for (roi, metric), layers in curves.items()]
    parts += [f"{s.metric} {s.value:.3g}" for s in scores if s.kind == "task" and s.value is not None]
    return f"step {step}: {', '.join(parts) or 'nothing could be scored'}; too early to say which leads"


def _best(roi: str, metric: str, layers: dict[str, list[Score]]) -> str:
    means = {layer: float(np.mean([s.value for s in own if s.value is not None])) for layer, own in layers.items()}
    layer = max(means, key=lambda name: means[name])
    ceilings = [s.ceiling for s in layers[layer] if s.ceiling]
    share = f" ({means[layer] / float(np.mean(ceilings)):.0%} of the ceiling)" if ceilings else ""
    return f"{roi} {metric} {means[layer]:.3f} in {layer}{share}"
