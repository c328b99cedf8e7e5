"""Banded ridge as himalaya has it: one kernel per feature space, weights and penalty chosen for each voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ontogeny.errors import require

__all__ = ["VOXELWISE_ALPHAS", "banded_ridge"]

_TOGETHER = 1000
VOXELWISE_ALPHAS: tuple[float, ...] = tuple(float(a) for a in np.logspace(1, 20, 20))


def banded_ridge(
    widths: Mapping[str, int | None],
    *,
    alphas: Sequence[float] = VOXELWISE_ALPHAS,
    n_iter: int = 20,
) -> Any:
    """Himalaya's `MultipleKernelRidgeCV` on linear kernels, its search as the voxelwise tutorials set it.

    Columns are z-scored over the training stimuli. Weights of the feature spaces are drawn from a Dirichlet
    distribution (frozen by a seed), the first ones equal; penalty and weights are those with the smallest squared error
    of each voxel in five contiguous parts of the training stimuli.

    Args:
        widths: name of each feature space -> its columns, side by side; None for the last: all that are left.
        alphas: penalties.
        n_iter: how many weights are tried.

    Returns:
        A pipeline of scikit-learn's kind.

    Raises:
        MissingExtraError: himalaya is not installed.

    Example:
        >>> list(banded_ridge({"length": 9, "layer": None}).named_steps)
        ['columnkernelizer', 'multiplekernelridgecv']
    """
    kernels, pipeline = require("himalaya.kernel_ridge", "encoding"), require("sklearn.pipeline", "encoding")
    scaler = require("sklearn.preprocessing", "encoding").StandardScaler
    edges = np.cumsum([0, *(width or 0 for width in widths.values())]).tolist()
    columns = [
        (name, pipeline.make_pipeline(scaler(), kernels.Kernelizer()), slice(start, start + width if width else None))
        for (name, width), start in zip(widths.items(), edges, strict=False)
    ]
    search = {
        "alphas": np.asarray(alphas),
        "n_iter": n_iter if len(widths) > 1 else 1,
        "n_targets_batch": _TOGETHER,
        "progress_bar": False,
    }
    ridge = kernels.MultipleKernelRidgeCV("precomputed", solver_params=search, fit_intercept=True, random_state=0)
    return pipeline.make_pipeline(kernels.ColumnKernelizer(columns), ridge)
