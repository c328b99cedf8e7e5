"""Procrustes: representations laid over each other by the best rotation (Williams et al. 2021, arXiv 2110.14739).

    cos(theta) = |X'Y|_* / (|X| |Y|),    X and Y centred, |.|_* the sum of singular values, |.| the Frobenius norm

theta is the angular shape distance (its `rotation-invariant` metric without other alignment), a proper metric between
representations of any widths; cos(theta) is the normalised Bures similarity of the two Gram matrices. X stands for any
matrix with its Gram matrix, so that none is wider than there are stimuli.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._intersubject_ceiling import Bounds, same_roi
from ontogeny.metrics._pairwise.kernels import centre
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_room, check_squares
from ontogeny.metrics.metric import Value
from ontogeny.metrics.on_arrays import score_arrays

__all__ = ["PreparedProcrustes", "Procrustes", "shape_cosine"]

Rows = Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"]
Others = Float[Tensor, "others voxels"] | Float[np.ndarray, "others voxels"]
Factor = Float[np.ndarray, "stimuli rank"]

_SEED = 2110
_NEGATIVE = 1e-6
_EIGEN = 6  # matrices that an eigenvalue decomposition holds, its input too


def shape_cosine(x: Rows, y: Others) -> float:
    """Cosine of the angular shape distance; `numpy.arccos` of it is the distance, in radians.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.

    Returns:
        0 to 1; 1 where x is y rotated, shifted and scaled. Symmetric.

    Raises:
        FeatureError: NaN, or the same features for every stimulus.
        MetricError: other stimuli.
    """
    if len(x) != len(y):
        raise MetricError(f"both sides need the same stimuli, got {len(x)} and {len(y)} rows")
    left, right = (_factor_of(LayerGeometry(torch.as_tensor(side))) for side in (x, y))
    return float(np.linalg.svd(left.T @ right, compute_uv=False).sum())


def _factor_of(view: LayerGeometry) -> Factor:
    """The centred features at unit norm, or as many columns as stimuli that have the same Gram matrix."""
    if view.n_features <= view.n_stimuli:
        rows = view.centred.numpy()
        return np.asarray(rows / np.linalg.norm(rows))
    return _factor(view.gram.numpy())


def _factor(gram: Square) -> Factor:
    """U sqrt(S) of a centred Gram matrix with trace 1, without what is 0."""
    check_squares("the eigenvectors", len(gram), _EIGEN - 1)
    power, vectors = np.linalg.eigh(gram)
    if power[0] < -_NEGATIVE * power[-1]:
        raise MetricError(
            f"its RDM is not Euclidean: smallest eigenvalue {power[0] / power[-1]:.1g} of "
            "the largest, expected 0; use squared Euclidean or correlation distances, or RSA"
        )
    keep = power > 1e-14 * power[-1]
    return np.asarray(vectors[:, keep] * np.sqrt(power[keep] / power[keep].sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Procrustes:
    """Cosine of the angle between features and responses after the best rotation, see `shape_cosine`.

    Chance: the mean over some permutations of the stimuli, the same for all layers and steps (there is no closed form).
    It is high, and higher the more dimensions there are for so few stimuli: a score means nothing without it. Scores
    of permuted stimuli have a standard deviation of .002 to .04 at 92 stimuli and .001 to .01 at 1000 (largest where
    few dimensions carry most variance); chance's own error is that over the square root of their number.
    Ceiling: bounds over subjects, in the mean of their Gram matrices with trace 1 (right to 1e-6).
    A geometry's Gram matrix is -D/2, centred. Cost a layer and target: 1 + permutations times a product of stimuli x
    features x voxels and a singular value decomposition of features x voxels, each at most stimuli.

    Args:
        permutations: how many chance is the mean of, at least 1.

    Raises:
        MetricError: no permutation.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> Procrustes()(features, responses)
        procrustes: cosine of shape angle = 0.8838 (chance 0.246; 60 stimuli, 5 features, 20 voxels)
    """

    permutations: int = 10

    uses_folds: ClassVar = False
    __call__ = score_arrays

    def __post_init__(self) -> None:
        if self.permutations < 1:
            raise MetricError(f"Procrustes: chance needs at least 1 permutation, got {self.permutations}")

    @property
    def name(self) -> str:
        """Always "procrustes"; the number of permutations changes chance, not the value."""
        return "procrustes"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "cosine of shape angle"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedProcrustes:
        """Find every target's factor once.

        Raises:
            MetricError: a target without responses, or a geometry that is none of points in space.
            TooLargeError: no memory for their Gram matrices.
        """
        del folds
        check_room([self.name], targets, _squares_needed(targets))
        factors = [_target_factor(target) for target in targets]
        n, rng = len(factors[0]), np.random.default_rng(_SEED)
        orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(self.permutations))])
        return PreparedProcrustes(factors=factors, orders=orders, bounds=_bounds(targets, factors))


def _squares_needed(targets: Sequence[Target]) -> int:
    """Gram matrices at the highest: factors of wide targets are as large, and ceilings add one per subject up."""
    wide = sum(int(t.responses is None or t.responses.shape[1] > len(t.responses)) for t in targets)
    shared = max(map(len, same_roi(targets)), default=0) > 1
    return wide + (_EIGEN if wide else 0) + (3 if shared else 0)


def _target_factor(target: Target) -> Factor:
    whose = f"{target.roi!r} of subject {target.subject!r}"
    if target.rdm is not None:
        try:
            return _factor(centre(target.rdm / -2, debiased=False))
        except MetricError as error:
            raise MetricError(f"Procrustes: ROI {whose} is a geometry; {error}") from None
    if target.responses is None:
        raise MetricError(f"Procrustes: target {whose} has no responses")
    return _factor_of(LayerGeometry(torch.as_tensor(target.responses)))


def _bounds(targets: Sequence[Target], factors: Sequence[Factor]) -> list[Bounds]:
    """With K the sum of m subjects' Gram matrices and B a subject's factor, |K^.5 B|_* = sum of sqrt(eig(B'KB))."""
    out: list[Bounds] = [(None, None)] * len(targets)
    for group in same_roi(targets):
        if len(group) < 2:
            continue
        total = reduce(np.add, (factors[i] @ factors[i].T for i in group))
        for index in group:
            own = factors[index]
            every, alone = own.T @ total @ own, np.linalg.matrix_power(own.T @ own, 2)
            lower, upper = _roots(every - alone) / (len(group) - 1) ** 0.5, _roots(every) / len(group) ** 0.5
            out[index] = lower, upper
    return out


def _roots(square: Float[np.ndarray, "rank rank"]) -> float:
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(square), 0)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedProcrustes:
    """Procrustes with every target's factor, and the orders of stimuli that are tried: their own, then permuted."""

    factors: list[Factor]
    orders: Int[np.ndarray, "orders stimuli"]
    bounds: list[Bounds]

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value a target."""
        layer, out = _factor_of(view), []
        for factor, (lower, upper) in zip(self.factors, self.bounds, strict=True):
            products = layer.T @ factor[self.orders]
            found = np.linalg.svd(products, compute_uv=False).sum(axis=1)
            out.append(Value(value=float(found[0]), chance=float(found[1:].mean()), ceiling=upper, ceiling_lower=lower))
        return out
