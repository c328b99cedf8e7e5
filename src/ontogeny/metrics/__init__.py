"""Metrics: features x targets -> one value for each ROI of each subject.

    encoding.py     Ridge: cross-validated linear predictivity          (voxels)
    banded.py       UniqueVariance: what a layer adds to nuisance.py    (voxels)
    rsa.py          RSA: dissimilarity matrices compared                (voxels or geometry)
    cka.py          CKA: centred kernels compared                       (voxels or geometry)
    procrustes.py   Procrustes: shapes after the best rotation          (voxels or geometry)
    cca.py          CCA: canonical correlations of held-out stimuli     (voxels or geometry)
    neighbours.py   MutualKNN, CycleKNN: shared nearest neighbours      (voxels or geometry)
                    CKNNA: CKA over mutual nearest neighbours           (voxels)
    ridge.py        one factorisation for every penalty and voxel; penalties.py, fitting.py
    shen2026.py     the grid of a published study: its metrics, and the number it plots
    folds.py        frozen, grouped or contiguous cross-validation folds
    ceiling.py      what one subject's responses say about another's
    view.py         LayerView: one Gram matrix a layer, shared by all metrics
    together.py     metrics of one family prepared and scored together
    room.py         what needs stimuli x stimuli is refused before it is allocated, where it does not fit
    rdms.py                                              inside RSA: distances, ranks, what is compared
    kernels.py, kernel_grid.py                           inside CKA: any number of kernels in one pass
    nearest.py, local_kernels.py, neighbour_grid.py      inside the neighbour metrics: all k from one sort

Each metric is a frozen object of options with `name`, `unit` and `prepare(targets, folds)`, which does all that
depends on the brain side alone; what it returns has `score(view)`. Pure functions on arrays stand below them. Metrics
that share an attribute `together` share their work where a benchmark has several of them; none needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ontogeny.assembly import Target
from ontogeny.metrics.folds import Folds, make_folds
from ontogeny.metrics.view import LayerView
from ontogeny.stimuli import StimulusSet

__all__ = ["Folds", "LayerView", "Metric", "NeedsStimuli", "Prepared", "Value", "make_folds"]


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

    def score(self, view: LayerView) -> list[Value]:
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
