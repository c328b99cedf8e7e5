"""MutualKNN: how many nearest neighbours two representations share (Huh et al. 2024, arXiv 2405.07987)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.assembly import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Value
from ontogeny.metrics.ceiling import Bounds, subject_bounds
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.view import LayerView

__all__ = ["MutualKNN", "mutual_knn", "neighbours"]

Likeness = Literal["cosine", "inner", "euclidean"]


def neighbours(likeness: Square, k: int) -> Int[np.ndarray, "stimuli k"]:
    """Row numbers of each stimulus' k most alike others, itself excluded.

    Raises:
        MetricError: k is not between 1 and stimuli - 1.
    """
    n = len(likeness)
    if not 1 <= k < n:
        raise MetricError(f"k nearest neighbours among {n} stimuli: k should be 1 to {n - 1}, got {k}")
    others = likeness.copy()
    np.fill_diagonal(others, -np.inf)
    found: Int[np.ndarray, "stimuli k"] = np.argsort(-others, axis=1, kind="stable")[:, :k]
    return found


def mutual_knn(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    y: Float[Tensor, "stimuli voxels"] | Float[np.ndarray, "stimuli voxels"],
    *,
    k: int = 10,
    likeness: Likeness = "cosine",
) -> float:
    """Mean over stimuli of |N_k(x) and N_k(y)| / k.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.
        k: neighbours a stimulus.
        likeness: "cosine" of the raw rows, "inner" product, or "euclidean" (nearest first).

    Returns:
        0 to 1; k / (n - 1) by chance.
    """
    if len(x) != len(y):
        raise MetricError(f"both sides need the same stimuli, got {len(x)} and {len(y)} rows")
    near_x = neighbours(_likeness(LayerView(torch.as_tensor(x)), likeness), k)
    near_y = _mask(neighbours(_likeness(LayerView(torch.as_tensor(y)), likeness), k))
    return float(np.take_along_axis(near_y, near_x, axis=1).mean())


def _mask(near: Int[np.ndarray, "stimuli k"]) -> Bool[np.ndarray, "stimuli stimuli"]:
    mask = np.zeros((len(near), len(near)), dtype=bool)
    np.put_along_axis(mask, near, values=True, axis=1)
    return mask


def _likeness(view: LayerView, likeness: Likeness) -> Square:
    if likeness == "euclidean":
        return -view.squared_distances.numpy()
    raw = view.x @ view.x.T
    if likeness == "cosine":
        norms = view.x.norm(dim=1).clamp_min(1e-300)
        raw = raw / norms[:, None] / norms[None, :]
    return raw.numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualKNN:
    """Shared nearest neighbours of features and responses.

    Chance: k / (n - 1), exact over permutations of the stimuli. Ceiling: bounds over subjects (neighbours in the
    mean of the other subjects' likeness ranks). A geometry's neighbours are the least dissimilar stimuli.

    Args:
        k: neighbours a stimulus.
        likeness: see `mutual_knn`.
    """

    k: int = 10
    likeness: Likeness = "cosine"

    @property
    def name(self) -> str:
        """E.g. "mutual-knn-10-cosine"."""
        return f"mutual-knn-{self.k}-{self.likeness}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "share of neighbours"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedMutualKNN:
        """Find every target's neighbours once."""
        del folds
        likes = [self._target_likeness(t) for t in targets]
        masks = np.stack([_mask(neighbours(like, self.k)) for like in likes])
        standard = [(like - like.mean()) / like.std() for like in likes]
        bounds = subject_bounds(targets, standard, self._compare)
        return PreparedMutualKNN(metric=self, masks=masks, bounds=bounds)

    def _target_likeness(self, target: Target) -> Square:
        if target.rdm is not None:
            return -target.rdm
        if target.responses is None:
            raise MetricError(f"MutualKNN: target {target.roi!r} of subject {target.subject!r} has no responses")
        return _likeness(LayerView(torch.as_tensor(target.responses)), self.likeness)

    def _compare(self, a: Square, b: Square) -> float:
        near, mask = neighbours(a, self.k), _mask(neighbours(b, self.k))
        return float(np.take_along_axis(mask, near, axis=1).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMutualKNN:
    """MutualKNN with neighbour masks of all targets (targets x stimuli x stimuli)."""

    metric: MutualKNN
    masks: Bool[np.ndarray, "targets stimuli stimuli"]
    bounds: list[Bounds]

    def score(self, view: LayerView) -> list[Value]:
        """One value a target."""
        near = neighbours(_likeness(view, self.metric.likeness), self.metric.k)
        chance = self.metric.k / (view.n_stimuli - 1)
        return [
            Value(
                value=float(np.take_along_axis(mask, near, axis=1).mean()),
                chance=chance,
                ceiling=upper,
                ceiling_lower=lower,
            )
            for mask, (lower, upper) in zip(self.masks, self.bounds, strict=True)
        ]
