"""Nearest neighbours that two representations share (Huh et al. 2024, arXiv 2405.07987).

MutualKNN    mean over stimuli of |N_k(X) and N_k(Y)| / k
CycleKNN     share of stimuli that are among the X-neighbours of one of their Y-neighbours
CKNNA        unbiased HSIC over mutual neighbours, normalised as in CKA
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._batched.neighbor_grid import prepare_neighbours
from ontogeny.metrics._pairwise.local_kernels import Edges, Sums, hsic_over
from ontogeny.metrics._pairwise.nearest_neighbors import Likeness, Nearest, likeness_of, neighbours, view_of
from ontogeny.metrics._pairwise.neighbor_measures import Form, Measure
from ontogeny.metrics.batching import SingleMetric
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.on_arrays import score_arrays

__all__ = ["CKNNA", "CycleKNN", "MutualKNN", "cknna", "cycle_knn", "mutual_knn", "neighbours"]

Rows = Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"]
Others = Float[Tensor, "others voxels"] | Float[np.ndarray, "others voxels"]
Inner = Literal["cosine", "inner"]


def _both(x: Rows, y: Others, likeness: Likeness) -> tuple[Square, Square]:
    if len(x) != len(y):
        raise MetricError(f"both sides need the same stimuli, got {len(x)} and {len(y)} rows")
    return likeness_of(view_of(x, z=False), likeness), likeness_of(view_of(y, z=False), likeness)


def mutual_knn(x: Rows, y: Others, *, k: int = 10, likeness: Likeness = "cosine") -> float:
    """Mean over stimuli of |N_k(x) and N_k(y)| / k.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.
        k: neighbours a stimulus.
        likeness: "cosine" of the raw rows, "inner" product, or "euclidean" (nearest first).

    Returns:
        0 to 1; k / (n - 1) by chance.

    Raises:
        MetricError: other stimuli, or k is not 1 to stimuli - 1.
    """
    near_x, near_y = (Nearest.of(side) for side in _both(x, y, likeness))
    return float(np.take_along_axis(near_y.mask(k), near_x.rows(k), axis=1).mean())


def cycle_knn(x: Rows, y: Others, *, k: int = 10, likeness: Likeness = "cosine") -> float:
    """Share of stimuli i that are among the k nearest, by x, of one of their own k nearest, by y.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.
        k: neighbours a stimulus.
        likeness: see `mutual_knn`.

    Returns:
        0 to 1, about 1 - exp(-k^2 / n) by chance; not symmetric in x and y.

    Raises:
        MetricError: other stimuli, or k is not 1 to stimuli - 1.
    """
    near_x, near_y = (Nearest.of(side) for side in _both(x, y, likeness))
    return float((near_y.mask(k) & near_x.mask(k).T).any(axis=1).mean())


def cknna(x: Rows, y: Others, *, k: int = 10, likeness: Inner = "cosine") -> float:
    """Centred kernel alignment over mutual nearest neighbours.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), each the unbiased HSIC of both kernels where j is among the k nearest of i
    on both sides, and 0 elsewhere; see `ontogeny.metrics._pairwise.local_kernels`.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.
        k: neighbours a stimulus.
        likeness: the kernel: "cosine" or "inner" product of the raw rows.

    Returns:
        1 for x and x. Not exactly symmetric in x and y, as j may be a neighbour of i and i not one of j.

    Raises:
        MetricError: other stimuli, k is not 1 to stimuli - 1, or no structure among so few neighbours.
    """
    of_x, of_y = _both(x, y, likeness)
    near_x, near_y = Nearest.of(of_x), Nearest.of(of_y)
    edges_x, edges_y = Edges.of(of_x, near_x, k), Edges.of(of_y, near_y, k)
    own = Sums.of(edges_x, len(of_x)).own * Sums.of(edges_y, len(of_y)).own
    return hsic_over(of_x, near_x.mask(k), edges_y) / float(np.sqrt(own))


def _check(metric: Measure) -> None:
    if metric.k < 1:
        raise MetricError(f"{type(metric).__name__}: k is at least 1 neighbour, got {metric.k}")
    if not metric.damping >= 0:
        raise MetricError(f"{type(metric).__name__}: damping is 0 or a small positive number, got {metric.damping}")


def _prepare(metric: Measure, targets: Sequence[Target], folds: Folds) -> SingleMetric:
    """Find every target's neighbours, and what the metric needs of them, once."""
    del folds
    return SingleMetric(family=prepare_neighbours([metric], targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualKNN:
    """Shared nearest neighbours of features and responses.

    Chance: k / (n - 1), exact over permutations of the stimuli. Ceiling: bounds over subjects (neighbours in the
    mean of the other subjects' likenesses). A geometry's neighbours are the least dissimilar stimuli.

    Args:
        k: neighbours a stimulus.
        likeness: see `mutual_knn`.
        standardise: z-score each feature and each voxel over stimuli first.

    Raises:
        MetricError: k below 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> MutualKNN(k=5)(features, responses)
        mutual-knn-5-cosine: share of neighbours = 0.57 (chance 0.0847; 60 stimuli, 5 features, 20 voxels)
    """

    k: int = 10
    likeness: Likeness = "cosine"
    standardise: bool = False

    form: ClassVar[Form] = "mutual"
    damping: ClassVar[float] = 0.0
    together: ClassVar = staticmethod(prepare_neighbours)
    permuted: ClassVar = "layer"
    uses_folds: ClassVar = False
    __call__ = score_arrays
    prepare = _prepare

    def __post_init__(self) -> None:
        _check(self)

    @property
    def name(self) -> str:
        """E.g. "mutual-knn-10-cosine"."""
        return f"mutual-knn-{self.k}-{self.likeness}{'-z' * self.standardise}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "share of neighbours"


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleKNN:
    """Cycle consistency of k nearest neighbours, from responses to features and back (Huh et al. 2024): `cycle_knn`.

    Chance: exact over permutations of the stimuli, from how often each stimulus is a neighbour by the features. It is
    high, about 1 - exp(-k^2 / n), so that a score means nothing without it. Ceiling: bounds over subjects, as for
    `MutualKNN`, the mean of subjects taken as the features.

    Args:
        k: neighbours a stimulus.
        likeness: see `mutual_knn`.
        standardise: z-score each feature and each voxel over stimuli first.

    Raises:
        MetricError: k below 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> CycleKNN(k=5)(features, responses)
        cycle-knn-5-cosine: share of stimuli = 1 (chance 0.358; 60 stimuli, 5 features, 20 voxels)
    """

    k: int = 10
    likeness: Likeness = "cosine"
    standardise: bool = False

    form: ClassVar[Form] = "cycle"
    damping: ClassVar[float] = 0.0
    together: ClassVar = staticmethod(prepare_neighbours)
    permuted: ClassVar = "layer"
    uses_folds: ClassVar = False
    __call__ = score_arrays
    prepare = _prepare

    def __post_init__(self) -> None:
        _check(self)

    @property
    def name(self) -> str:
        """E.g. "cycle-knn-10-cosine"."""
        return f"cycle-knn-{self.k}-{self.likeness}{'-z' * self.standardise}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "share of stimuli"


@dataclass(frozen=True, slots=True, kw_only=True)
class CKNNA:
    """Centred kernel alignment over mutual nearest neighbours of features and responses, see `cknna`.

    Chance: the exact mean over permutations of the stimuli. Ceiling: bounds over subjects (the mean of subjects'
    kernels, each over its standard deviation, against each subject). Not for geometries.

    Args:
        k: neighbours a stimulus.
        likeness: the kernel, "cosine" or "inner".
        standardise: z-score each feature and each voxel over stimuli first.
        damping: added to the denominator (Huh et al.: 1e-6). Ceilings are without it.

    Raises:
        MetricError: k below 1, or a negative damping.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> CKNNA(k=10)(features, responses)
        cknna-10-cosine: CKNNA = 0.7327 (chance 0.158; 60 stimuli, 5 features, 20 voxels)
    """

    k: int = 10
    likeness: Inner = "cosine"
    standardise: bool = False
    damping: float = 0.0

    form: ClassVar[Form] = "local"
    together: ClassVar = staticmethod(prepare_neighbours)
    permuted: ClassVar = "layer"
    uses_folds: ClassVar = False
    __call__ = score_arrays
    prepare = _prepare

    def __post_init__(self) -> None:
        _check(self)

    @property
    def name(self) -> str:
        """E.g. "cknna-10-cosine"."""
        return f"cknna-{self.k}-{self.likeness}{'-z' * self.standardise}{'-damped' * (self.damping > 0)}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "CKNNA"
