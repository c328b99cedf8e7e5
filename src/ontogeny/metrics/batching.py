"""Metrics prepared and scored together, so that those of one family share their work.

A family is what metrics of one `together` function make: it prepares all of them at once and scores several layers at
once. A metric without that attribute, a user's own for instance, is prepared and scored alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ontogeny._messages import has_to_pass
from ontogeny.brain import Target
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics.folds import Folds, Splits, suited
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Metric, Prepared, Value
from ontogeny.metrics.permutations import NONE, Permutations

__all__ = ["METRIC_FAILED", "MetricBatch", "Outcome", "PreparedMetrics", "SingleMetric", "prepare_all"]

METRIC_FAILED = "the metric failed"
"""How the reason begins where a metric's own code raised an error that no metric should."""
Outcome: TypeAlias = list[Value] | FeatureError | MetricError
"""One metric's values of one layer, one per target, then one per target of each permutation; or why it has none."""


@runtime_checkable
class MetricBatch(Protocol):
    """Several metrics with the brain side done."""

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome per layer and metric, in their order.

        Raises:
            MetricError: none of these metrics can use a layer, or there is no memory for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleMetric:
    """The only metric of a family, as `Prepared`."""

    family: MetricBatch

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value per target.

        Raises:
            MetricError: these features have nothing that the metric could compare.
        """
        outcome = self.family.score_all([view])[0][0]
        if isinstance(outcome, list):
            return outcome
        raise outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alone:
    """A metric that shares nothing, as a family of one."""

    prepared: Prepared

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        return [[self._outcome(view)] for view in views]

    def scoring_seconds(self, n_features: int) -> float:
        measure = getattr(self.prepared, "scoring_seconds", None)
        return float(measure(n_features)) if callable(measure) else 0.0

    def _outcome(self, view: LayerGeometry) -> Outcome:
        try:
            return self.prepared.score(view)
        except (FeatureError, MetricError) as error:
            return error


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMetrics:
    """All metrics of a benchmark with the brain side done.

    Args:
        families: places of a family's metrics in the benchmark's order, and the family.
    """

    families: tuple[tuple[tuple[int, ...], MetricBatch], ...]

    def score(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome per layer and metric, in the order of the layers and of the benchmark's metrics."""
        n_metrics = sum(len(places) for places, _ in self.families)
        out: list[list[Any]] = [[None] * n_metrics for _ in views]
        for places, family in self.families if views else ():
            for row, outcomes in zip(out, _scored(family, views, len(places)), strict=True):
                for place, outcome in zip(places, outcomes, strict=True):
                    row[place] = outcome
        return out

    def scoring_seconds(self, n_features: int) -> dict[int, float]:
        """Place of a metric -> what it takes to score a layer of so many features; of those that can tell."""
        alone = [(place, family) for (place, *_), family in self.families if isinstance(family, _Alone)]
        return {place: family.scoring_seconds(n_features) for place, family in alone}


def _scored(family: MetricBatch, views: Sequence[LayerGeometry], n_metrics: int) -> list[list[Outcome]]:
    """A layer that a whole family cannot use costs its own values alone."""
    try:
        return family.score_all(views)
    except (FeatureError, MetricError) as error:
        if len(views) == 1:
            return [[error] * n_metrics]
        return [row for view in views for row in _scored(family, [view], n_metrics)]
    except BaseException as error:  # other metrics' values are not lost with it
        if has_to_pass(error):
            raise
        failed = MetricError(f"{METRIC_FAILED}: {type(error).__name__}: {error}")
        failed.__cause__ = error
        return [[failed] * n_metrics for _ in views]


def prepare_all(
    metrics: Sequence[Metric], targets: Sequence[Target], folds: Folds | Splits, *, permutations: Permutations = NONE
) -> PreparedMetrics:
    """Do all that depends on the brain side alone, family by family.

    Args:
        metrics: in the benchmark's order.
        targets: one per subject and ROI.
        folds: frozen.
        permutations: that layers are scored with too, each metric in its way (`ontogeny.metrics.permutations`).

    Raises:
        MetricError: a metric cannot use these targets or folds; says which and why.
        TooLargeError: no memory for permuted copies of the responses, where a metric needs them.
    """
    places: dict[Callable[..., MetricBatch] | int, list[int]] = {}
    for place, metric in enumerate(metrics):
        places.setdefault(getattr(metric, "together", place), []).append(place)
    families: list[tuple[tuple[int, ...], MetricBatch]] = []
    for together, group in places.items():
        how, members = getattr(metrics[group[0]], "permuted", None), [metrics[i] for i in group]
        if how == "layer" and not isinstance(together, int):
            families.append((tuple(group), together(members, targets, permutations.orders)))
            continue
        every = [*targets, *permutations.copies(targets, means=how == "voxels")]
        if isinstance(together, int):
            used: Any = suited(metrics[together], folds)
            family: MetricBatch = _Alone(prepared=metrics[together].prepare(every, used))
        else:
            family = together(members, every)
        families.append((tuple(group), family))
    return PreparedMetrics(families=tuple(families))
