"""Ridge: cross-validated linear predictivity of voxels from features (ridge encoding).

The algebra is in `ontogeny.metrics.ridge._solve`, the choice of penalties in
`ontogeny.metrics.ridge._penalty_selection`. Penalties are relative to the mean squared singular value, so that features
that only grow during training give the same score.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from ontogeny._arrays import PerVoxel, Responses
from ontogeny._memory import require_memory
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Value
from ontogeny.metrics.on_arrays import score_arrays
from ontogeny.metrics.ridge._outer_folds import (
    Fits,
    Regions,
    by_few_voxels,
    by_region,
    by_voxel,
    fits,
    held_out,
    regions,
)
from ontogeny.metrics.ridge._penalty_selection import Rule
from ontogeny.metrics.ridge._solve import Design, design, is_wide
from ontogeny.metrics.ridge._tridiagonal import is_few
from ontogeny.metrics.ridge._voxels import Voxels, arrange
from ontogeny.metrics.ridge._weights import chosen, weights_at

__all__ = ["ALPHAS", "Ridge", "ridge_cv", "side_by_side"]

ALPHAS: tuple[float, ...] = tuple(float(a) for a in np.logspace(-5, 5, 21))


def ridge_cv(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    y: Responses,
    *,
    folds: Folds,
    rule: Rule = "gcv",
    local_alpha: bool = True,
    alphas: Sequence[float] = ALPHAS,
) -> PerVoxel:
    """Pearson r between predicted and held-out responses, mean over folds, a value per voxel.

    Args:
        x: stimuli x features.
        y: stimuli x voxels.
        folds: outer folds; the penalty is chosen inside each fold's training stimuli.
        rule: "gcv" (generalised cross-validation), "loo" (exact leave-one-out) or "kfold" (the other outer folds).
        local_alpha: a penalty for each voxel; False: one for all of them.
        alphas: penalties, relative to the mean squared singular value of the centred training features
            (sum of squares / training stimuli).

    Returns:
        Pearson r, one per voxel; 0 where a fold's prediction is constant.

    Raises:
        FeatureError: features hold NaN or are the same for every stimulus.
        MetricError: options, rows or folds that do not fit, or a voxel with NaN or constant in a fold.
    """
    metric = Ridge(rule=rule, local_alpha=local_alpha, alphas=tuple(alphas))
    target = Target(subject="", roi="", responses=y, n_voxels=y.shape[1])
    return metric.prepare([target], folds).per_voxel(LayerGeometry(torch.as_tensor(x)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """Cross-validated ridge encoding: mean over a ROI's voxels of the held-out Pearson r.

    Chance is 0: within a held-out fold the expected correlation over permutations of the stimuli is exactly 0.
    Ceiling: mean of the voxels' own ceilings, as the data set gives them.

    Args:
        rule: how the penalty is chosen inside the training folds: "gcv" (generalised cross-validation: fast, for
            curves), "loo" (exact leave-one-out, for reported numbers) or "kfold" (the other outer folds are the inner
            ones, at least 3 folds). They pick the same penalty for most voxels, except where some stimuli have much
            higher leverage than others.
        alphas: penalties, relative to the mean squared singular value of the training features.
        local_alpha: choose a penalty for each voxel, as himalaya's `local_alpha` and scikit-learn's `alpha_per_target`
            do; False: one for all voxels of a ROI, which weigh the same (cheaper where a ROI has more voxels than
            there are stimuli).
        alpha: the old name of `local_alpha` ("voxel" or "roi"), for one release.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(40, 5))
        >>> Ridge()(x, x @ np.ones((5, 2)))
        ridge-gcv: Pearson r = 1 (chance 0; 40 stimuli, 5 features, 2 voxels; 5 shuffled folds, seed 0)
    """

    rule: Rule = "gcv"
    alphas: tuple[float, ...] = ALPHAS
    local_alpha: bool = True
    alpha: InitVar[str | None] = None

    permuted: ClassVar = "voxels"
    __call__ = score_arrays

    def __post_init__(self, alpha: str | None) -> None:
        if self.rule not in get_args(Rule):
            raise MetricError(f"Ridge: rule is 'gcv', 'loo' or 'kfold', got {self.rule!r}")
        if alpha is not None:
            if alpha not in ("voxel", "roi"):
                raise MetricError(f"Ridge: alpha was 'voxel' or 'roi', got {alpha!r}; penalties are given by alphas=")
            warnings.warn(f"Ridge(alpha={alpha!r}) is now local_alpha={alpha == 'voxel'}", DeprecationWarning, 3)
            object.__setattr__(self, "local_alpha", alpha == "voxel")
        check_alphas("Ridge", self.alphas)

    @override
    def __repr__(self) -> str:
        """Options; what was always so is left out, for this is part of a benchmark's fingerprint."""
        shared = "" if self.local_alpha else ", local_alpha=False"
        return f"Ridge(rule={self.rule!r}, alphas={self.alphas!r}{shared})"

    @property
    def name(self) -> str:
        """E.g. "ridge-gcv", "ridge-loo-roi"."""
        return f"ridge-{self.rule}{'' if self.local_alpha else '-roi'}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "Pearson r"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedRidge:
        """Centre, scale and sort all voxels of all subjects once.

        Raises:
            MetricError: a geometry, NaN, a voxel that is constant in a fold, or too few folds for "kfold".
        """
        if self.rule == "kfold" and len(folds) < 3:
            raise MetricError(
                f"Ridge: rule 'kfold' chooses penalties on the other outer folds and needs at least 3, got {len(folds)}"
            )
        responses, edges = side_by_side("Ridge", targets)
        voxels = arrange(responses, folds)
        return PreparedRidge(
            metric=self,
            voxels=voxels,
            regions=regions(voxels, edges) if not self.local_alpha else None,
            edges=edges,
            ceilings=[None if t.ceiling is None else float(np.mean(t.ceiling)) for t in targets],
        )


def check_alphas(owner: str, alphas: tuple[float, ...]) -> None:
    """Refuse penalties that are not positive numbers.

    Raises:
        MetricError: none, or one that is not positive and finite.
    """
    if not alphas or not all(0 < a < float("inf") for a in alphas):
        raise MetricError(f"{owner}: alphas should be positive numbers, got {alphas}")


def side_by_side(owner: str, targets: Sequence[Target]) -> tuple[Responses, np.ndarray]:
    """All targets' voxels in one array, and where each target starts.

    Raises:
        MetricError: a target without voxels.
    """
    blocks = []
    for target in targets:
        if target.responses is None:
            raise MetricError(
                f"{owner} needs voxels, but ROI {target.roi!r} of subject {target.subject!r} is a geometry "
                "(dissimilarities only); use RSA, CKA or MutualKNN there"
            )
        blocks.append(target.responses)
    return np.concatenate(blocks, axis=1), np.cumsum([0, *(block.shape[1] for block in blocks)])


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRidge:
    """Ridge models to keep.

    Args:
        scores: one per voxel.
        predictions: of stimuli when they were held out.
        coef: of the model of all stimuli, in the features' own units.
        intercept: one per voxel.
        alphas: penalties of the model of all stimuli, as scikit-learn's `Ridge` takes them.
    """

    scores: PerVoxel
    predictions: Responses
    coef: Float[np.ndarray, "voxels features"]
    intercept: PerVoxel
    alphas: PerVoxel


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRidge:
    """Ridge with all voxels of all targets side by side; `edges` says where each target starts."""

    metric: Ridge
    voxels: Voxels
    regions: Regions | None
    edges: np.ndarray
    ceilings: list[float | None]

    def per_voxel(self, view: LayerGeometry) -> PerVoxel:
        """Pearson r of every voxel, mean over folds."""
        few = self._per_few_voxels(view)
        if few is not None:
            return few
        fitted, shared = self._fits(view), self.regions
        each = by_voxel(fitted, self.voxels) if shared is None else by_region(fitted, self.voxels, shared)
        return np.asarray(each.mean(axis=0))

    def _per_few_voxels(self, view: LayerGeometry) -> PerVoxel | None:
        """The same without eigenvectors; None where they are the cheaper way, or the only safe one."""
        shape, cuts, alphas = (view.n_stimuli, view.n_features), self.voxels.cuts, np.asarray(self.metric.alphas)
        size = int(shape[0] * (1 - 1 / cuts.n_folds)) if is_wide(shape, cuts) else shape[1]
        if self.metric.rule != "gcv" or self.regions is not None or not is_few(len(self.voxels.y), size, alphas):
            return None
        try:
            return np.asarray(by_few_voxels(self._design(view, whiten=False), alphas, self.voxels).mean(axis=0))
        except ArithmeticError:
            return None

    def _design(self, view: LayerGeometry, *, whiten: bool = True) -> Design:
        shape, cuts = (view.n_stimuli, view.n_features), self.voxels.cuts
        return design(shape, lambda: view.x.numpy(), lambda: view.gram.numpy(), cuts, whiten=whiten)

    def _fits(self, view: LayerGeometry) -> Fits:
        return fits(self._design(view), self.metric.rule, np.asarray(self.metric.alphas, dtype=np.float64))

    def fit(self, view: LayerGeometry, responses: Responses) -> FittedRidge:
        """Weights to keep, at the penalties that the rule chooses on all stimuli; and predictions of held-out stimuli.

        Args:
            view: the layer.
            responses: stimuli x voxels, as all targets have them side by side.

        Raises:
            TooLargeError: no memory for the weights.
        """
        require_memory(8 * 2 * responses.shape[1] * view.n_features, "the weights of ridge", instead="fit fewer voxels")
        alphas, x = np.asarray(self.metric.alphas, dtype=np.float64), view.x.numpy() * view.scale
        found = chosen(self._fits(view), alphas, self.voxels, self.regions)
        y, cuts = np.asarray(responses, dtype=np.float64), self.voxels.cuts
        predictions = np.empty_like(y)
        for fold, places in enumerate(found.of_folds):
            test, train = cuts.order[cuts.test(fold)], cuts.train(cuts.order, (fold,), axis=0)
            coef, intercept, _ = weights_at(x[train], y[train], alphas[places])
            predictions[test] = x[test] @ coef.T + intercept
        coef, intercept, absolute = weights_at(x, y, alphas[found.of_all])
        return FittedRidge(
            scores=self.per_voxel(view), predictions=predictions, coef=coef, intercept=intercept, alphas=absolute
        )

    def held_out(self, view: LayerGeometry) -> Responses:
        """Predictions of stimuli when they were held out, up to a shift and a factor of each fold and voxel.

        Raises:
            MetricError: penalties that a ROI's voxels share.
        """
        if self.regions is not None:
            raise MetricError(f"{self.metric.name}: held-out predictions are of penalties per voxel; use Ridge()")
        return held_out(self._fits(view), self.voxels)

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value per target: the mean over its voxels."""
        return self.score_voxels(view)[0]

    def score_voxels(self, view: LayerGeometry) -> tuple[list[Value], PerVoxel]:
        """One value per target, and one per voxel."""
        each = self.per_voxel(view)
        return [
            Value(value=float(each[start:stop].mean()), chance=0.0, ceiling=ceiling)
            for start, stop, ceiling in zip(self.edges[:-1], self.edges[1:], self.ceilings, strict=True)
        ], each
