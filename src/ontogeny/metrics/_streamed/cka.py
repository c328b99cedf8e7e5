"""Linear CKA by the smaller side: inner products of kernels from features x voxels, never stimuli x stimuli.

With centred X and Y, K = XX', L = YY', and k, l their diagonals (all row sums of K and L are 0),

    biased      <HKH, HLH> = |X'Y|^2
    unbiased    |X'Y|^2 - k'l + sum(k) sum(l) / ((n - 1)(n - 2)) - 2 k'l / (n - 2)   (Song et al. 2012, n (n - 3) times)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._intersubject_ceiling import Bounds, bounds_of_cosines, same_roi
from ontogeny.metrics.batching import Outcome
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Value
from ontogeny.metrics.permutations import inverse

if TYPE_CHECKING:
    from ontogeny.metrics.cka import CKA

__all__ = ["StreamedCKA", "prepare"]

_COLUMNS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Centred columns over their largest value, the kernel's diagonal, and what the kernel is multiplied with."""

    values: Float[np.ndarray, "stimuli columns"]
    diagonal: Float[np.ndarray, " stimuli"]
    unit: float

    @classmethod
    def of(cls, x: Any, *, standardise: bool) -> _Side:
        values = np.array(x, dtype=np.float64)
        constant = values.max(axis=0) == values.min(axis=0)
        values -= values.mean(axis=0)
        if standardise:
            values /= np.where(constant, 1.0, values.std(axis=0, ddof=1))
            values[:, constant] = 0.0
        scale = max(float(values.max()), -float(values.min())) or 1.0
        values /= scale
        return cls(values=values, diagonal=np.einsum("sc,sc->s", values, values), unit=scale**2)

    def with_other(self, other: _Side, order: np.ndarray | None, *, debiased: bool) -> float:
        """Inner product of the two centred kernels, this one's stimuli in another order."""
        values, k = (self.values, self.diagonal) if order is None else (self.values[order], self.diagonal[order])
        n, total = len(k), 0.0
        for start in range(0, other.values.shape[1], _COLUMNS):
            part = values.T @ other.values[:, start : start + _COLUMNS]
            total += float(np.einsum("xy,xy->", part, part))
        if not debiased:
            return total
        both, sums = float(k @ other.diagonal), float(k.sum() * other.diagonal.sum())
        return total - both + sums / ((n - 1) * (n - 2)) - 2 * both / (n - 2)

    def norm(self, *, debiased: bool) -> float:
        """Of the centred kernel.

        Raises:
            MetricError: a kernel without structure.
        """
        square = self.with_other(self, None, debiased=debiased)
        if square <= (1e-12 * float(self.diagonal.max()) * len(self.diagonal)) ** 2:
            raise MetricError("a kernel that is the same for every pair of stimuli cannot be aligned with anything")
        return float(np.sqrt(square))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedCKA:
    """Linear CKA; responses stay where they are.

    Args:
        metrics: all of linear kernels.
        targets: with voxels.
        bounds: ceilings, one list per metric.
        orders: permutations of the stimuli that layers are scored in too.
    """

    metrics: tuple[CKA, ...]
    targets: tuple[Target, ...]
    bounds: list[list[Bounds]]
    orders: tuple[np.ndarray, ...]

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome per layer and metric."""
        return [
            [self._outcome(view, metric, bounds) for metric, bounds in zip(self.metrics, self.bounds, strict=True)]
            for view in views
        ]

    def _outcome(self, view: LayerGeometry, metric: CKA, bounds: Sequence[Bounds]) -> Outcome:
        try:
            left = _Side.of(view.x.numpy(), standardise=metric.standardise)
            norm = left.norm(debiased=metric.debiased)
        except MetricError as error:
            return error
        unit = 1.0 if metric.standardise else view.scale**2
        columns = [self._values(left, norm, unit * left.unit, metric, target) for target in self.targets]
        out = [
            Value(value=c[0].value, chance=c[0].chance, ceiling=u, ceiling_lower=low)
            for c, (low, u) in zip(columns, bounds, strict=True)
        ]
        return [*out, *(column[i] for i in range(1, 1 + len(self.orders)) for column in columns)]

    def _values(self, left: _Side, norm: float, unit: float, metric: CKA, target: Target) -> list[Value]:
        """Of one target: as it is, then in each order."""
        n, debiased = len(left.diagonal), metric.debiased
        right = _Side.of(target.responses, standardise=metric.standardise)
        other = right.norm(debiased=debiased)
        hsic = norm * unit * other * right.unit / (n * (n - 3) if debiased else 1)
        damped = hsic / (hsic + metric.damping)
        traces = 0.0 if debiased else float(left.diagonal.sum() * right.diagonal.sum())
        chance = damped * traces / (norm * other * (n - 1))
        places = [None, *map(inverse, self.orders)]
        found = [left.with_other(right, place, debiased=debiased) / (norm * other) for place in places]
        return [Value(value=damped * value, chance=chance) for value in found]


def prepare(metrics: Sequence[CKA], targets: Sequence[Target], orders: Sequence[np.ndarray]) -> StreamedCKA:
    """Check every target's kernel, and find ceilings over subjects."""
    bounds = [_bounds(metric, targets) for metric in metrics]
    return StreamedCKA(metrics=tuple(metrics), targets=tuple(targets), bounds=bounds, orders=tuple(orders))


def _bounds(metric: CKA, targets: Sequence[Target]) -> list[Bounds]:
    out: list[Bounds] = [(None, None)] * len(targets)
    for group in same_roi(targets):
        sides = [_Side.of(targets[i].responses, standardise=metric.standardise) for i in group]
        norms = [side.norm(debiased=metric.debiased) for side in sides]
        cosines = np.array(
            [
                [a.with_other(b, None, debiased=metric.debiased) / (p * q) for b, q in zip(sides, norms, strict=True)]
                for a, p in zip(sides, norms, strict=True)
            ]
        )
        for i, found in zip(group, bounds_of_cosines(cosines), strict=True):
            out[i] = found
    return out
