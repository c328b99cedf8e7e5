"""Variance partitioning: what feature spaces explain of responses alone and together, by banded ridge.

R^2 of every combination of spaces, held out; a space's unique part is what the joint model loses without it, and what
several share follows by inclusion and exclusion (commonality analysis: de Heer et al. 2017, J Neurosci 37:6539). Beside
it the joint model's R^2 as a sum over spaces (product measure; Dupré la Tour et al. 2022, NeuroImage 264:119728).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ontogeny._arrays import PerVoxel, Responses
from ontogeny._display import one_line
from ontogeny.errors import MetricError, require
from ontogeny.metrics.encoding_models._banded import VOXELWISE_ALPHAS, banded_ridge
from ontogeny.metrics.folds import Folds, Splits

__all__ = ["VariancePartition", "variance_partition"]

_MOST = 5
_BAR_AFTER = 5.0
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariancePartition:
    """Held-out R^2 of feature spaces, one per voxel.

    R^2 is 1 - squared errors / squares about the training mean, each summed over folds.

    Args:
        spaces: names of the feature spaces.
        r2: names of some spaces, in the order of `spaces` -> R^2 of the model that is fitted to these alone.
        split: name of a space -> its part of the joint model's R^2 (product measure); they add up to it.
        subject: one per voxel, where a benchmark was partitioned.
        roi: one per voxel, where a benchmark was partitioned.
    """

    spaces: Names
    r2: Mapping[Names, PerVoxel]
    split: Mapping[str, PerVoxel]
    subject: Names = ()
    roi: Names = ()

    __repr__ = one_line

    @property
    def joint(self) -> PerVoxel:
        """R^2 of all spaces together."""
        return self.r2[self.spaces]

    @property
    def unique(self) -> dict[str, PerVoxel]:
        """Name of a space -> what the joint model loses without it."""
        return {space: self.part((space,)) for space in self.spaces}

    @property
    def shared(self) -> dict[Names, PerVoxel]:
        """Names of two spaces or more -> what each of them explains, and no other space does."""
        return {names: self.part(names) for names in self.r2 if len(names) > 1}

    def part(self, names: Iterable[str]) -> PerVoxel:
        """What each of these spaces explains, and no other does; these parts add up to the joint R^2.

        Negative where held-out data or a suppressor make it so.

        Raises:
            MetricError: no space of this name.
        """
        chosen = tuple(names)
        if not chosen or not set(chosen) <= set(self.spaces):
            raise MetricError(f"spaces are {', '.join(map(repr, self.spaces))}, got {chosen}")
        others = [space for space in self.spaces if space not in chosen]
        total = np.zeros_like(self.joint)
        for some in (names for size in range(len(chosen) + 1) for names in combinations(chosen, size)):
            if model := tuple(space for space in self.spaces if space in others or space in some):
                total -= (-1) ** len(some) * self.r2[model]
        return total

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: r2 (model x voxel), unique and split (space x voxel), shared (spaces x voxel).

        Names of several spaces are joined by " + ".

        Raises:
            MissingExtraError: xarray is not installed.
        """
        tables: dict[str, tuple[str, dict[Names, PerVoxel]]] = {
            "r2": ("model", dict(self.r2)),
            "unique": ("space", {(space,): values for space, values in self.unique.items()}),
            "split": ("space", {(space,): values for space, values in self.split.items()}),
            "shared": ("spaces", self.shared),
        }
        coords: dict[str, Any] = {axis: [" + ".join(names) for names in rows] for axis, rows in tables.values()}
        for name, labels in (("subject", self.subject), ("roi", self.roi)):
            coords |= {name: ("voxel", list(labels))} if labels else {}
        arrays = {name: ((axis, "voxel"), np.stack(list(rows.values()))) for name, (axis, rows) in tables.items()}
        return require("xarray", "interchange").Dataset(arrays, coords=coords)


def variance_partition(
    spaces: Mapping[str, Float[np.ndarray, "stimuli _"]],
    responses: Responses,
    *,
    folds: Folds | Splits,
    alphas: Sequence[float] = VOXELWISE_ALPHAS,
    n_iter: int = 20,
) -> VariancePartition:
    """Partition the variance of responses between feature spaces: layers, or a layer and what you know of the stimuli.

    Every combination of spaces is a banded ridge of its own, by himalaya on its backend (`set_backend`): of 2 spaces
    3 models, of 5 spaces 31.

    Args:
        spaces: name -> stimuli x features; columns are z-scored over training stimuli.
        responses: stimuli x voxels.
        folds: what is held out.
        alphas: penalties; see `banded_ridge`.
        n_iter: how many weights of the spaces are tried.

    Raises:
        MetricError: fewer than 2 spaces or more than 5, or arrays that do not fit each other or hold NaN.
        MissingExtraError: himalaya is not installed.

    Example:
        >>> import numpy as np
        >>> from ontogeny.metrics import make_folds, variance_partition
        >>> a, b = np.random.default_rng(0).normal(size=(2, 90, 4))
        >>> found = variance_partition({"a": a, "b": b}, a[:, :1] + b[:, :1], folds=make_folds(90), alphas=(0.1, 10.0))
        >>> {name: round(float(part[0]), 1) for name, part in found.unique.items()}
        {'a': 0.5, 'b': 0.5}
    """
    x, y = _checked(spaces, responses, folds)
    names = tuple(x)
    models = [some for size in range(1, len(names) + 1) for some in combinations(names, size)]
    fits = [(some, train, test) for some in models for train, test in folds]
    missed = {some: np.zeros(y.shape[1]) for some in models}
    parts = np.zeros((len(names), y.shape[1]))
    for some, train, test in tqdm(fits, desc="banded ridge", unit="fit", delay=_BAR_AFTER, leave=False, disable=None):
        predicted, held = _split_predictions([x[name] for name in some], y, train, test, alphas=alphas, n_iter=n_iter)
        joint = predicted.sum(axis=0)
        missed[some] += np.square(held - joint).sum(axis=0)
        if some == names:
            parts += (predicted * (2 * held - joint)).sum(axis=1)
    total = sum(np.square(y[test] - y[train].mean(axis=0)).sum(axis=0) for train, test in folds)
    return VariancePartition(
        spaces=names,
        r2={some: 1 - errors / total for some, errors in missed.items()},
        split=dict(zip(names, parts / total, strict=True)),
    )


def _split_predictions(
    spaces: Sequence[Float[np.ndarray, "stimuli _"]],
    y: Responses,
    train: np.ndarray,
    test: np.ndarray,
    *,
    alphas: Sequence[float],
    n_iter: int,
) -> tuple[Float[np.ndarray, "spaces held_out voxels"], Float[np.ndarray, "held_out voxels"]]:
    """What each space predicts of held-out responses about the training mean; and these responses."""
    kernels = require("himalaya.kernel_ridge", "encoding")
    to_numpy = require("himalaya.backend", "encoding").get_backend().to_numpy
    x, middle = np.concatenate(spaces, axis=1), y[train].mean(axis=0)
    widths: dict[str, int | None] = {str(number): space.shape[1] for number, space in enumerate(spaces)}
    model = banded_ridge(widths, alphas=alphas, n_iter=n_iter).fit(x[train], y[train])
    ridge, held_out = model[-1], model[:-1].transform(x[test])
    split = kernels.predict_weighted_kernel_ridge(held_out, ridge.dual_coef_, ridge.deltas_, split=True)
    offset = (to_numpy(ridge.intercept_) - middle) / len(spaces)  # rounding: columns and responses are centred
    return np.asarray(to_numpy(split)) + offset, y[test] - middle


def _checked(
    spaces: Mapping[str, np.ndarray], responses: np.ndarray, folds: Folds | Splits
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Both as float64.

    Raises:
        MetricError: see `variance_partition`.
    """
    if not 2 <= len(spaces) <= _MOST:
        raise MetricError(f"variance is partitioned between 2 to {_MOST} feature spaces, got {len(spaces)}")
    arrays = {**spaces, "the responses": responses}
    for name, array in arrays.items():
        if np.ndim(array) != 2 or len(array) != folds.n_stimuli or 0 in np.shape(array):
            raise MetricError(
                f"{name}: expected {folds.n_stimuli} stimuli x columns, as the folds have them, got {np.shape(array)}"
            )
        if not np.isfinite(array).all():
            raise MetricError(f"{name}: NaN or infinity; leave these stimuli or columns out")
    y = np.asarray(responses, dtype=np.float64)
    if still := int((np.ptp(y, axis=0) == 0).sum()):
        raise MetricError(f"{still} voxel(s) are constant, so that there is no variance to explain; leave them out")
    return {name: np.asarray(array, dtype=np.float64) for name, array in spaces.items()}, y
