"""A metric on two arrays: `RSA()(features, responses)`, for a look without benchmark, record or model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ontogeny._arrays import PerVoxel
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics.folds import Folds, Splits, make_folds, suited
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Metric, Value

__all__ = ["ArrayScore", "PreparedPerVoxel", "score_arrays"]

_N_FOLDS = 5


@runtime_checkable
class PreparedPerVoxel(Protocol):
    """A prepared metric that has a value of each voxel."""

    def score_voxels(self, view: LayerGeometry) -> tuple[list[Value], PerVoxel]:
        """One value per target; and one per voxel, of all targets side by side."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayScore:
    """What a metric says of two arrays; `float(score)` is its value.

    Args:
        metric: its name.
        value: in `unit`.
        unit: of value and chance.
        chance: expected value for unrelated arrays.
        per_voxel: one value per column of the responses, whose mean (of `Encoding(over_voxels="median")` the median) is
            `value`; None for a metric that compares whole patterns.
        n_stimuli: rows.
        n_features: columns of the features.
        n_voxels: columns of the responses.
        folds: which were used, in words; "" for a metric that holds nothing out, or whose name has its own splits.
    """

    metric: str
    value: float
    unit: str
    chance: float
    per_voxel: PerVoxel | None
    n_stimuli: int
    n_features: int
    n_voxels: int
    folds: str

    def __float__(self) -> float:
        return self.value

    @override
    def __repr__(self) -> str:
        sizes = f"{self.n_stimuli} stimuli, {self.n_features} features, {self.n_voxels} voxels"
        folds = f"; {self.folds}" if self.folds else ""
        return f"{self.metric}: {self.unit} = {self.value:.4g} (chance {self.chance:.3g}; {sizes}{folds})"


def score_arrays(
    metric: Metric,
    features: np.ndarray | Tensor,
    responses: np.ndarray | Tensor,
    *,
    folds: Folds | Splits | None = None,
) -> ArrayScore:
    """Score features against responses; what `metric(features, responses)` does.

    Args:
        metric: of this package, or a user's own.
        features: stimuli x features.
        responses: stimuli x voxels, the same stimuli in the same order.
        folds: for a metric that holds stimuli out; 5 shuffled folds (seed 0) where not given, which is right only for
            stimuli that are independent of each other (else `make_folds(n, groups=...)` or `contiguous=True`).

    Raises:
        MetricError: arrays of other shapes, of different stimuli, with NaN, or that the metric cannot use.
        FeatureError: features that are the same for every stimulus.

    Example:
        >>> import numpy as np
        >>> from ontogeny.metrics import RSA
        >>> x = np.random.default_rng(0).normal(size=(20, 5))
        >>> RSA()(x, x[:, :3])
        rsa-correlation-spearman: Spearman rho = 0.4446 (chance 0; 20 stimuli, 5 features, 3 voxels)
    """
    x, y = _of_same_stimuli(_matrix("features", features), _matrix("responses", responses), folds)
    holds_out = bool(getattr(metric, "uses_folds", True))
    used: Any = suited(metric, folds) if folds is not None else _default_folds(len(x), holds_out=holds_out)
    prepared = metric.prepare([Target(subject="", roi="", responses=y.numpy(), n_voxels=y.shape[1])], used)
    view, each = LayerGeometry(x), None
    if isinstance(prepared, PreparedPerVoxel):
        (found,), each = prepared.score_voxels(view)
    else:
        (found,) = prepared.score(view)
    return ArrayScore(
        metric=metric.name,
        value=found.value,
        unit=metric.unit,
        chance=found.chance,
        per_voxel=each,
        n_stimuli=len(x),
        n_features=x.shape[1],
        n_voxels=y.shape[1],
        folds=used.how if holds_out and getattr(metric, "cv", None) is None else "",
    )


def _of_same_stimuli(x: Tensor, y: Tensor, folds: Folds | Splits | None) -> tuple[Tensor, Tensor]:
    if len(x) != len(y):
        raise MetricError(f"features and responses are of the same stimuli, got {len(x)} and {len(y)} rows")
    if folds is not None and folds.n_stimuli != len(x):
        raise MetricError(f"the folds are of {folds.n_stimuli} stimuli, the arrays have {len(x)} rows")
    return x, y


def _default_folds(n_stimuli: int, *, holds_out: bool) -> Folds:
    if holds_out:
        return make_folds(n_stimuli, n_folds=_N_FOLDS)
    return Folds(held_out=(0,) * n_stimuli, how="none")


def _matrix(name: str, array: np.ndarray | Tensor) -> Tensor:
    """The array as a matrix of floats on the CPU.

    Raises:
        MetricError: it is none, is empty, or holds NaN.
    """
    if not isinstance(array, np.ndarray | Tensor):
        raise MetricError(f"{name} should be an array or a tensor, stimuli x columns, got {type(array).__name__}")
    if array.ndim != 2 or 0 in array.shape:
        hint = "; array.reshape(len(array), -1) makes one" if array.ndim != 2 and 0 not in array.shape else ""
        raise MetricError(f"{name} should be a matrix, stimuli x columns, got shape {tuple(array.shape)}{hint}")
    tensor = torch.as_tensor(array).detach().cpu()
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise MetricError(f"{name} should be real numbers, got {tensor.dtype}")
    floats = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    if not bool(torch.isfinite(floats).all()):
        raise MetricError(f"{name} hold NaN or infinity; leave these stimuli or columns out")
    return floats
