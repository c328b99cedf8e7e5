"""Neighbour metrics from lists of the k nearest alone: likenesses are made for some stimuli at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._pairwise.local_kernels import Edges, Sums, chance_hsic, hsic
from ontogeny.metrics._pairwise.nearest_neighbors import Likeness, keys_of
from ontogeny.metrics._pairwise.neighbor_measures import Measure, chance_of_cycles
from ontogeny.metrics._streamed.tiles import Rows
from ontogeny.metrics.batching import Outcome
from ontogeny.metrics.layer_geometry import LayerGeometry, z_scored
from ontogeny.metrics.metric import Value
from ontogeny.metrics.permutations import inverse

__all__ = ["StreamedNeighbours", "prepare"]

_ROWS = 64
_LOW = (1 << 20) - 1
Key = tuple[bool, Likeness]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lists:
    """The nearest of every stimulus, nearest first, and how alike they are."""

    near: Int[np.ndarray, "stimuli most"]
    likeness: Float[np.ndarray, "stimuli most"]

    @classmethod
    def of(cls, x: Any, likeness: Likeness, most: int) -> _Lists:
        rows = Rows.of(x, likeness, alike=True)
        unit = 1.0 if likeness == "cosine" else rows.scale**2
        n = len(rows.values)
        near, alike = np.empty((n, most), np.int32), np.empty((n, most))
        for start in range(0, n, _ROWS):
            some = slice(start, min(start + _ROWS, n))
            tile = rows.tile(some, slice(0, n))
            if likeness == "euclidean":
                np.negative(tile, out=tile)
            keys = np.partition(keys_of(tile, np.arange(some.start, some.stop)), most - 1, axis=1)[:, :most]
            keys.sort(axis=1)
            near[some] = keys & _LOW
            alike[some] = np.take_along_axis(tile, near[some].astype(np.int64), axis=1) * unit
        return cls(near=near, likeness=alike)

    def edges(self, k: int) -> Edges:
        """The k nearest as CKNNA keeps them; places are of 64 bits."""
        n = len(self.near)
        place = (np.arange(n)[:, None] * n + self.near[:, :k]).ravel()
        return Edges(place=place, kernel=self.likeness[:, :k].ravel(), back=np.isin(_turned(place, n), place))


def _turned(place: Int[np.ndarray, " edges"], n: int) -> Int[np.ndarray, " edges"]:
    i, j = np.divmod(place, n)
    return np.asarray(j * n + i)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedNeighbours:
    """Neighbour metrics with every target's lists.

    Args:
        metrics: in their order.
        lists: (z-scored, likeness) -> one per target.
        orders: permutations of the stimuli that layers are scored in too.
    """

    metrics: Sequence[Measure]
    lists: dict[Key, list[_Lists]]
    orders: tuple[np.ndarray, ...]

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome per layer and metric."""
        out: list[list[Outcome]] = []
        for view in views:
            left = {key: _Lists.of(_seen(view, key), key[1], _most(self.metrics, key)) for key in self.lists}
            out.append([self._outcome(metric, left[_key(metric)]) for metric in self.metrics])
        return out

    def _outcome(self, metric: Measure, left: _Lists) -> Outcome:
        right = [lists.edges(metric.k) for lists in self.lists[_key(metric)]]
        own = left.edges(metric.k)
        places: list[Int[np.ndarray, " stimuli"] | None] = [None, *map(inverse, self.orders)]
        try:
            found = [_compared(own, edges, metric, places, len(left.near)) for edges in right]
        except MetricError as error:
            return error
        return [Value(value=values[i], chance=chance) for i in range(len(places)) for values, chance in found]


def _compared(
    left: Edges, right: Edges, metric: Measure, places: Sequence[Int[np.ndarray, " stimuli"] | None], n: int
) -> tuple[list[float], float]:
    """Values of one layer and target, the target's stimuli at other places; and chance."""
    k, moved = metric.k, [right.at(place) for place in places]
    if metric.form == "mutual":
        return [float(np.isin(one.place, left.place).sum()) / (n * k) for one in moved], k / (n - 1)
    if metric.form == "cycle":
        chance = chance_of_cycles(np.bincount(left.place % n, minlength=n), k)
        return [_n_back(left, one, n) / n for one in moved], chance
    ours, others = Sums.of(left, n), Sums.of(right, n)
    scale = (ours.own * others.own) ** 0.5 + metric.damping
    return [_local(left, one, n) / scale for one in moved], chance_hsic(ours, others) / scale


def _n_back(left: Edges, right: Edges, n: int) -> int:
    """How many stimuli are among the neighbours by the layer of one of their neighbours by the target."""
    met = np.zeros(n, dtype=bool)
    met[right.place[np.isin(_turned(right.place, n), left.place)] // n] = True
    return int(met.sum())


def _local(left: Edges, right: Edges, n: int) -> float:
    """HSIC over mutual neighbours, as `hsic_over` has it, from both sides' lists."""
    order = np.argsort(left.place)
    places = left.place[order]

    def found(wanted: Int[np.ndarray, " edges"]) -> tuple[Int[np.ndarray, " edges"], Bool[np.ndarray, " edges"]]:
        at = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
        return order[at], places[at] == wanted

    at, shared = found(right.place)
    place, kernel, other = right.place[shared], left.kernel[at[shared]], right.kernel[shared]
    i, j = np.divmod(place, n)
    through = kernel @ np.bincount(i, other, n)[j]
    back = right.back[shared] & found(j * n + i)[1]
    return hsic(float(kernel[back] @ other[back]), float(kernel.sum() * other.sum()), float(through), n)


def _key(metric: Measure) -> Key:
    return metric.standardise, metric.likeness


def _most(metrics: Sequence[Measure], key: Key) -> int:
    return max(metric.k for metric in metrics if _key(metric) == key)


def _seen(view: LayerGeometry, key: Key) -> Float[np.ndarray, "stimuli columns"]:
    if key[0]:
        return np.asarray(view.standardised.x.numpy() * view.standardised.scale)
    return np.asarray(view.x.numpy() * view.scale)


def prepare(metrics: Sequence[Measure], targets: Sequence[Target], orders: Sequence[np.ndarray]) -> StreamedNeighbours:
    """List every target's nearest.

    Raises:
        MetricError: a k that is not 1 to stimuli - 1.
    """
    lists: dict[Key, list[_Lists]] = {}
    for key in dict.fromkeys(map(_key, metrics)):
        lists[key] = [_Lists.of(_responses(target, z=key[0]), key[1], _most(metrics, key)) for target in targets]
    return StreamedNeighbours(metrics=metrics, lists=lists, orders=tuple(orders))


def _responses(target: Target, *, z: bool) -> Any:
    assert target.responses is not None  # noqa: S101 - targets with voxels alone come here
    return z_scored(torch.as_tensor(target.responses).double()).numpy() if z else target.responses
