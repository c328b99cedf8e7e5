"""CCA: canonical correlations of features and responses, fitted on some stimuli and read on others.

In-sample canonical correlations, and with them SVCCA (Raghu et al. 2017, arXiv 1706.05806), are 1 wherever there are as
many features as stimuli. Here directions are found in the training folds alone, and what counts is the correlation of
the held-out stimuli along them, so that unrelated sides give 0. For each fold:

    both sides    principal components of the training stimuli that keep a share of the variance, singular values s,
                  scores divided by sqrt(s^2 + penalty * mean(s^2))
    directions    singular vectors of the product of both sides' scores, largest first
    value         mean over components and folds of Pearson r between the held-out stimuli's scores along them

Only inner products of the stimuli are used, so that a geometry will do for a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._intersubject_ceiling import Bounds, subject_bounds
from ontogeny.metrics._pairwise.kernels import centre
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_room
from ontogeny.metrics.metric import Value
from ontogeny.metrics.on_arrays import score_arrays

__all__ = ["CCA", "PreparedCCA", "held_out_cca"]

_ROUNDING = 1e-12
_SQUARES = 6  # one fold of one side, with its eigenvectors


def held_out_cca(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    y: Float[Tensor, "others voxels"] | Float[np.ndarray, "others voxels"],
    *,
    folds: Folds,
    components: int = 5,
    keep: float = 0.99,
    penalty: float = 1.0,
) -> float:
    """Mean held-out canonical correlation; this module's docstring says how.

    Args:
        x: stimuli x features.
        y: stimuli x voxels, the same stimuli.
        folds: which stimuli are held out together.
        components: canonical components to average; those that a side has no dimension for count as 0, but none beyond
            y's own dimensions is counted.
        keep: share of each side's variance that its principal components keep.
        penalty: relative to the mean squared singular value of what is kept.

    Returns:
        -1 to 1; 0 by chance.

    Raises:
        FeatureError: NaN, or the same features for every stimulus.
        MetricError: options out of range, or other stimuli.
    """
    metric = CCA(components=components, keep=keep, penalty=penalty)
    n = len(folds.held_out)
    if not len(x) == len(y) == n:
        raise MetricError(f"the folds are for {n} stimuli, the two sides have {len(x)} and {len(y)} rows")
    layer, target = (_halves(LayerGeometry(torch.as_tensor(side)).gram.numpy(), folds, metric) for side in (x, y))
    return _held_out(layer, target, components)


@dataclass(frozen=True, slots=True, kw_only=True)
class CCA:
    """Held-out canonical correlation of features and responses, see `held_out_cca`.

    Chance is 0: within a held-out fold the expected correlation over permutations of the stimuli is exactly 0, whatever
    was fitted to the others. Ceiling: bounds over subjects (the mean of subjects' Gram matrices with trace 1 taken as
    the features). A geometry's Gram matrix is -D/2.

    Args:
        components: see `held_out_cca`.
        keep: see `held_out_cca`.
        penalty: see `held_out_cca`.

    Raises:
        MetricError: options out of range.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> round(CCA()(features, responses).value, 3)
        0.957
    """

    components: int = 5
    keep: float = 0.99
    penalty: float = 1.0

    __call__ = score_arrays

    def __post_init__(self) -> None:
        if self.components < 1 or not 0 < self.keep <= 1 or not self.penalty >= 0:
            raise MetricError(
                "CCA: expected at least 1 component, a share of variance above 0 and up to 1 to keep, and a penalty of "
                f"0 or more; got {self.components}, {self.keep} and {self.penalty}"
            )

    @property
    def name(self) -> str:
        """E.g. "cca-5-0.99-1"."""
        return f"cca-{self.components}-{self.keep:g}-{self.penalty:g}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "held-out canonical r"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedCCA:
        """Find every target's principal components, fold by fold, once.

        Raises:
            MetricError: a target without responses.
            TooLargeError: no memory for their Gram matrices and principal components.
        """
        check_room([self.name], targets, _SQUARES + 2 * len(targets))
        grams = [_target_gram(target, len(folds.held_out)) for target in targets]
        halves = [_halves(gram, folds, self) for gram in grams]
        own = {id(gram): half for gram, half in zip(grams, halves, strict=True)}
        bounds = subject_bounds(
            targets, grams, lambda a, b: _held_out(_halves(a, folds, self), own[id(b)], self.components)
        )
        return PreparedCCA(metric=self, folds=folds, halves=halves, bounds=bounds)


def _target_gram(target: Target, n: int) -> Square:
    """Inner products of the centred stimuli, at trace 1."""
    whose = f"{target.roi!r} of subject {target.subject!r}"
    if target.rdm is not None:
        gram = centre(target.rdm / -2, debiased=False)
    elif target.responses is not None:
        gram = LayerGeometry(torch.as_tensor(target.responses)).gram.numpy()
    else:
        raise MetricError(f"CCA: target {whose} has no responses")
    if len(gram) != n:
        raise MetricError(f"CCA: the folds are for {n} stimuli, target {whose} has {len(gram)}")
    return np.asarray(gram / gram.trace())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Half:
    """One side in one fold: scores of the training and of the held-out stimuli."""

    train: Float[np.ndarray, "train kept"]
    test: Float[np.ndarray, "test kept"]


def _halves(gram: Square, folds: Folds, metric: CCA) -> list[_Half]:
    """Both centred with the training mean, which the held-out stimuli have no part in."""
    out = []
    for train, test in folds:
        inside, across = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
        mean = inside.mean(axis=0)
        inside = inside - mean[:, None] - mean[None, :] + mean.mean()
        across = across - across.mean(axis=1, keepdims=True) - mean[None, :] + mean.mean()
        power, u = np.linalg.eigh(inside)
        power, u = power[::-1], u[:, ::-1]
        power = power[power > _ROUNDING * gram.trace()]
        kept = 1 + int(np.searchsorted(power.cumsum(), (metric.keep - _ROUNDING) * power.sum()))
        power, u = power[:kept], u[:, :kept]
        length = np.sqrt(power + metric.penalty * power.mean()) if power.size else power
        root = np.sqrt(power)
        out.append(_Half(train=u * (root / length), test=across @ u / (root * length)))
    return out


def _held_out(layer: Sequence[_Half], target: Sequence[_Half], components: int) -> float:
    """Mean over folds, and over the components that the second side has dimensions for."""
    found = []
    for x, y in zip(layer, target, strict=True):
        a, _, b = np.linalg.svd(x.train.T @ y.train, full_matrices=False)
        scores = [x.test @ a[:, :components], y.test @ b[:components].T]
        centred = [side - side.mean(axis=0) for side in scores]
        norms = np.prod([np.linalg.norm(side, axis=0) for side in centred], axis=0)
        r = (centred[0] * centred[1]).sum(axis=0) / np.where(norms > 0, norms, 1.0)
        found.append(r.sum() / min(components, max(y.train.shape[1], 1)))
    return float(np.mean(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCCA:
    """CCA with every target's half of every fold."""

    metric: CCA
    folds: Folds
    halves: list[list[_Half]]
    bounds: list[Bounds]

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value a target."""
        layer = _halves(view.gram.numpy(), self.folds, self.metric)
        return [
            Value(
                value=_held_out(layer, target, self.metric.components),
                chance=0.0,
                ceiling=upper,
                ceiling_lower=lower,
            )
            for target, (lower, upper) in zip(self.halves, self.bounds, strict=True)
        ]
