"""Half points of every ROI and layer, and what they add up to for each ROI and each layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse, stats

from ontogeny.findings.data.cells import Cells
from ontogeny.findings.statistics._score_array import one_kind
from ontogeny.lag import RiseTime, Untestable, rise_times
from ontogeny.record.complete import complete

__all__ = ["SIDES", "Effects", "HalfPoint", "connected", "effects", "half_points"]

SIDES = ("roi", "layer")
_DRAWS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfPoint:
    """When one ROI's alignment with one layer first reaches half of its gain.

    Args:
        roi: which.
        layer: which.
        depth: of the layer, 0 to 1.
        log10: log10(step + 1); NaN where it cannot be said.
        low: of its 95 % interval.
        high: of it.
        step: the step, in optimizer updates.
        why_not: the reason, "" where there is a time.
    """

    roi: str
    layer: str
    depth: float
    log10: float = math.nan
    low: float = math.nan
    high: float = math.nan
    step: float = math.nan
    why_not: str = ""

    @property
    def error(self) -> float:
        """Standard error of log10: a quarter of the interval, nearly."""
        return max((self.high - self.low) / 2 / float(stats.norm.isf(0.025)), 1e-6)


def half_points(cells: Cells, *, raw: bool = False) -> tuple[HalfPoint, ...]:
    """Half point of every ROI and layer (`ontogeny.lag.rise_time`), of the mean over subjects.

    Args:
        cells: of one model, modality, benchmark, pooling and metric, at its steps.
        raw: see `Cells.levels`.

    Raises:
        DataError: several kinds of cells, or chance is not known and `raw` is not said.
    """
    one_kind(cells, "step")
    values, _ = cells.levels(raw=raw)
    curves: dict[tuple[str, str], dict[tuple[str, int], float]] = {}
    depth: dict[str, float] = {}
    names = ("roi", "layer", "subject", "step", "depth")
    for roi, layer, subject, step, place, value in zip(
        *(getattr(cells, name).tolist() for name in names), values.tolist(), strict=True
    ):
        curves.setdefault((roi, layer), {})[subject, step] = value
        depth.setdefault(layer, place)
    steps = sorted({step for curve in curves.values() for _, step in curve})
    called = [" ".join(filter(None, place)) or "alignment" for place in curves]
    found = rise_times(steps, np.stack([_means(curve, steps) for curve in curves.values()]), names=called)
    return tuple(_half_point(roi, layer, depth[layer], rise) for (roi, layer), rise in zip(curves, found, strict=True))


def _means(curve: Mapping[tuple[str, int], float], steps: Sequence[int]) -> Float[np.ndarray, " steps"]:
    """Over complete subjects or steps, see `ontogeny.record.complete`; NaN elsewhere."""
    subjects = list(dict.fromkeys(subject for subject, _ in curve))
    table = np.asarray([[curve.get((subject, step), math.nan) for step in steps] for subject in subjects])
    kept, whole = complete(np.isfinite(table))
    return np.asarray(np.where(whole, table[kept].mean(axis=0), math.nan))


def _half_point(roi: str, layer: str, depth: float, found: RiseTime | Untestable) -> HalfPoint:
    if not isinstance(found, RiseTime):
        return HalfPoint(roi=roi, layer=layer, depth=depth, why_not=found.reason)
    low, high = found.ci_log10
    return HalfPoint(
        roi=roi, layer=layer, depth=depth, log10=found.log10, low=low, high=high, step=found.step, why_not=""
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """Half points of ROIs over the layers, or of layers over the ROIs.

    Args:
        names: of the ROIs or layers.
        log10: adjusted for the other: as if every one had been timed with all.
        error: standard errors of each.
        draws: of them, by their error.
    """

    names: tuple[str, ...]
    log10: Float[np.ndarray, " names"]
    error: Float[np.ndarray, " names"]
    draws: Float[np.ndarray, "draws names"]


def connected(points: Sequence[HalfPoint]) -> list[HalfPoint]:
    """The largest set of half points in which ROIs and layers can be compared: linked by ROIs and layers shared."""
    if not points:
        return []
    names = [(side, getattr(p, side)) for p in points for side in SIDES]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    ends = np.asarray([index[name] for name in names]).reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(len(points)), ends), shape=(len(index), len(index)))
    label = sparse.csgraph.connected_components(graph, directed=False)[1][ends[0]]
    return [p for p, part in zip(points, label, strict=True) if part == np.bincount(label).argmax()]


def effects(points: Sequence[HalfPoint], seed: int) -> dict[str, Effects]:
    """Additive model by weighted least squares; each side's effects are given at the mean over the other side."""
    log10 = np.asarray([p.log10 for p in points])
    error = np.asarray([p.error for p in points])
    names = {side: tuple(dict.fromkeys(getattr(p, side) for p in points)) for side in SIDES}
    design = np.concatenate(
        [np.asarray([[getattr(p, s) == name for name in names[s]] for p in points], dtype=float) for s in SIDES],
        axis=1,
    )
    weight = 1 / np.sqrt(np.square(error) + np.median(error) ** 2)
    solve = np.linalg.pinv(design * weight[:, None]) * weight
    rng = np.random.default_rng(seed)
    drawn = log10 + error * rng.standard_normal((_DRAWS, len(points)))
    out = {}
    cut = len(names["roi"])
    for side, own, other in (("roi", slice(0, cut), slice(cut, None)), ("layer", slice(cut, None), slice(0, cut))):
        rows = solve[own] + solve[other].mean(axis=0)
        spread = np.sqrt(np.square(rows) @ np.square(error))
        out[side] = Effects(names=names[side], log10=rows @ log10, error=spread, draws=drawn @ rows.T)
    return out
