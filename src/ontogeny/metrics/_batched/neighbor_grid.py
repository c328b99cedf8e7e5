"""Neighbour metrics for a whole grid of k, many targets and several layers.

Each side's neighbours are sorted once for all k. What is kept of a target is a set of bits a stimulus and k (shared by
mutual and cycle kNN) and lists of neighbours for CKNNA. Memory: targets x stimuli^2 / 8 bytes a k, and 13 k bytes a
target and stimulus for CKNNA (630 and 670 MB for the grid of Shen et al. with 720 regions and 1000 stimuli).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt64

from ontogeny._arrays import Square
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._intersubject_ceiling import Bounds, same_roi
from ontogeny.metrics._pairwise.local_kernels import Edges, Sums, chance_hsic, hsic_over
from ontogeny.metrics._pairwise.nearest_neighbors import (
    Likeness,
    Nearest,
    intersection_size,
    likeness_of,
    n_intersecting,
    pack_bits,
    view_of,
)
from ontogeny.metrics._pairwise.neighbor_measures import Measure, cycle_chance
from ontogeny.metrics._streamed import neighbors as streamed
from ontogeny.metrics.batching import MetricBatch, Outcome
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_room, n_stimuli_of, needs_tiles
from ontogeny.metrics.metric import Value
from ontogeny.metrics.permutations import inverse

__all__ = ["PreparedNeighbours", "prepare_neighbours"]

PerTarget = Float[np.ndarray, " targets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """A layer, a target, or a mean over subjects: how alike its stimuli are, and their neighbours."""

    likeness: Square
    nearest: Nearest

    @classmethod
    def of(cls, likeness: Square) -> _Side:
        return cls(likeness=likeness, nearest=Nearest.of(likeness))

    def edges(self, k: int) -> tuple[Edges, Sums]:
        """What CKNNA keeps of a target."""
        edges = Edges.of(self.likeness, self.nearest, k)
        return edges, Sums.of(edges, len(self.likeness))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """All targets' side of one likeness, by k: sets of neighbours as bits; `Edges` and `Sums` of each target."""

    bits: dict[int, UInt64[np.ndarray, "targets stimuli words"]]
    edges: dict[int, np.ndarray]

    @classmethod
    def room(cls, metrics: Sequence[Measure], n_targets: int, n: int) -> _Store:
        words = -(-n // 64)
        sets = {m.k: np.zeros((n_targets, n, words), np.uint64) for m in metrics if m.form != "local"}
        return cls(bits=sets, edges={m.k: np.empty(n_targets, object) for m in metrics if m.form == "local"})

    def add(self, index: int, side: _Side) -> None:
        for k, sets in self.bits.items():
            sets[index] = pack_bits(side.nearest.mask(k))
        for k, lists in self.edges.items():
            lists[index] = side.edges(k)

    def score(
        self,
        side: _Side,
        metric: Measure,
        targets: list[int] | slice,
        damping: float,
        orders: Sequence[np.ndarray] = (),
    ) -> tuple[Float[np.ndarray, " values"], PerTarget]:
        """Values of some targets and then of the same in each order, and chance levels; the side is the features'."""
        k, n = metric.k, len(side.likeness)
        if metric.form == "local":
            return _local(side, k, self.edges[k][targets], damping, orders)
        sets, mask = self.bits[k][targets], side.nearest.mask(k)
        masks = [mask, *(mask[inverse(order)][:, inverse(order)] for order in orders)]
        if metric.form == "mutual":
            found = [intersection_size(pack_bits(one), sets) / (n * k) for one in masks]
            return np.concatenate(found), np.full(len(sets), k / (n - 1))
        found = [n_intersecting(pack_bits(one.T), sets) / n for one in masks]
        return np.concatenate(found), np.full(len(sets), cycle_chance(mask))


def _local(
    side: _Side, k: int, edges: np.ndarray, damping: float, orders: Sequence[np.ndarray]
) -> tuple[Float[np.ndarray, " values"], PerTarget]:
    mask, (_, sums) = side.nearest.mask(k), side.edges(k)
    scale = np.array([(sums.own * target.own) ** 0.5 for _, target in edges]) + damping
    places = [None, *map(inverse, orders)]
    found = np.array([[hsic_over(side.likeness, mask, lists.at(to)) for lists, _ in edges] for to in places])
    return (found / scale).ravel(), np.array([chance_hsic(sums, target) for _, target in edges]) / scale


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedNeighbours:
    """Neighbour metrics with the brain side done; this module's docstring says what is kept.

    Args:
        metrics: in their order.
        stores: (z-scored, likeness) -> the targets' side.
        bounds: ceilings, one list per metric.
        orders: permutations of the stimuli that layers are scored in too.
    """

    metrics: Sequence[Measure]
    stores: dict[tuple[bool, Likeness], _Store]
    bounds: list[list[Bounds]]
    orders: tuple[np.ndarray, ...] = ()

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome a layer and metric."""
        return [self._score(view) for view in views]

    def _score(self, view: LayerGeometry) -> list[Outcome]:
        sides = {
            (z, likeness): _Side.of(likeness_of(view.standardised if z else view, likeness))
            for z, likeness in self.stores
        }
        return [
            self._outcome(metric, sides[_key(metric)], bounds)
            for metric, bounds in zip(self.metrics, self.bounds, strict=True)
        ]

    def _outcome(self, metric: Measure, side: _Side, bounds: Sequence[Bounds]) -> Outcome:
        try:
            store = self.stores[_key(metric)]
            found, chance = store.score(side, metric, slice(None), metric.damping, self.orders)
        except MetricError as error:
            return error
        n = len(self.orders)
        every = [*bounds, *([(None, None)] * (n * len(bounds)))]
        numbers = zip(found.tolist(), np.tile(chance, 1 + n).tolist(), every, strict=True)
        return [Value(value=v, chance=c, ceiling=upper, ceiling_lower=lower) for v, c, (lower, upper) in numbers]


def _key(metric: Measure) -> tuple[bool, Likeness]:
    return metric.standardise, metric.likeness


def prepare_neighbours(
    metrics: Sequence[Measure], targets: Sequence[Target], orders: Sequence[np.ndarray] = ()
) -> MetricBatch:
    """Every target's neighbours once for all k, and ceilings: neighbours in the mean of subjects' likenesses.

    Args:
        metrics: of any form, k and likeness.
        targets: one per subject and ROI.
        orders: permutations of the stimuli that layers are scored in too.

    Raises:
        MetricError: a target without responses, a geometry where voxels are needed, a k that is not 1 to stimuli - 1.
        TooLargeError: no memory for so many likenesses.
    """
    squares = _squares_needed(metrics, targets)
    if needs_tiles(targets, squares, alone=True):
        return streamed.prepare(metrics, targets, orders)
    check_room([metric.name for metric in metrics], targets, squares)
    bounds: list[list[Bounds]] = [[(None, None)] * len(targets) for _ in metrics]
    stores = {}
    for key in dict.fromkeys(map(_key, metrics)):
        here = [(metric, bound) for metric, bound in zip(metrics, bounds, strict=True) if _key(metric) == key]
        stores[key] = _prepare_store(here, targets)
    return PreparedNeighbours(metrics=metrics, stores=stores, bounds=bounds, orders=tuple(orders))


def _squares_needed(metrics: Sequence[Measure], targets: Sequence[Target]) -> float:
    """Stimuli x stimuli matrices at the highest, as measured: all subjects of one region at a time, and the bits."""
    subjects, sets = max(map(len, same_roi(targets)), default=0), len({(_key(m), m.k) for m in metrics})
    return (7 * subjects + 6 if subjects > 1 else 5) + sets * len(targets) / 64


def _prepare_store(metrics: Sequence[tuple[Measure, list[Bounds]]], targets: Sequence[Target]) -> _Store:
    measures = [metric for metric, _ in metrics]
    store = _Store.room(measures, len(targets), n_stimuli_of(targets))
    for group in same_roi(targets):
        sides = [_Side.of(_target_likeness(targets[i], measures)) for i in group]
        for i, side in zip(group, sides, strict=True):
            store.add(i, side)
        if len(group) > 1:
            _bound(store, metrics, group, sides)
    return store


def _bound(
    store: _Store, metrics: Sequence[tuple[Measure, list[Bounds]]], group: list[int], sides: Sequence[_Side]
) -> None:
    """Ceilings of one region: neighbours in the mean likeness of all subjects, and of all others, against each."""
    alike = [side.likeness / (side.likeness.std() or 1.0) for side in sides]
    total = np.sum(alike, axis=0)
    everyone = _Side.of(total / len(group))
    others = [_Side.of((total - one) / (len(group) - 1)) for one in alike]
    for metric, bounds in metrics:
        upper, _ = store.score(everyone, metric, group, 0.0)
        for i, side, high in zip(group, others, upper.tolist(), strict=True):
            low, _ = store.score(side, metric, [i], 0.0)
            bounds[i] = float(low[0]), high


def _target_likeness(target: Target, metrics: Sequence[Measure]) -> Square:
    whose = f"{target.roi!r} of subject {target.subject!r}"
    if target.rdm is None:
        if target.responses is None:
            raise MetricError(f"{type(metrics[0]).__name__}: target {whose} has no responses")
        return likeness_of(view_of(target.responses, z=metrics[0].standardise), metrics[0].likeness)
    for metric in metrics:
        if metric.standardise or metric.form == "local":
            raise MetricError(
                f"{metric.name}: ROI {whose} is a geometry, which has no voxels to standardise or to take inner "
                "products of; use MutualKNN or CycleKNN with standardise=False"
            )
    return -target.rdm
