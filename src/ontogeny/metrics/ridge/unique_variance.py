"""UniqueVariance: what a layer explains of responses beyond the stimuli's surface (banded ridge).

Two bands of features, nuisance N and layer X, each with its own penalty: ridge on [a N, b X] with a^2 + b^2 = 1, where
b^2 / a^2 is the ratio of the two penalties (Nunez-Elizalde, Huth and Gallant 2019, NeuroImage 197:482; Dupré la Tour et
al. 2022, NeuroImage 264:119728). A common penalty would shrink a few nuisance columns as if they were some of a layer's
thousand, and credit the layer with what is theirs. The unique share is the variance that the joint model explains less
what the nuisance explains alone, both in held-out stimuli (variance partitioning: de Heer et al. 2017, J Neurosci
37:6539; Lescroart and Gallant 2019, Neuron 101:178).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Value
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.on_arrays import score_arrays
from ontogeny.metrics.ridge._outer_folds import Fits, PerFold, fits, projections
from ontogeny.metrics.ridge._solve import Design, design
from ontogeny.metrics.ridge._voxels import Voxels, arrange, blocks
from ontogeny.metrics.ridge.ridge import ALPHAS, check_alphas, side_by_side
from ontogeny.stimuli import StimulusSet

__all__ = ["RATIOS", "UniqueVariance", "unique_variance"]

RATIOS: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)


def unique_variance(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    nuisance: Nuisance,
    y: Responses,
    *,
    folds: Folds,
    ratios: Sequence[float] = RATIOS,
    alphas: Sequence[float] = ALPHAS,
) -> PerVoxel:
    """Held-out R^2 of nuisance and layer together, less that of the nuisance alone, a value per voxel.

    Args:
        x: stimuli x features.
        nuisance: rows in the order of `x`.
        y: stimuli x voxels.
        folds: outer folds.
        ratios: see `UniqueVariance`.
        alphas: see `UniqueVariance`.
    """
    metric = UniqueVariance(nuisance=nuisance, ratios=tuple(ratios), alphas=tuple(alphas))
    target = Target(subject="", roi="", responses=y, n_voxels=y.shape[1])
    return metric.prepare([target], folds).per_voxel(LayerGeometry(torch.as_tensor(x)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UniqueVariance:
    """What a layer adds to nuisance features: mean over a ROI's voxels of R^2(both) - R^2(nuisance), held out.

    R^2 = 1 - sum of squared errors / sum of squares about the training mean, both summed over the outer folds. R^2 and
    not r^2: a square has no zero (a wrong sign would count as variance explained), and differences of R^2 are errors
    saved. Penalty and ratio are chosen for each voxel by GCV inside the training stimuli; the nuisance alone is among
    the choices, so that a layer which says nothing more mostly gives 0 exactly.

    Chance is 0: what a layer unrelated to the responses adds is not above 0 in expectation, and a little below where
    GCV takes it in by chance. Ceiling: mean of the voxels' squared ceilings (the R^2 that noise allows) less the
    nuisance's own R^2; None where ceilings are not known.

    Args:
        nuisance: of the stimuli, matched by id; None: their surface, as `ontogeny.stimuli.nuisance_features` makes it.
        ratios: weight of the layer's band over the nuisance's, each scaled to a mean sum of squares of 1 a stimulus.
            Each costs a factorisation per fold.
        alphas: penalties, relative to the mean squared singular value of the scaled, joined training features.
    """

    nuisance: Nuisance | None = None
    ratios: tuple[float, ...] = RATIOS
    alphas: tuple[float, ...] = ALPHAS

    permuted: ClassVar = "voxels"
    __call__ = score_arrays

    def __post_init__(self) -> None:
        check_alphas("UniqueVariance", self.alphas)
        if not self.ratios or not all(0 < r < float("inf") for r in self.ratios):
            raise MetricError(f"UniqueVariance: ratios should be positive numbers, got {self.ratios}")

    @property
    def name(self) -> str:
        """E.g. "unique-r2-surface"."""
        return f"unique-r2-{'surface' if self.nuisance is None else self.nuisance.name}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "R^2"

    def about(self, stimuli: StimulusSet) -> UniqueVariance:
        """The same metric with the nuisance of these stimuli, in their order.

        Raises:
            AlignmentIdError: a stimulus without nuisance features.
            DataError: nuisance features that do not vary over these stimuli.
        """
        given = self.nuisance
        return replace(self, nuisance=Nuisance.surface(stimuli) if given is None else given.about(stimuli))

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedUniqueVariance:
        """Sort all voxels, and fit the nuisance alone, once.

        Raises:
            MetricError: a geometry, NaN, a voxel that is constant in a fold, or nuisance of other stimuli.
        """
        n = len(folds.held_out)
        if self.nuisance is None or len(self.nuisance.values) != n:
            have = "none" if self.nuisance is None else f"{len(self.nuisance.values)} rows"
            raise MetricError(
                f"UniqueVariance needs nuisance features of the {n} stimuli in their order, got {have}; "
                "let a benchmark prepare it, or call about(stimuli) first"
            )
        responses, edges = side_by_side("UniqueVariance", targets)
        voxels, nuisance = arrange(responses, folds), self.nuisance.scaled()
        alone = fits(
            design(nuisance.shape, lambda: nuisance, lambda: nuisance @ nuisance.T, voxels.cuts),
            "gcv",
            np.asarray(self.alphas),
            offsets=True,
        )
        errors, held_out = np.empty(voxels.sums.shape), np.empty(voxels.sums.shape)
        for fold, some, gcv, squares in _errors(alone, voxels):
            errors[fold, some], held_out[fold, some] = gcv, squares
        prepared = PreparedUniqueVariance(
            metric=self,
            voxels=voxels,
            nuisance=nuisance,
            errors=errors,
            held_out=held_out,
            edges=edges,
            ceilings=[None] * len(targets),
        )
        known = 1 - held_out.sum(axis=0) / prepared.total()
        return replace(prepared, ceilings=_ceilings(targets, np.split(known, edges[1:-1])))


def _ceilings(targets: Sequence[Target], known: Sequence[Float[np.ndarray, "_"]]) -> list[float | None]:
    return [
        None if t.ceiling is None else float(np.mean(np.square(t.ceiling) - r2))
        for t, r2 in zip(targets, known, strict=True)
    ]


def _errors(fitted: Fits, voxels: Voxels) -> Iterator[tuple[int, slice, PerVoxel, PerVoxel]]:
    """Block by block: fold, voxels, their smallest GCV error, and the sum of squared errors in held-out stimuli."""
    for some in blocks(len(voxels.y)):
        for fold, z in enumerate(projections(fitted.design, fitted.folds, voxels.y[some])):
            gcv = fitted.folds[fold].gcv_errors(z, voxels.energy((fold,), some))
            chosen = gcv.argmin(axis=1)
            missed = fitted.folds[fold].predict(z, chosen) - voxels.y[some, voxels.cuts.test(fold)]
            missed += voxels.mean((fold,), some).astype(np.float32)[:, None]
            yield fold, some, gcv[np.arange(len(z)), chosen], np.einsum("vt,vt->v", missed, missed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedUniqueVariance:
    """UniqueVariance with the nuisance fitted alone: its GCV errors, and its squared errors in held-out stimuli."""

    metric: UniqueVariance
    voxels: Voxels
    nuisance: Float[np.ndarray, "stimuli nuisance"]
    errors: PerFold
    held_out: PerFold
    edges: np.ndarray
    ceilings: list[float | None]

    def total(self) -> PerVoxel:
        """Sum of squares of the held-out responses about their training means, over all folds."""
        out = np.zeros(len(self.voxels.y))
        every = slice(None)
        for fold in range(self.voxels.cuts.n_folds):
            mean, cut = self.voxels.mean((fold,), every), self.voxels.cuts.test(fold)
            out += self.voxels.squares[fold] - mean * (2 * self.voxels.sums[fold] - (cut.stop - cut.start) * mean)
        return out

    def per_voxel(self, view: LayerGeometry) -> PerVoxel:
        """R^2 that the layer adds, one per voxel."""
        errors, held_out = self.errors.copy(), self.held_out.copy()
        size = float(view.centred.square().sum()) / view.n_stimuli
        for ratio in self.metric.ratios:
            weights = (1 / (1 + ratio), ratio / (1 + ratio) / size)
            fitted = fits(self._joined(view, weights), "gcv", np.asarray(self.metric.alphas), offsets=True)
            for fold, some, gcv, squares in _errors(fitted, self.voxels):
                better = gcv < errors[fold, some]
                errors[fold, some] = np.where(better, gcv, errors[fold, some])
                held_out[fold, some] = np.where(better, squares, held_out[fold, some])
        return np.asarray((self.held_out - held_out).sum(axis=0) / self.total())

    def _joined(self, view: LayerGeometry, weights: tuple[float, float]) -> Design:
        """Both bands side by side, each times the root of its weight."""
        of_nuisance, of_layer = weights
        n, d = self.nuisance.shape
        if view.n_stimuli != n:
            raise MetricError(f"the features have {view.n_stimuli} stimuli, the responses {n}")
        return design(
            (n, d + view.n_features),
            lambda: np.concatenate([self.nuisance * of_nuisance**0.5, view.centred.numpy() * of_layer**0.5], axis=1),
            lambda: self.nuisance @ self.nuisance.T * of_nuisance + view.gram.numpy() * of_layer,
            self.voxels.cuts,
        )

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value per target: the mean over its voxels."""
        return self.score_voxels(view)[0]

    def score_voxels(self, view: LayerGeometry) -> tuple[list[Value], PerVoxel]:
        """One value per target, and one per voxel."""
        each = self.per_voxel(view)
        return [
            Value(value=float(g.mean()), chance=0.0, ceiling=ceiling)
            for g, ceiling in zip(np.split(each, self.edges[1:-1]), self.ceilings, strict=True)
        ], each
