"""Kernel matrices of the stimuli: linear and Gaussian, centred for biased and unbiased HSIC."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import Square, upper
from ontogeny.errors import MetricError
from ontogeny.metrics.layer_geometry import LayerGeometry

__all__ = ["Kind", "centre", "direction", "kernel", "kernel_of_squares", "variance"]

Kind = Literal["linear", "rbf"]


def kernel(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    *,
    kind: Kind = "linear",
    width: float | None = None,
) -> Square:
    """Kernel matrix of the stimuli, not centred for "rbf".

    Args:
        x: stimuli x features (or voxels).
        kind: "linear": inner products of centred features; "rbf": exp(-d^2 / (2 sigma^2)).
        width: sigma of "rbf" in the unit of x; None: the median distance between stimuli.

    Returns:
        stimuli x stimuli.

    Raises:
        MetricError: the width is None and the median distance 0.
    """
    view = LayerGeometry(torch.as_tensor(x))
    if kind == "linear":
        return view.gram.numpy() * view.scale**2
    return kernel_of_squares(view.squared_distances.numpy(), kind, None if width is None else width / view.scale)


def kernel_of_squares(squared: Square, kind: Kind, width: float | None) -> Square:
    """Kernel of squared distances; the linear one, -d^2 / 2, is that of inner products once it is centred."""
    if kind == "linear":
        return squared / -2
    out: Square = np.exp(squared / (-2 * variance(squared, width)))
    return out


def variance(squared: Square, width: float | None) -> float:
    """sigma^2: of the width, or the median squared distance.

    Raises:
        MetricError: the width is None and the median 0.
    """
    found = float(np.median(upper(squared), overwrite_input=True)) if width is None else width**2
    if found <= 0:
        raise MetricError("more than half of the stimuli pairs have distance 0, so the median width is 0; set a width")
    return found


def centre(k: Square, *, debiased: bool) -> Square:
    """H K H, or the U-centred kernel with zero diagonal (its inner products are unbiased HSIC up to n (n - 3))."""
    n = len(k)
    if not debiased:
        rows = k.mean(axis=0)
        out: Square = k - (rows - rows.mean() / 2)[:, None]
        out -= (rows - rows.mean() / 2)[None, :]
        return out
    out = k.copy()
    np.fill_diagonal(out, 0.0)
    rows = out.sum(axis=0) / (n - 2)
    half = rows.sum() / (n - 1) / 2
    out -= (rows - half)[:, None]
    out -= (rows - half)[None, :]
    np.fill_diagonal(out, 0.0)
    return out


def direction(k: Square, *, debiased: bool) -> tuple[Float[np.ndarray, " entries"], float]:
    """The centred kernel, flattened, with unit norm; and the norm that it had.

    Raises:
        MetricError: fewer than 4 stimuli, or a kernel without any structure.
    """
    if len(k) < 4:
        raise MetricError(f"CKA needs at least 4 stimuli, got {len(k)}")
    flat = centre(k, debiased=debiased).ravel()
    norm = float(np.linalg.norm(flat))
    if norm <= 1e-12 * float(np.abs(k).max()) * len(k):
        raise MetricError("a kernel that is the same for every pair of stimuli cannot be aligned with anything")
    flat /= norm
    return flat, norm
