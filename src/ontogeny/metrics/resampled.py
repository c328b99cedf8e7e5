"""Scores of stimuli drawn anew: each draw is a weight per stimulus (how often it was drawn), all draws in few products.

A stimulus that was drawn twice is not compared with its own copy, as in rsatoolbox. With off-diagonal matrices X, Y of
features and responses and weights w, all sums over pairs are quadratic forms, w' (X * Y) w:

    RSA             correlation (or cosine) of dissimilarities over pairs i < j with weights w_i w_j; for ranks those
                    among all stimuli
    CKA, debiased   the part of a kernel that is a_i + a_j is taken away, in the same weights (U-centring where all
                    are 1), then the cosine over pairs
    ridge           correlations of held-out predictions and responses with weights w_i, within folds. The fits are
                    kept: what other training stimuli would change is left out

Single precision, right to about 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import symmetric
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._pairwise.dissimilarities import Comparison, mid_ranks, pairs_of, rdm
from ontogeny.metrics._pairwise.kernels import kernel_of_squares
from ontogeny.metrics.cka import CKA
from ontogeny.metrics.folds import Folds, Splits, suited
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.ridge.ridge import PreparedRidge, Ridge
from ontogeny.metrics.rsa import RSA

__all__ = ["COMPARISONS", "Resampled", "resampled"]

Weights: TypeAlias = Float[np.ndarray, "stimuli draws"]
Scores: TypeAlias = Float[np.ndarray, "draws targets"]
Matrix: TypeAlias = Float[np.ndarray, "stimuli stimuli"]
Resampled: TypeAlias = Callable[[LayerGeometry], Scores]

COMPARISONS: tuple[Comparison, ...] = ("spearman", "pearson", "cosine")
_TINY = 1e-12


def resampled(
    metric: Any, targets: Sequence[Target], folds: Folds | Splits, weights: Float[np.ndarray, "draws stimuli"]
) -> Resampled:
    """What scores a layer in every draw of the stimuli.

    Args:
        metric: RSA by Spearman, Pearson or cosine; linear or Gaussian debiased CKA; or ridge.
        targets: one per subject and ROI.
        folds: of the benchmark.
        weights: how often each stimulus was drawn; ones for the scores of all stimuli.

    Returns:
        A function of a layer's geometry: draws x targets; NaN where a draw leaves nothing to compare.

    Raises:
        MetricError: another metric.

    Example:
        >>> import numpy as np, torch
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((30, 5)), rng.standard_normal((30, 8))
        >>> target = Target(subject="s", roi="r", responses=y, n_voxels=8)
        >>> score = resampled(RSA(), [target], Folds(held_out=(0,) * 30, how="none"), np.ones((1, 30)))
        >>> bool(abs(score(LayerGeometry(torch.tensor(x)))[0, 0] - RSA()(x, y).value) < 1e-5)
        True
    """
    columns = np.ascontiguousarray(weights.T, dtype=np.float32)
    if isinstance(metric, RSA) and metric.comparison in COMPARISONS:
        return _Dissimilarities(metric, targets, columns)
    if isinstance(metric, CKA) and metric.debiased and metric.damping == 0:
        return _Kernels(metric, targets, columns)
    if isinstance(metric, Ridge) and metric.local_alpha:
        parts = suited(metric, folds)
        if isinstance(parts, Folds):
            return _held_out(metric, targets, parts, columns)
    raise MetricError(
        f"{metric.name} cannot be scored on stimuli drawn anew; RSA by {', '.join(COMPARISONS)}, debiased CKA and "
        "Ridge can: choose one of them, or leave 'stimuli' out"
    )


def _forms(matrix: Matrix, weights: Weights) -> Float[np.ndarray, " draws"]:
    """Quadratic form w' M w of every draw."""
    out: np.ndarray = np.einsum("nb,nb->b", weights, matrix @ weights).astype(np.float64)
    return out


class _Dissimilarities:
    """RSA: moments of dissimilarities over pairs that are weighted."""

    def __init__(self, metric: RSA, targets: Sequence[Target], weights: Weights) -> None:
        self._metric, self._weights = metric, weights
        self._pairs = weights.sum(axis=0, dtype=np.float64) ** 2 - (weights.astype(np.float64) ** 2).sum(axis=0)
        given = ((t.rdm, t.responses) for t in targets)
        self._theirs = [
            self._square(rdm(np.asarray(y), distance=metric.distance) if d is None else d[np.triu_indices(len(d), 1)])
            for d, y in given
        ]
        self._moments = [self._mean_and_length(y) for y in self._theirs]

    def __call__(self, view: LayerGeometry) -> Scores:
        mine = self._square(pairs_of(view, self._metric.distance))
        mean, length = self._mean_and_length(mine)
        out = np.empty((self._weights.shape[1], len(self._theirs)))
        for place, (theirs, (their_mean, their_length)) in enumerate(zip(self._theirs, self._moments, strict=True)):
            products = _forms(mine * theirs, self._weights) / self._pairs - mean * their_mean
            out[:, place] = _ratio(products, length * their_length)
        return out

    def _square(self, pairs: np.ndarray) -> Matrix:
        """Dissimilarities or their ranks with mean 0 and standard deviation 1 over all pairs, 0 on the diagonal."""
        values = mid_ranks(pairs) if self._metric.comparison == "spearman" else np.asarray(pairs, dtype=np.float64)
        if self._metric.comparison != "cosine":
            values = values - values.mean()
        return symmetric((values / max(np.sqrt((values**2).mean()), _TINY)).astype(np.float32))

    def _mean_and_length(self, square: Matrix) -> tuple[np.ndarray, np.ndarray]:
        mean = _forms(square, self._weights) / self._pairs * (self._metric.comparison != "cosine")
        return mean, np.sqrt(np.maximum(_forms(square * square, self._weights) / self._pairs - mean**2, 0))


class _Kernels:
    """Debiased CKA: cosines of kernels less their additive part, over pairs that are weighted."""

    def __init__(self, metric: CKA, targets: Sequence[Target], weights: Weights) -> None:
        self._metric, self._weights = metric, weights
        doubled = weights.astype(np.float64)
        self._rest = doubled.sum(axis=0) - 2 * doubled
        self._theirs = [_without_diagonal(self._of_target(target)) for target in targets]
        self._sums = [self._row_sums(y) for y in self._theirs]
        self._lengths = [self._inner(y, y, s, s) for y, s in zip(self._theirs, self._sums, strict=True)]

    def __call__(self, view: LayerGeometry) -> Scores:
        mine = _without_diagonal(self._of_layer(view))
        sums = self._row_sums(mine)
        length = self._inner(mine, mine, sums, sums)
        out = np.empty((self._weights.shape[1], len(self._theirs)))
        for place, theirs in enumerate(self._theirs):
            products = self._inner(mine, theirs, sums, self._sums[place])
            out[:, place] = _ratio(products, np.sqrt(np.maximum(length * self._lengths[place], 0)))
        return out

    def _of_layer(self, view: LayerGeometry) -> Matrix:
        view = view.standardised if self._metric.standardise else view
        if self._metric.kind == "linear":
            return view.gram.numpy()
        width = self._metric.width
        return kernel_of_squares(view.squared_distances.numpy(), "rbf", None if width is None else width / view.scale)

    def _of_target(self, target: Target) -> Matrix:
        import torch

        if target.rdm is not None:
            return kernel_of_squares(np.asarray(target.rdm, dtype=np.float64), self._metric.kind, self._metric.width)
        return self._of_layer(LayerGeometry(torch.as_tensor(np.asarray(target.responses))))

    def _row_sums(self, square: Matrix) -> Float[np.ndarray, "stimuli draws"]:
        out: np.ndarray = (square @ self._weights).astype(np.float64)
        return out

    def _inner(self, a: Matrix, b: Matrix, sums_a: np.ndarray, sums_b: np.ndarray) -> Float[np.ndarray, " draws"]:
        """Sum over pairs of the product, less what the additive part of `a` (a_i + a_j) has of it."""
        w = self._weights
        common = (w * sums_a / self._rest).sum(axis=0) / (1 + (w / self._rest).sum(axis=0))
        additive = (sums_a - common) / self._rest
        out: np.ndarray = _forms(a * b, w) - 2 * (w * additive * sums_b).sum(axis=0)
        return out


def _without_diagonal(kernel: Matrix) -> Matrix:
    """With zeros on the diagonal, centred and scaled over pairs, so that single precision is enough."""
    n = len(kernel)
    out = np.array(kernel, dtype=np.float64)
    np.fill_diagonal(out, 0)
    rows = out.sum(axis=0) / (n - 2)
    half = rows.sum() / (n - 1) / 2
    out -= (rows - half)[:, None] + (rows - half)[None, :]
    np.fill_diagonal(out, 0)
    scaled: Matrix = (out / max(np.sqrt((out**2).mean()), _TINY)).astype(np.float32)
    return scaled


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fold:
    """Held-out stimuli of a fold: their places, weights, and the responses' weighted moments."""

    rows: np.ndarray
    weights: Float[np.ndarray, "draws held"]
    total: Float[np.ndarray, "draws 1"]
    responses: Float[np.ndarray, "held voxels"]
    mean: Float[np.ndarray, "draws voxels"]
    spread: Float[np.ndarray, "draws voxels"]


def _held_out(metric: Ridge, targets: Sequence[Target], folds: Folds, weights: Weights) -> Resampled:
    """Ridge: fits kept, predictions of held-out stimuli weighted."""
    prepared: PreparedRidge = metric.prepare(targets, folds)
    responses = np.concatenate([np.asarray(t.responses, dtype=np.float64) for t in targets], axis=1)
    every = [_fold(np.asarray(test), responses, weights) for _, test in folds]

    def score(view: LayerGeometry) -> Scores:
        predicted = prepared.held_out(view)
        found = [_correlations(fold, predicted[fold.rows]) for fold in every]
        known = np.stack([np.isfinite(r) for r in found])
        total = np.sum([np.nan_to_num(r) for r in found], axis=0)
        each = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
        return np.stack(
            [each[:, a:b].mean(axis=1) for a, b in zip(prepared.edges, prepared.edges[1:], strict=False)], 1
        )

    return score


def _fold(rows: np.ndarray, responses: np.ndarray, weights: Weights) -> _Fold:
    w = np.ascontiguousarray(weights[rows].T)
    total = np.maximum(w.sum(axis=1, keepdims=True), _TINY)
    y = _scaled(responses[rows])
    mean = w @ y / total
    return _Fold(rows=rows, weights=w, total=total, responses=y, mean=mean, spread=_spread(w @ (y * y) / total, mean))


def _scaled(x: np.ndarray) -> Float[np.ndarray, "held voxels"]:
    x = x - x.mean(axis=0)
    out: np.ndarray = (x / np.maximum(x.std(axis=0), _TINY)).astype(np.float32)
    return out


def _spread(squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviations; NaN where a draw has one stimulus of the fold, or none."""
    variance = squares - mean**2
    return np.sqrt(np.where(variance > 1e-6, variance, np.nan))


def _correlations(fold: _Fold, predicted: np.ndarray) -> Float[np.ndarray, "draws voxels"]:
    """Pearson r of every draw and voxel; 0 where the prediction is constant, NaN where the responses are."""
    p = _scaled(predicted)
    mean = fold.weights @ p / fold.total
    products = fold.weights @ (p * fold.responses) / fold.total - mean * fold.mean
    spread = np.nan_to_num(_spread(fold.weights @ (p * p) / fold.total, mean))
    out: np.ndarray = np.where(spread > 0, products / np.where(spread > 0, spread, 1), 0.0) / fold.spread
    return out


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > _TINY, above / np.where(below > _TINY, below, 1), np.nan)
