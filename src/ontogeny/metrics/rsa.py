"""RSA: representational dissimilarity matrices compared (Kriegeskorte et al. 2008, Front Syst Neurosci 2:4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, get_args

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import Pairs, upper
from ontogeny.brain import Target
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics._batched.kernel_grid import DOUBLE_UP_TO
from ontogeny.metrics._intersubject_ceiling import Bounds, bounds_of_cosines, same_roi, subject_bounds
from ontogeny.metrics._pairwise.dissimilarities import (
    Comparison,
    Distance,
    compare_rdms,
    mean_component,
    pairs_of,
    rdm,
    summary,
    tau_a,
)
from ontogeny.metrics._streamed import rsa as streamed
from ontogeny.metrics.batching import MetricBatch, Outcome, SingleMetric
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_room, needs_tiles
from ontogeny.metrics.metric import Value
from ontogeny.metrics.on_arrays import score_arrays
from ontogeny.metrics.permutations import in_orders

__all__ = ["KENDALL_UP_TO", "RSA", "PreparedRSA", "compare_rdms", "prepare_rsa", "rdm"]

KENDALL_UP_TO = 300
_CHUNK = 32768
_SQUARES = 5.5  # measured: one side from its responses or features to its ranks
_UNITS: dict[Comparison, str] = {
    "spearman": "Spearman rho",
    "rho-a": "rho-a",
    "pearson": "Pearson r",
    "cosine": "cosine",
    "kendall": "Kendall tau-a",
    "whitened-pearson": "whitened Pearson r",
    "whitened-cosine": "whitened cosine",
}

Rows = Float[np.ndarray, "rows entries"]


def prepare_rsa(metrics: Sequence[RSA], targets: Sequence[Target], orders: Sequence[np.ndarray] = ()) -> MetricBatch:
    """Every target's dissimilarities once for all comparisons of a distance.

    Args:
        metrics: of any distances and comparisons.
        targets: one per subject and ROI.
        orders: permutations of the stimuli that layers are scored in too.

    Raises:
        MetricError: a target without responses, with too few voxels, or with too many stimuli for "kendall".
        TooLargeError: no memory for so many dissimilarities.
    """
    squares = _SQUARES + len(metrics) * len(targets) / 2 + (len(orders) / 2 + 1 if orders else 0)
    if needs_tiles(targets, squares, alone=True) and all(m.comparison in streamed.COMPARISONS for m in metrics):
        for metric, target in product(metrics, targets):
            _check_target(target, metric.distance, [metric.comparison])
        return streamed.prepare([(m.distance, m.comparison) for m in metrics], targets, orders)
    check_room([metric.name for metric in metrics], targets, squares)
    spaces = []
    for distance in dict.fromkeys(metric.distance for metric in metrics):
        users = [(place, metric.comparison) for place, metric in enumerate(metrics) if metric.distance == distance]
        spaces.append(_prepare_space(distance, users, targets))
    return PreparedRSA(spaces=spaces, orders=tuple(orders))


@dataclass(frozen=True, slots=True, kw_only=True)
class RSA:
    """Dissimilarities of the features against those of the responses.

    Chance: the exact mean over permutations of the stimuli. It is 0 but for "cosine" and "whitened-cosine", where it is
    high and grows with no true likeness, see `ontogeny.metrics._pairwise.dissimilarities.mean_component`.
    Ceiling: bounds over subjects (of their summaries' mean), see `ontogeny.metrics._intersubject_ceiling`; of one
    subject's geometry that of its sessions, where it is known ("spearman", "rho-a").
    Several in one benchmark share the distances; all targets and some layers are one matrix product.

    Args:
        distance: of features and of voxel responses: "correlation", "euclidean" (squared) or "cosine"; a geometry
            brings its own.
        comparison: of the two dissimilarity vectors, see `ontogeny.metrics._pairwise.dissimilarities`. "kendall" goes
            through all pairs of pairs for each layer and target (6 ms at 300 stimuli) and is refused above that;
            "rho-a" treats ties alike.

    Raises:
        MetricError: an option that is none of these.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> RSA()(features, responses)
        rsa-correlation-spearman: Spearman rho = 0.7808 (chance 0; 60 stimuli, 5 features, 20 voxels)
    """

    distance: Distance = "correlation"
    comparison: Comparison = "spearman"

    together: ClassVar = staticmethod(prepare_rsa)
    permuted: ClassVar = "layer"
    uses_folds: ClassVar = False
    __call__ = score_arrays

    def __post_init__(self) -> None:
        for what, choice, choices in (
            ("distance", self.distance, get_args(Distance)),
            ("comparison", self.comparison, get_args(Comparison)),
        ):
            if choice not in choices:
                raise MetricError(f"RSA: {what} is one of {', '.join(choices)}; got {choice!r}")

    @property
    def name(self) -> str:
        """E.g. "rsa-correlation-spearman"."""
        return f"rsa-{self.distance}-{self.comparison}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return _UNITS[self.comparison]

    def prepare(self, targets: Sequence[Target], folds: Folds) -> SingleMetric:
        """Rank, centre or whiten every target's dissimilarities once."""
        del folds
        return SingleMetric(family=prepare_rsa([self], targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Summaries of layers or targets (rows x entries), and what chance is made of."""

    rows: Rows
    leans: Float[np.ndarray, " rows"]


def _sides(all_pairs: Iterable[Pairs], comparisons: Sequence[Comparison]) -> list[_Side]:
    """SingleMetric side a comparison; dissimilarities are kept no longer than their summaries take."""
    rows: list[list[np.ndarray]] = [[] for _ in comparisons]
    leans: list[list[float]] = [[] for _ in comparisons]
    for pairs in all_pairs:
        kind = np.float64 if len(pairs) <= _pairs_among(DOUBLE_UP_TO) else np.float32
        for place, comparison in enumerate(comparisons):
            side = summary(pairs, comparison)
            leans[place].append(mean_component(side, comparison))
            rows[place].append(side.astype(kind, copy=False))
    return [_Side(rows=np.stack(mine), leans=np.array(means)) for mine, means in zip(rows, leans, strict=True)]


def _pairs_among(n_stimuli: int) -> int:
    return n_stimuli * (n_stimuli - 1) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """SingleMetric metric with its targets' side and ceilings."""

    place: int
    comparison: Comparison
    theirs: _Side
    bounds: list[Bounds]

    def values(self, pairs: Sequence[Pairs], orders: Sequence[np.ndarray]) -> list[list[Value]]:
        """One list of values a layer: of all targets, then of all targets in each order."""
        [mine] = _sides(pairs, [self.comparison])
        rows = in_orders(mine.rows, orders)
        if self.comparison == "kendall":
            found = np.array([[tau_a(row, side) for side in self.theirs.rows] for row in rows])
        else:
            found = _products(rows, self.theirs.rows)
        chances = np.tile(np.outer(mine.leans, self.theirs.leans), 1 + len(orders))
        bounds = [*self.bounds, *([(None, None)] * (len(self.bounds) * len(orders)))]
        return [
            [
                Value(value=v, chance=c, ceiling=above, ceiling_lower=below)
                for v, c, (below, above) in zip(*numbers, bounds, strict=True)
            ]
            for numbers in zip(found.reshape(chances.shape).tolist(), chances.tolist(), strict=True)
        ]


def _products(rows: Rows, sides: Float[np.ndarray, "targets entries"]) -> Float[np.ndarray, "rows targets"]:
    """Inner products, added up in double precision over chunks."""
    out = np.zeros((len(rows), len(sides)))
    for start in range(0, rows.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        out += rows[:, part] @ sides[:, part].T
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """Metrics of one distance."""

    distance: Distance
    metrics: list[_Scored]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRSA:
    """RSA metrics with the brain side done.

    Memory: targets x pairs numbers a metric, 4 bytes each above `DOUBLE_UP_TO` stimuli, where sums over so many pairs
    are right to 1e-6 or better, else 8.
    """

    spaces: list[_Space]
    orders: tuple[np.ndarray, ...] = ()

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """SingleMetric outcome a layer and metric."""
        outcomes: list[list[Outcome]] = [[[] for space in self.spaces for _ in space.metrics] for _ in views]
        for space in self.spaces:
            usable, pairs = [], []
            for row, view in zip(outcomes, views, strict=True):
                try:
                    pairs.append(pairs_of(view, space.distance))
                    usable.append(row)
                except FeatureError as error:
                    for scored in space.metrics:
                        row[scored.place] = error
            for scored in space.metrics if usable else ():
                for row, values in zip(usable, scored.values(pairs, self.orders), strict=True):
                    row[scored.place] = values
        return outcomes


def _prepare_space(distance: Distance, users: Sequence[tuple[int, Comparison]], targets: Sequence[Target]) -> _Space:
    comparisons = [comparison for _, comparison in users]
    sides = _sides((_target_pairs(target, distance, comparisons) for target in targets), comparisons)
    metrics = [
        _Scored(place=place, comparison=comparison, theirs=theirs, bounds=_bounds(targets, theirs.rows, comparison))
        for (place, comparison), theirs in zip(users, sides, strict=True)
    ]
    return _Space(distance=distance, metrics=metrics)


def _bounds(targets: Sequence[Target], rows: Rows, comparison: Comparison) -> list[Bounds]:
    """Ceilings; where the mean of unit vectors needs no new ranks, from their cosines alone."""
    if comparison in ("spearman", "rho-a", "kendall"):
        found = subject_bounds(targets, list(rows), lambda a, b: compare_rdms(a, b, comparison=comparison))
        return [_of_sessions(*pair, comparison=comparison) for pair in zip(targets, found, strict=True)]
    out: list[Bounds] = [(None, None)] * len(targets)
    for group in same_roi(targets):
        for index, bounds in zip(group, bounds_of_cosines(_products(rows[group], rows[group])), strict=True):
            out[index] = bounds
    return out


def _of_sessions(target: Target, bounds: Bounds, *, comparison: Comparison) -> Bounds:
    """What a geometry's own sessions allow, where there is no other subject to compare with; a Spearman correlation."""
    if bounds != (None, None) or target.rdm is None or target.ceiling is None or comparison == "kendall":
        return bounds
    return None, float(target.ceiling[0])


def _check_target(target: Target, distance: Distance, comparisons: Sequence[Comparison]) -> None:
    whose = f"{target.roi!r} of subject {target.subject!r}"
    given = target.responses if target.rdm is None else target.rdm
    if given is None:
        raise MetricError(f"RSA: target {whose} has no responses")
    rows, columns = given.shape
    if "kendall" in comparisons and rows > KENDALL_UP_TO:
        raise MetricError(
            f"rsa-{distance}-kendall goes through all pairs of {_pairs_among(rows)} dissimilarities for every layer "
            f"and target: {rows} stimuli, at most {KENDALL_UP_TO}; use comparison='rho-a', which treats ties alike"
        )
    if target.rdm is None and distance == "correlation" and columns < 3:
        raise MetricError(
            f"RSA with correlation distance needs at least 3 voxels, but ROI {whose} has {columns}; use "
            "distance='euclidean' or Ridge"
        )


def _target_pairs(target: Target, distance: Distance, comparisons: Sequence[Comparison]) -> Pairs:
    _check_target(target, distance, comparisons)
    return upper(target.rdm) if target.rdm is not None else rdm(np.asarray(target.responses), distance=distance)
