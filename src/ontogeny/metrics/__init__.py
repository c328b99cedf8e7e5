"""Metrics: features x targets -> one value for each ROI of each subject.

    encoding.py     Ridge: cross-validated linear predictivity          (voxels)
    rsa.py          RSA: dissimilarity matrices compared                (voxels or geometry)
    cka.py          CKA: centred kernels compared                       (voxels or geometry)
    neighbours.py   MutualKNN, CycleKNN: shared nearest neighbours      (voxels or geometry)
                    CKNNA: CKA over mutual nearest neighbours           (voxels)
    shen2026.py     the grid of a published study: its metrics, and the number it plots
    folds.py        frozen, grouped or contiguous cross-validation folds
    ceiling.py      what one subject's responses say about another's
    view.py         LayerView: one Gram matrix a layer, shared by all metrics
    together.py     metrics of one family prepared and scored together
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

__all__ = ["Folds", "LayerView", "Metric", "Prepared", "Value", "make_folds"]


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
