"""CKA for a whole grid of kernels, many targets and several layers in one pass.

What is kept of a target is one number per pair of stimuli, its squared distance less their mean. Each kernel is made
from it block by block, while the block is in cache, and multiplied with the centred kernels of all layers at once:

    <H K H, L> = 2 sum_{i<j} (HKH)_ij L_ij + sum_i (HKH)_ii L_ii,     and any constant may be taken off L,

so that only the layers' side has to be centred, and `expm1` keeps its digits where a wide kernel is nearly constant.
Memory: targets x pairs numbers for any number of widths (1.4 GB for 720 regions and 1000 stimuli), 4 bytes each above
`DOUBLE_UP_TO` stimuli, where sums over so many pairs are right to 1e-6 or better, else 8. A layer takes as much for
each kernel as a target does for all. Where that is too much, cut the regions into several benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from ontogeny._arrays import Square, upper
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._intersubject_ceiling import Bounds, bounds_of_cosines, same_roi
from ontogeny.metrics._pairwise.kernels import Kind, direction, kernel_of_squares, variance
from ontogeny.metrics._streamed import cka as streamed
from ontogeny.metrics.batching import MetricBatch, Outcome
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_room, needs_tiles
from ontogeny.metrics.metric import Value
from ontogeny.metrics.permutations import permuted_pairs

if TYPE_CHECKING:
    from ontogeny.metrics.cka import CKA

__all__ = ["DOUBLE_UP_TO", "PreparedKernels", "prepare_kernels"]

DOUBLE_UP_TO = 256
_BLOCK = 8
_CHUNK = 32768
_LARGEST = 60.0

Rows = Float[np.ndarray, "rows pairs"]
PerTarget = Float[np.ndarray, " targets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """One kernel of all targets: scale * f(spread) off the diagonal, up to a constant, and `diagonal` more on it.

    f is the identity ("linear") or expm1(slope * spread - shift) ("rbf"); the shift keeps narrow kernels finite.
    """

    kind: Kind
    slope: PerTarget
    shift: PerTarget
    scale: PerTarget
    diagonal: PerTarget

    @classmethod
    def of(cls, kind: Kind, mean: PerTarget, least: PerTarget, variances: PerTarget) -> _Kernel:
        if kind == "linear":
            none = np.zeros(len(mean))
            return cls(kind=kind, slope=none, shift=none, scale=none - 0.5, diagonal=mean / 2)
        slope = -1 / (2 * variances)
        shift = np.maximum(slope * (least - mean) - _LARGEST, 0)
        scale = np.exp(slope * mean + shift)
        return cls(kind=kind, slope=slope, shift=shift, scale=scale, diagonal=1 - scale)

    def hollow(self, part: Rows, rows: slice, room: Float[np.ndarray, "most_rows most_pairs"]) -> Rows:
        """The function f of one block of targets and pairs."""
        if self.kind == "linear":
            return part
        out = room[: part.shape[0], : part.shape[1]]
        np.multiply(part, self.slope[rows, None].astype(part.dtype), out=out)
        if self.shift[rows].any():
            out -= self.shift[rows, None].astype(part.dtype)
        np.expm1(out, out=out)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One metric's place in the benchmark; norm and trace of each target's centred kernel, and ceilings."""

    place: int
    metric: CKA
    norms: PerTarget
    traces: PerTarget
    bounds: list[Bounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """All targets, with or without z-scored voxels.

    Args:
        spread: squared distances less their mean, targets x pairs.
        kernels: the kernels made from them, and the metrics that use each.
    """

    spread: Float[np.ndarray, "targets pairs"]
    kernels: list[tuple[_Kernel, list[_Scored]]]

    def products(self, layers: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Sum over pairs of each row with each target's kernel; a block of targets is read once for all kernels.

        Args:
            layers: rows x pairs, one a kernel.

        Returns:
            targets x rows, one a kernel.
        """
        out = [np.zeros((len(self.spread), len(rows))) for rows in layers]
        room = np.empty((_BLOCK, min(_CHUNK, self.spread.shape[1])), self.spread.dtype)
        for targets in _slices(len(self.spread), _BLOCK):
            for pairs in _slices(self.spread.shape[1], _CHUNK):
                part = self.spread[targets, pairs]
                for (kernel, _), rows, total in zip(self.kernels, layers, out, strict=True):
                    total[targets] += kernel.hollow(part, targets, room) @ rows[:, pairs].T
        return out


def _slices(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedKernels:
    """CKA metrics with the brain side done; this module's docstring says what is kept."""

    spaces: list[_Space]
    orders: tuple[np.ndarray, ...] = ()

    def score_all(self, views: Sequence[LayerGeometry]) -> list[list[Outcome]]:
        """One outcome a layer and metric."""
        n_metrics = sum(len(users) for space in self.spaces for _, users in space.kernels)
        outcomes: list[list[Outcome]] = [[[] for _ in range(n_metrics)] for _ in views]
        for space in self.spaces:
            pairs = space.spread.shape[1]
            each, kind = 1 + len(self.orders), space.spread.dtype
            rows = [np.zeros((len(users) * len(views), each, pairs), kind) for _, users in space.kernels]
            sides = [
                [
                    _Side.of(view, scored.metric, room, self.orders)
                    for (scored, view), room in zip(product(users, views), of_space, strict=True)
                ]
                for (_, users), of_space in zip(space.kernels, rows, strict=True)
            ]
            products = space.products([some.reshape(-1, pairs) for some in rows])
            for (kernel, users), of_space, inner in zip(space.kernels, sides, products, strict=True):
                for column, side in enumerate(of_space):
                    scored = users[column // len(views)]
                    found = inner[:, column * each : (column + 1) * each].T
                    outcome = side.error or _values(scored, kernel, side, found)
                    outcomes[column % len(views)][scored.place] = outcome
        return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One layer's side of one metric: norm of its centred kernel, and its trace once that norm is 1."""

    n_stimuli: int
    norm: float = 0.0
    trace: float = 0.0
    error: MetricError | None = None

    @classmethod
    def of(cls, view: LayerGeometry, metric: CKA, room: Rows, orders: Sequence[np.ndarray]) -> _Side:
        """Put the upper triangle of the centred kernel at unit norm first into `room`, then in each order."""
        n = view.n_stimuli
        try:
            kernel, unit = _kernel_of_layer(view, metric)
            flat, norm = direction(kernel, debiased=metric.debiased)
        except MetricError as error:
            return cls(n_stimuli=n, error=error)
        square = flat.reshape(n, n)
        upper(square, room[0])
        square = square.astype(room.dtype, copy=False)
        for order, row in zip(orders, room[1:], strict=True):
            permuted_pairs(square, order, row)
        return cls(n_stimuli=n, norm=norm * unit, trace=float(flat[:: n + 1].sum()))


def _kernel_of_layer(view: LayerGeometry, metric: CKA) -> tuple[Square, float]:
    """The kernel, and what its numbers have to be multiplied with."""
    seen = view.standardised if metric.standardise else view
    if metric.kind == "linear":
        return seen.gram.numpy(), seen.scale**2
    width = None if metric.width is None else metric.width / seen.scale
    return kernel_of_squares(seen.squared_distances.numpy(), metric.kind, width), 1.0


def _values(scored: _Scored, kernel: _Kernel, side: _Side, inner: Float[np.ndarray, "orders targets"]) -> list[Value]:
    """Of all targets, then of all targets in each other order of the stimuli."""
    metric, n = scored.metric, side.n_stimuli
    trace = 0.0 if metric.debiased else side.trace
    hsic = side.norm * scored.norms / (n * (n - 3) if metric.debiased else 1)
    damped = hsic / (hsic + metric.damping)
    found = damped * (2 * kernel.scale * inner + kernel.diagonal * trace) / scored.norms
    chance = damped * trace * scored.traces / (n - 1)
    bounds = [*scored.bounds, *([(None, None)] * (found.size - len(scored.bounds)))]
    numbers = zip(found.ravel().tolist(), np.tile(chance, len(found)).tolist(), bounds, strict=True)
    return [Value(value=v, chance=c, ceiling=upper, ceiling_lower=lower) for v, c, (lower, upper) in numbers]


def prepare_kernels(
    metrics: Sequence[CKA], targets: Sequence[Target], orders: Sequence[np.ndarray] = ()
) -> MetricBatch:
    """Distances of all targets once, and for each kernel norm, trace and ceilings of its centred form.

    Args:
        metrics: of any kernels.
        targets: one per subject and ROI.
        orders: permutations of the stimuli that layers are scored in too.

    Raises:
        MetricError: a target without responses, a geometry where voxels are needed, or a kernel without structure.
        TooLargeError: no memory for so many kernels.
    """
    squares = _squares_needed(len(metrics), targets) + len(metrics) * len(orders) / 4
    if needs_tiles(targets, squares, alone=False) and all(metric.kind == "linear" for metric in metrics):
        return streamed.prepare(metrics, targets, orders)
    check_room([metric.name for metric in metrics], targets, squares)
    spaces = []
    for standardise in (False, True):
        here = [(place, metric) for place, metric in enumerate(metrics) if metric.standardise == standardise]
        if here:
            spaces.append(_prepare_space(here, targets))
    return PreparedKernels(spaces=spaces, orders=tuple(orders))


def _squares_needed(n_metrics: int, targets: Sequence[Target]) -> float:
    """Stimuli x stimuli matrices at the highest, as measured: all subjects of one region at a time, for ceilings."""
    subjects = max(map(len, same_roi(targets)), default=0)
    return (4 + (n_metrics > 1)) * subjects + 2 + len(targets) / 2 + n_metrics / 4


def _prepare_space(metrics: Sequence[tuple[int, CKA]], targets: Sequence[Target]) -> _Space:
    n_targets = len(targets)
    users: dict[tuple[Kind, float | None], list[_Scored]] = {}
    for place, metric in metrics:
        norms, traces = np.empty((2, n_targets))
        scored = _Scored(place=place, metric=metric, norms=norms, traces=traces, bounds=[(None, None)] * n_targets)
        users.setdefault((metric.kind, metric.width), []).append(scored)
    variances = {key: np.ones(n_targets) for key in users}
    mean, least = np.empty((2, n_targets))
    spread: list[np.ndarray] = [np.empty(0)] * n_targets
    for group in same_roi(targets):
        squares = [_squares(targets[i], [metric for _, metric in metrics]) for i in group]
        for i, square in zip(group, squares, strict=True):
            pairs = upper(square)
            mean[i], least[i] = pairs.mean(), pairs.min()
            spread[i] = (pairs - mean[i]).astype(np.float64 if len(square) <= DOUBLE_UP_TO else np.float32)
        for (kind, width), scored_by in users.items():
            if kind == "rbf":
                variances[kind, width][group] = [variance(square, width) for square in squares]
            _measure(scored_by, group, [kernel_of_squares(square, kind, width) for square in squares])
    kernels = [(_Kernel.of(key[0], mean, least, variances[key]), users[key]) for key in users]
    return _Space(spread=np.stack(spread), kernels=kernels)


def _measure(scored_by: Sequence[_Scored], group: list[int], kernels: Sequence[Square]) -> None:
    """Fill in the constants of one region's targets."""
    for scored in scored_by:
        directions, norms = zip(*(direction(k, debiased=scored.metric.debiased) for k in kernels), strict=True)
        flat = np.stack(directions)
        scored.norms[group] = norms
        scored.traces[group] = flat[:, :: len(kernels[0]) + 1].sum(axis=1)
        for i, bounds in zip(group, bounds_of_cosines(flat @ flat.T), strict=True):
            scored.bounds[i] = bounds


def _squares(target: Target, metrics: Sequence[CKA]) -> Square:
    """Squared distances of one target's responses, or its geometry."""
    whose = f"{target.roi!r} of subject {target.subject!r}"
    if target.rdm is None:
        if target.responses is None:
            raise MetricError(f"CKA: target {whose} has no responses")
        responses = torch.as_tensor(target.responses)
        view = LayerGeometry(responses).standardised if metrics[0].standardise else LayerGeometry(responses)
        return view.squared_distances.numpy() * view.scale**2
    for metric in metrics:
        if metric.standardise:
            raise MetricError(
                f"{metric.name}: ROI {whose} is a geometry, which has no voxels to standardise; use standardise=False"
            )
        if metric.width is not None:
            raise MetricError(
                f"{metric.name}: ROI {whose} is a geometry, whose distances have no unit to measure a fixed width in; "
                "use width=None (median)"
            )
    return target.rdm
