"""Scores of predictions per voxel, over folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import PerVoxel

__all__ = ["Fold", "Score", "by_fold", "per_voxel"]

Score = Literal["pearson", "r2", "r2-by-fold", "noise-normalised"]
Fold = tuple[Float[np.ndarray, "_ voxels"], Float[np.ndarray, "_ voxels"], PerVoxel]
"""Predicted responses, the held-out ones, and the mean of the training responses."""


def per_voxel(folds: Sequence[Fold], score: Score, ceiling: PerVoxel | None = None) -> PerVoxel:
    """One value per voxel.

    Args:
        folds: predictions of each.
        score: "pearson": r within each fold, mean over folds; 0 where a prediction is constant. "r2": 1 - squared
            errors over squares about the training mean, both summed over folds. "r2-by-fold": the same of each fold,
            about the mean of what it holds out, mean over folds (scikit-learn's and himalaya's `r2_score`).
            "noise-normalised": the mean r, squared with its sign, over the squared ceiling, from 0 to 1 (Algonauts
            2023).
        ceiling: highest Pearson r that the noise allows, for "noise-normalised".
    """
    if score == "r2":
        errors = sum(np.square(held - predicted).sum(axis=0) for predicted, held, _ in folds)
        total = sum(np.square(held - mean).sum(axis=0) for _, held, mean in folds)
        return np.asarray(1 - errors / total)
    r = by_fold(folds, score).mean(axis=0)
    if score != "noise-normalised" or ceiling is None:
        return np.asarray(r)
    return np.asarray(np.clip(r * np.abs(r) / np.square(ceiling), 0, 1))


def by_fold(folds: Sequence[Fold], score: Score) -> Float[np.ndarray, "folds voxels"]:
    """Of every voxel within each fold: R^2 for "r2-by-fold", else Pearson r; 0 where a prediction is constant."""
    one = _r2 if score == "r2-by-fold" else _pearson
    return np.asarray([one(predicted, held) for predicted, held, _ in folds])


def _r2(predicted: Float[np.ndarray, "rows voxels"], held: Float[np.ndarray, "rows voxels"]) -> PerVoxel:
    """As himalaya has it: 0 where the held-out responses do not vary."""
    total = np.square(held - held.mean(axis=0)).sum(axis=0)
    missed = np.square(held - predicted).sum(axis=0)
    return np.asarray(np.where(total == 0, 0.0, 1 - missed / np.where(total == 0, 1.0, total)))


def _pearson(a: Float[np.ndarray, "rows voxels"], b: Float[np.ndarray, "rows voxels"]) -> PerVoxel:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    constant = np.linalg.norm(a, axis=0) <= 1e-12 * np.abs(a).max(initial=1e-300)
    return np.asarray(np.where(constant, 0.0, (a * b).sum(axis=0) / np.where(norms == 0, 1.0, norms)))
