"""RSA in tiles: ranks by counting, then one pass over the pairs for all layers, targets and permutations.

A dissimilarity d is one of 2^20 levels of s / (1 + |s|), s = (d - median) / spread of a sample of pairs, so that
neither outliers nor a narrow range cost resolution. Values of one level are ties, as in `mid_ranks` on a finer grid:
at a million pairs and more that moves a rank correlation by 1e-8 or less. Distances are taken by their logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ontogeny.brain import Target
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics._pairwise.dissimilarities import Comparison, Distance
from ontogeny.metrics._streamed.tiles import Rows, tiles
from ontogeny.metrics.batching import Outcome
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Value
from ontogeny.metrics.permutations import inverse

__all__ = ["COMPARISONS", "StreamedRSA", "prepare"]

COMPARISONS: tuple[Comparison, ...] = ("spearman", "rho-a", "pearson", "cosine")
_LEVELS = 2**20
_SAMPLE = 1500
Named = tuple[Distance, Comparison]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranks:
    """Ranks less their mean, at unit length or rho-a's, level by level."""

    middle: float
    spread: float
    table: Float[np.ndarray, " levels"]

    def of(self, rows: Rows, tile: tuple[slice, slice]) -> Float[np.ndarray, " pairs"]:
        return np.asarray(self.table[_levels(rows.spread_out(rows.pairs(*tile)), self.middle, self.spread)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """Dissimilarities less their mean ("pearson") or as they are, at unit length; `lean` is chance's factor."""

    mean: float
    norm: float
    lean: float

    def of(self, rows: Rows, tile: tuple[slice, slice]) -> Float[np.ndarray, " pairs"]:
        return (rows.pairs(*tile) - self.mean) / self.norm


def _levels(pairs: Float[np.ndarray, " pairs"], middle: float, spread: float) -> Int[np.ndarray, " pairs"]:
    scaled = (pairs - middle) / spread
    scaled /= 1 + np.abs(scaled)
    scaled += 1
    scaled *= _LEVELS / 2
    scaled += 0.5  # the median, which many pairs of classes may have, lies within a level
    return np.minimum(scaled.astype(np.int32), _LEVELS - 1)


def _summary(rows: Rows, comparison: Comparison) -> _Ranks | _Plain:
    """What a side brings to a comparison, by one pass over its pairs.

    Raises:
        MetricError: all dissimilarities are equal.
    """
    n = len(rows.values)
    some = slice(0, n, -(-n // _SAMPLE))
    sample = rows.tile(some, some)[np.triu_indices(len(rows.values[some]), 1)]
    if comparison in ("pearson", "cosine"):
        return _plain(rows, comparison, float(np.median(sample)))
    sample = rows.spread_out(sample)
    middle, (low, high) = float(np.median(sample)), np.quantile(sample, [0.25, 0.75])
    spread = float(high - low) or float(np.ptp(sample)) or 1.0
    counts = np.zeros(_LEVELS, np.int64)
    for a, b in tiles(n):
        counts += np.bincount(_levels(rows.spread_out(rows.pairs(a, b)), middle, spread), minlength=_LEVELS)
    total = n * (n - 1) / 2
    ranks = np.cumsum(counts) - counts / 2 + 0.5 - (total + 1) / 2
    length = float(np.sqrt((counts * ranks**2).sum()))
    if length == 0:
        raise MetricError("an RDM whose dissimilarities are all equal cannot be compared")
    without_ties = np.sqrt((total**3 - total) / 12)
    return _Ranks(middle=middle, spread=spread, table=ranks / (without_ties if comparison == "rho-a" else length))


def _plain(rows: Rows, comparison: Comparison, middle: float) -> _Plain:
    n, first, second = len(rows.values), 0.0, 0.0
    shift = middle if comparison == "pearson" else 0.0
    for a, b in tiles(n):
        pairs = rows.pairs(a, b) - shift
        first, second = first + float(pairs.sum()), second + float(pairs @ pairs)
    total = n * (n - 1) / 2
    mean = first / total if comparison == "pearson" else 0.0
    square = second - total * mean**2
    if square <= 1e-24 * max(second, 1e-300) or (comparison == "pearson" and square <= 1e-24 * total * middle**2):
        raise MetricError("an RDM whose dissimilarities are all equal cannot be compared")
    lean = first / np.sqrt(total * square) if comparison == "cosine" else 0.0
    return _Plain(mean=mean + shift, norm=float(np.sqrt(square)), lean=float(lean))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedRSA:
    """RSA with the levels of every target; responses stay where they are.

    Args:
        metrics: distance and comparison of each.
        targets: with voxels.
        summaries: of the targets, one list per metric.
        orders: permutations of the stimuli that layers are scored in too.
    """

    metrics: tuple[Named, ...]
    targets: tuple[Target, ...]
    summaries: list[list[_Ranks | _Plain]]
    orders: tuple[np.ndarray, ...]

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome per layer and metric."""
        return [[self._outcome(view, place) for place in range(len(self.metrics))] for view in views]

    def _outcome(self, view: LayerGeometry, place: int) -> Outcome:
        distance, comparison = self.metrics[place]
        try:
            rows = Rows.of(view.x.numpy(), distance)
            left = _summary(rows, comparison)
        except (FeatureError, MetricError) as error:
            return error
        every = [rows, *(rows.ordered(inverse(order)) for order in self.orders)]
        found = np.stack(
            [
                self._products(every, left, Rows.of(target.responses, distance), right)
                for target, right in zip(self.targets, self.summaries[place], strict=True)
            ],
            axis=1,
        )
        chance = [_lean(left) * _lean(right) for right in self.summaries[place]] * len(every)
        return [Value(value=v, chance=c) for v, c in zip(found.ravel().tolist(), chance, strict=True)]

    def _products(
        self, every: Sequence[Rows], left: _Ranks | _Plain, rows: Rows, right: _Ranks | _Plain
    ) -> Float[np.ndarray, " orders"]:
        out = np.zeros(len(every))
        for tile in tiles(len(rows.values)):
            other = right.of(rows, tile)
            out += [float(left.of(side, tile) @ other) for side in every]
        return out


def _lean(side: _Ranks | _Plain) -> float:
    return side.lean if isinstance(side, _Plain) else 0.0


def prepare(metrics: Sequence[Named], targets: Sequence[Target], orders: Sequence[np.ndarray]) -> StreamedRSA:
    """Count every target's levels once for each metric."""
    summaries = [
        [_summary(Rows.of(target.responses, distance), comparison) for target in targets]
        for distance, comparison in metrics
    ]
    return StreamedRSA(metrics=tuple(metrics), targets=tuple(targets), summaries=summaries, orders=tuple(orders))
