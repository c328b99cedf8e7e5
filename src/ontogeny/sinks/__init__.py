"""Sinks: where the scores of a probe go beside the record.

A sink is anything with `write(step, metrics)`; `metrics` maps short names (`alignment/...`, `task/...`) to numbers.
Trainers' loggers are sinks that their callbacks make; a broken sink warns and never stops training nor another sink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ontogeny.scores import Score

__all__ = ["Sink", "short_names"]


@runtime_checkable
class Sink(Protocol):
    """Where numbers go."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take one probe's numbers; `step` counts optimizer updates."""
        ...


def short_names(scores: Sequence[Score]) -> dict[str, float]:
    """One number a curve, averaged over subjects: "alignment/<roi>.<metric>.<layer>.<pooling>", "task/<metric>"."""
    grouped: dict[str, list[float]] = {}
    for score in scores:
        if score.value is None or score.kind not in ("alignment", "task"):
            continue
        if score.kind == "task":
            name = f"task/{score.metric}"
        else:
            parts = (score.roi, score.metric, score.layer, score.pooling)
            name = "alignment/" + ".".join(part.replace("/", "-") for part in parts if part)
        grouped.setdefault(name, []).append(score.value)
    return {name: float(np.mean(values)) for name, values in grouped.items()}
