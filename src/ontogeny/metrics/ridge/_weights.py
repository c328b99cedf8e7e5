"""The penalties that ridge chose, and its weights there: for a model to keep, float64 throughout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.metrics.ridge._outer_folds import Fits, Regions, chosen_by_region
from ontogeny.metrics.ridge._penalty_selection import (
    Alphas,
    Errors,
    fit,
    leverage,
    loo_errors,
    penalties,
    squared_errors,
)
from ontogeny.metrics.ridge._voxels import Voxels, blocks

__all__ = ["Chosen", "chosen", "weights_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Places in the grid of penalties.

    Args:
        of_folds: for the models without each fold.
        of_all: for the model of all stimuli, by the same rule.
    """

    of_folds: Int[np.ndarray, "folds voxels"]
    of_all: Int[np.ndarray, " voxels"]


def chosen(fitted: Fits, alphas: Alphas, voxels: Voxels, shared: Regions | None) -> Chosen:
    """Which penalty each voxel has.

    Args:
        fitted: of all outer folds.
        alphas: relative to the mean squared singular value.
        voxels: all of them.
        shared: which share a penalty, if any do.
    """
    roots = voxels if shared is None else shared.roots
    every = np.concatenate([_errors(fitted, alphas, roots, some) for some in blocks(len(roots.y))])
    if shared is not None:
        totals = np.zeros((int(shared.region[-1]) + 1, len(alphas)))
        np.add.at(totals, shared.root_region, every)
        of_folds = chosen_by_region(fitted, shared)[:, shared.region]
        return Chosen(of_folds=of_folds, of_all=totals.argmin(axis=1)[shared.region])
    of_folds = np.empty((len(fitted.folds), len(voxels.y)), dtype=np.int64)
    for some in blocks(len(voxels.y)):
        for fold, _, places in fitted.choose(voxels, some):
            of_folds[fold, some] = places
    return Chosen(of_folds=of_folds, of_all=every.argmin(axis=1))


def _errors(fitted: Fits, alphas: Alphas, voxels: Voxels, some: slice) -> Errors:
    """Of every penalty, by the rule, on all stimuli."""
    factors = fitted.design.factors(left=True)
    assert factors.left is not None  # noqa: S101 - asked for
    grid = penalties(factors, alphas)
    if fitted.rule == "kfold":
        return np.asarray(sum(_held_out_errors(fitted, grid, voxels, some)))
    one = fit(factors, grid, offsets=False)
    centred = voxels.y[some] - voxels.mean((), some).astype(np.float32)[:, None]
    z = centred @ factors.left.astype(np.float32)
    if fitted.rule == "gcv":
        return one.gcv_errors(z, voxels.energy((), some))
    outside = None if one.full else np.asarray(centred - z @ factors.left.astype(np.float32).T)
    return loo_errors(one, leverage(factors, grid), z, outside)


def _held_out_errors(fitted: Fits, grid: Alphas, voxels: Voxels, some: slice) -> Iterator[Errors]:
    """Mean squared error of every penalty in each fold that is left out."""
    cuts, y = fitted.design.cuts, voxels.y[some]
    for fold in range(cuts.n_folds):
        factors = fitted.design.factors(fold, left=True)
        assert factors.left is not None  # noqa: S101 - asked for
        shrink = (factors.power / (factors.power + grid[:, None])).astype(np.float32)
        z = cuts.train(y, (fold,), axis=1) @ factors.left.astype(np.float32)
        held = y[:, cuts.test(fold)] - voxels.mean((fold,), some).astype(np.float32)[:, None]
        yield squared_errors(factors.tests[0].astype(np.float32), shrink, z, held)


def weights_at(
    x: Float[np.ndarray, "stimuli features"], y: Responses, alphas: PerVoxel
) -> tuple[Float[np.ndarray, "voxels features"], PerVoxel, PerVoxel]:
    """Weights, intercept and absolute penalty of each voxel.

    Args:
        x: stimuli x features.
        y: stimuli x voxels.
        alphas: one per voxel, relative to the mean squared singular value of the centred features.
    """
    middle, mean = x.mean(axis=0), y.mean(axis=0)
    left, size, right = np.linalg.svd(x - middle, full_matrices=False)
    absolute = alphas * np.square(size).sum() / len(x)
    shrunk = size[:, None] / (np.square(size)[:, None] + absolute) * (left.T @ (y - mean))
    coef = (right.T @ shrunk).T
    return coef, mean - coef @ middle, absolute
