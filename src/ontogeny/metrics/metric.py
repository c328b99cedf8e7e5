"""What a metric is: options in, a prepared object out, one value for each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ontogeny.brain import Target
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.stimuli import StimulusSet

__all__ = ["Metric", "NeedsStimuli", "Prepared", "Value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One target's value in the metric's unit, with its chance level and ceiling in the same unit."""

    value: float
    chance: float
    ceiling: float | None = None
    ceiling_lower: float | None = None


@runtime_checkable
class Prepared(Protocol):
    """A metric with the brain side done."""

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value a target, in the order of the targets."""
        ...


@runtime_checkable
class Metric(Protocol):
    """What a metric is; a user's own need not import anything from here.

    `name` holds the options that change values; `unit` is the unit of value, ceiling and chance.
    """

    @property
    def name(self) -> str:
        """Short name with the options that change values."""
        ...

    @property
    def unit(self) -> str:
        """Unit of the values."""
        ...

    def prepare(self, targets: Sequence[Target], folds: Folds) -> Prepared:
        """Do all that depends on the brain side alone.

        Raises:
            MetricError: the metric cannot use these targets; says which and why.
        """
        ...


@runtime_checkable
class NeedsStimuli(Protocol):
    """A metric that depends on the stimuli too: a benchmark prepares what `about` returns in its place."""

    def about(self, stimuli: StimulusSet) -> Metric:
        """The same metric with what it needs of these stimuli, in their order."""
        ...
