"""RSA: representational dissimilarity matrices compared (Kriegeskorte et al. 2008, Front Syst Neurosci 2:4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from ontogeny._arrays import Pairs
from ontogeny.assembly import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Value
from ontogeny.metrics.ceiling import Bounds, subject_bounds
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.view import LayerView

__all__ = ["RSA", "compare_rdms", "rdm"]

Distance = Literal["correlation", "euclidean"]
Comparison = Literal["spearman", "pearson", "cosine"]


def rdm(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    *,
    distance: Distance = "correlation",
) -> Pairs:
    """Dissimilarity of every pair of stimuli.

    Args:
        x: stimuli x features (or voxels).
        distance: "correlation": 1 - Pearson r over features; "euclidean": squared Euclidean distance.

    Returns:
        One value a pair i < j, in the order of `numpy.triu_indices`.

    Raises:
        FeatureError: NaN, or a stimulus whose features are all equal ("correlation").
    """
    view = LayerView(torch.as_tensor(x))
    return _pairs(view, distance) * (1.0 if distance == "correlation" else view.scale**2)


def _pairs(view: LayerView, distance: Distance) -> Pairs:
    square = 1 - view.correlations if distance == "correlation" else view.squared_distances
    return _upper(square.numpy())


def _upper(square: Float[np.ndarray, "stimuli stimuli"]) -> Pairs:
    values: Pairs = np.asarray(square[np.triu_indices(len(square), 1)], dtype=np.float64)
    return values


def compare_rdms(a: Pairs, b: Pairs, *, comparison: Comparison = "spearman") -> float:
    """Likeness of two dissimilarity vectors.

    Args:
        a: one value a pair.
        b: the same pairs.
        comparison: "spearman" (mid-ranks for ties), "pearson" or "cosine".

    Returns:
        Correlation or cosine, -1 to 1.

    Raises:
        MetricError: different lengths, or a constant vector.
    """
    if a.shape != b.shape:
        raise MetricError(f"two RDMs over the same stimuli have the same pairs, got {a.shape} and {b.shape}")
    return float(_unit(a, comparison) @ _unit(b, comparison))


def _unit(pairs: Pairs, comparison: Comparison) -> Pairs:
    """Unit vector whose inner products are the comparison."""
    values = rankdata(pairs) if comparison == "spearman" else np.asarray(pairs, dtype=np.float64)
    if comparison != "cosine":
        values = values - values.mean()
    norm = float(np.linalg.norm(values))
    if norm <= 1e-12 * max(1.0, float(np.abs(pairs).max())) * len(pairs) ** 0.5:
        raise MetricError("an RDM whose dissimilarities are all equal cannot be compared")
    out: Pairs = values / norm
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class RSA:
    """Dissimilarities of the features against those of the responses.

    Chance is 0: over random permutations of the stimuli the expected comparison is exactly 0 for "spearman" and
    "pearson". ("cosine" has no such zero: its chance is the product of the two vectors' mean directions.)
    Ceiling: bounds over subjects, see `ontogeny.metrics.ceiling`.

    Args:
        distance: of features and of voxel responses; a geometry brings its own.
        comparison: of the two dissimilarity vectors.
    """

    distance: Distance = "correlation"
    comparison: Comparison = "spearman"

    @property
    def name(self) -> str:
        """E.g. "rsa-correlation-spearman"."""
        return f"rsa-{self.distance}-{self.comparison}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return {"spearman": "Spearman rho", "pearson": "Pearson r", "cosine": "cosine"}[self.comparison]

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedRSA:
        """Rank every target's dissimilarities once."""
        del folds
        units = np.stack([_unit(self._target_pairs(t), self.comparison) for t in targets])
        bounds = subject_bounds(targets, list(units), lambda a, b: compare_rdms(a, b, comparison=self.comparison))
        return PreparedRSA(metric=self, units=units, bounds=bounds)

    def _target_pairs(self, target: Target) -> Pairs:
        if target.rdm is not None:
            return _upper(target.rdm)
        if target.responses is None:
            raise MetricError(f"RSA: target {target.roi!r} of subject {target.subject!r} has no responses")
        if self.distance == "correlation" and target.responses.shape[1] < 3:
            raise MetricError(
                f"RSA with correlation distance needs at least 3 voxels, but ROI {target.roi!r} of subject "
                f"{target.subject!r} has {target.responses.shape[1]}; use distance='euclidean' or Ridge"
            )
        return rdm(target.responses, distance=self.distance)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRSA:
    """RSA with unit vectors of all targets' dissimilarities (targets x pairs)."""

    metric: RSA
    units: Float[np.ndarray, "targets pairs"]
    bounds: list[Bounds]

    def score(self, view: LayerView) -> list[Value]:
        """One value a target."""
        comparison = self.metric.comparison
        mine = _unit(_pairs(view, self.metric.distance), comparison)
        chance = np.zeros(len(self.units))
        if comparison == "cosine":
            chance = self.units.mean(axis=1) * mine.mean() * len(mine)
        return [
            Value(value=float(value), chance=float(null), ceiling=upper, ceiling_lower=lower)
            for value, null, (lower, upper) in zip(self.units @ mine, chance, self.bounds, strict=True)
        ]
