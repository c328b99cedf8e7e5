"""How high curves are: what a lead is read against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ontogeny.lag.answer import Level
from ontogeny.record import Record, Score
from ontogeny.record.curve_groups import CurveGroup, curve_groups

__all__ = ["level_of", "level_over_runs", "levels_of", "record_levels"]

_WINDOW = 3
_PLACE = ("benchmark", "metric", "roi")


def level_of(curves: Sequence[tuple[CurveGroup, str]]) -> Level:
    """Of the mean over runs; with one run the spread is over subjects, with several over runs.

    Args:
        curves: one region's curves and the layer, one per run.
    """
    panel, layer = curves[0]
    ends = [_last(*curve) for curve in curves]
    value = float(np.mean([value for value, _, _ in ends]))
    error = ends[0][1] if len(ends) == 1 else _error_of_mean([value for value, _, _ in ends])
    return Level(
        roi=panel.roi,
        layer=layer,
        metric=panel.metric,
        unit=panel.unit,
        value=value,
        error=error,
        n_subjects=ends[0][2],
        peak=float(np.mean([_peak(group.means.value[group.layers.index(name)]) for group, name in curves])),
        chance=_known(panel.chance),
        baseline=math.nan if panel.baseline is None else panel.baseline[1],
        surface="" if panel.baseline is None else panel.baseline[0],
        ceiling=_known(panel.ceiling),
        ceiling_lower=_known(panel.ceiling_lower),
    )


def level_over_runs(levels: Sequence[Level | None]) -> Level | None:
    """The same of runs whose levels are known already; None where one is not, or they are not of one region.

    Args:
        levels: one per run.
    """
    known = [level for level in levels if level is not None]
    if not known or len(known) < len(levels) or len({(one.roi, one.metric) for one in known}) > 1:
        return None
    first, values = known[0], [level.value for level in known]
    return replace(
        first,
        value=float(np.mean(values)),
        peak=float(np.mean([level.peak for level in known])),
        error=_error_of_mean(values) if len(values) > 1 else first.error,
    )


def record_levels(record: Record, **columns: Any) -> dict[tuple[str, str], Level]:
    """(ROI, layer) -> how high it is, of one metric, benchmark and pooling.

    Args:
        record: of one run.
        **columns: which scores; `roi` and `layer` may be left out.
    """
    return levels_of(record, record.select(kind="alignment", **columns), **columns)


def levels_of(record: Record, own: Sequence[Score], **columns: Any) -> dict[tuple[str, str], Level]:
    """The same of scores that were selected already.

    Args:
        record: which has the surface beside them.
        own: alignment scores.
        **columns: what they were selected by.
    """
    wide = {name: list(dict.fromkeys(getattr(row, name) for row in own)) for name in _PLACE}
    wide |= {"subject": columns["subject"]} if "subject" in columns else {}
    found: dict[tuple[str, str], Level] = {}
    for panel in curve_groups([*own, *record.select(kind="baseline", **wide)] if own else []):
        for layer, values in zip(panel.layers, panel.means.value, strict=True):
            if np.isfinite(values).any():
                found.setdefault((panel.roi, layer), level_of([(panel, layer)]))
    return found


def _error_of_mean(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _last(panel: CurveGroup, layer: str) -> tuple[float, float, int]:
    """Value, standard error and subjects at the last step that has a value."""
    i, means = panel.layers.index(layer), panel.means
    at = np.flatnonzero(np.isfinite(means.value[i]))[-1]
    return float(means.value[i, at]), float(means.error[i, at]), int(means.n_subjects[i, at])


def _peak(values: np.ndarray) -> float:
    """The highest mean of three checkpoints in a row."""
    known = values[np.isfinite(values)]
    window = min(_WINDOW, len(known))
    return float(np.convolve(known, np.ones(window) / window, "valid").max())
