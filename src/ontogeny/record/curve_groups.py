"""Panels: the curves of a record, averaged over subjects and laid out for drawing. Plain rows, no plot library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ontogeny.record.score import OWN_STIMULI, Score

__all__ = ["CurveGroup", "curve_groups", "curve_names", "mean_of"]

SURPRISAL = "surprisal"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveGroup:
    """All curves of one benchmark, metric, ROI and pooling.

    Args:
        benchmark: name.
        metric: name with its options.
        unit: of all values.
        roi: the region.
        pooling: how layers became one vector a stimulus.
        layers: first to last, in the order in which the model was read.
        rows: one per layer and step: step, layer, value (mean over subjects), low and high (one standard error of that
            mean), n_subjects, n_stimuli.
        references: name -> rows of step and value: controls that move with the model, baselines that do not.
        chance: mean over layers and steps.
        ceiling: mean over subjects, None where not known.
        ceiling_lower: what other subjects reach, None where not known.
        own_stimuli: whether each subject was scored on the stimuli that it saw; `n_stimuli` is the fewest then.
    """

    benchmark: str
    metric: str
    unit: str
    roi: str
    pooling: str
    layers: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    references: Mapping[str, tuple[Mapping[str, Any], ...]]
    chance: float | None
    ceiling: float | None
    ceiling_lower: float | None
    own_stimuli: bool = False

    def at(self, step: int) -> dict[str, float]:
        """Layer -> value at one step."""
        return {row["layer"]: row["value"] for row in self.rows if row["step"] == step}

    @property
    def before_training(self) -> float | None:
        """The highest layer's value at step 0, None where the record does not hold it: the untrained reference."""
        return max(self.at(0).values(), default=None)

    @property
    def steps(self) -> tuple[int, ...]:
        """All steps with a value, rising."""
        return tuple(sorted({row["step"] for row in self.rows}))


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the known values, None where none is known."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return float(np.mean(known)) if known else None


def curve_groups(scores: Sequence[Score]) -> tuple[CurveGroup, ...]:
    """One panel a benchmark, metric, ROI and pooling, in the order of the record."""
    groups: dict[tuple[str, str, str, str], list[Score]] = {}
    stated: dict[tuple[str, str, str], list[Score]] = {}
    for s in scores:
        if s.value is None or not math.isfinite(s.value):
            continue
        if s.kind == "alignment" or (s.kind == "control" and s.pooling != "stimuli"):
            groups.setdefault((s.benchmark, s.metric, s.roi, s.pooling), []).append(s)
        elif s.kind in ("baseline", "control"):
            stated.setdefault((s.benchmark, s.metric, s.roi), []).append(s)
    return tuple(_panel(group, stated.get(key[:3], [])) for key, group in groups.items())


def curve_names(found: Sequence[CurveGroup]) -> list[str]:
    """A short name a panel, the same in every run: "<roi>.<metric>.<pooling>", of several benchmarks theirs first."""
    several = len({panel.benchmark for panel in found}) > 1
    parts = [(p.benchmark if several else "", p.roi, p.metric, p.pooling) for p in found]
    return [".".join(part for part in one if part) for one in parts]


def _panel(group: Sequence[Score], stated: Sequence[Score]) -> CurveGroup:
    first = group[0]
    own = [s for s in group if s.kind == "alignment"]
    layers = tuple(dict.fromkeys(s.layer for s in own if s.layer != SURPRISAL))
    references: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for kind in ("baseline", "control"):
        for layer in dict.fromkeys(s.layer for s in stated if s.kind == kind):
            references[f"{kind}: {layer}"] = _over_subjects([s for s in stated if s.layer == layer])
    moving = [s for s in group if s.kind == "control"]
    for layer in dict.fromkeys(s.layer for s in moving):
        references[f"control: {layer}"] = _over_subjects([s for s in moving if s.layer == layer])
    surprisal = [s for s in own if s.layer == SURPRISAL]
    if surprisal:
        references["token surprisal alone"] = _over_subjects(surprisal)
    return CurveGroup(
        benchmark=first.benchmark,
        metric=first.metric,
        unit=first.unit,
        roi=first.roi,
        pooling=first.pooling,
        layers=layers,
        rows=_over_subjects([s for s in own if s.layer != SURPRISAL]),
        references=references,
        chance=mean_of(s.chance for s in own),
        ceiling=mean_of(s.ceiling for s in own),
        ceiling_lower=mean_of(s.ceiling_lower for s in own),
        own_stimuli=any(s.note.startswith(OWN_STIMULI) for s in own),
    )


def _over_subjects(scores: Sequence[Score]) -> tuple[Mapping[str, Any], ...]:
    """One row per layer and step, by step."""
    at: dict[tuple[str, int], list[Score]] = {}
    for score in scores:
        at.setdefault((score.layer, score.step), []).append(score)
    rows = []
    for (layer, step), group in sorted(at.items(), key=lambda item: item[0][1]):
        values = np.asarray([s.value for s in group], dtype=np.float64)
        error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
        mean = float(values.mean())
        rows.append(
            {
                "layer": layer,
                "step": step,
                "value": mean,
                "low": mean - error,
                "high": mean + error,
                "n_subjects": len(values),
                "n_stimuli": min(s.n_stimuli for s in group),
            }
        )
    return tuple(rows)
