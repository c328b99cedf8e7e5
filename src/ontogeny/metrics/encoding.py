"""Ridge: cross-validated linear predictivity of voxels from features (ridge encoding).

For every outer fold one factorisation of the training features serves all penalties and all voxels. With centred
training data, singular values s, left vectors U and z = U'y:

    prediction of held-out stimuli    X_test V S^-1 diag(s_i^2 / (s_i^2 + alpha)) z
    RSS(alpha)                        |y|^2 - |z|^2 + sum_i z_i^2 (alpha / (s_i^2 + alpha))^2
    GCV(alpha)                        n RSS / (n - 1 - sum_i s_i^2 / (s_i^2 + alpha))^2       (Golub et al. 1979)
    LOO(alpha)                        sum_j (e_j / (1 - h_j))^2, exact leave-one-out error (Allen 1974, PRESS)

Factorisations are float64, the voxel side float32. Penalties are relative to the mean squared singular value, so that
features that only grow during training give the same score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.assembly import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Value
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.view import LayerView

__all__ = ["ALPHAS", "Ridge", "ridge_cv"]

Rule = Literal["gcv", "loo"]
ALPHAS: tuple[float, ...] = tuple(float(a) for a in np.logspace(-5, 5, 21))
_CHUNK = 512


def ridge_cv(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    y: Responses,
    *,
    folds: Folds,
    rule: Rule = "gcv",
    alphas: Sequence[float] = ALPHAS,
) -> PerVoxel:
    """Pearson r between predicted and held-out responses, mean over folds, a value a voxel.

    Args:
        x: stimuli x features.
        y: stimuli x voxels.
        folds: outer folds; the penalty is chosen inside each fold's training stimuli, for each voxel.
        rule: "gcv" (generalised cross-validation) or "loo" (exact leave-one-out).
        alphas: penalties, relative to the mean squared singular value of the centred training features
            (sum of squares / training stimuli).

    Returns:
        Pearson r, one a voxel; 0 where a fold's prediction is constant.

    Raises:
        FeatureError: features hold NaN or are the same for every stimulus.
        MetricError: rows or folds that do not fit, or a voxel that is constant in a fold.
    """
    view = LayerView(torch.as_tensor(x))
    return _prepare(y, folds).correlations(view, rule, np.asarray(alphas, dtype=np.float64))


def _prepare(y: Responses, folds: Folds) -> _Voxels:
    if len(folds.held_out) != len(y):
        raise MetricError(f"the folds are for {len(folds.held_out)} stimuli, the responses have {len(y)} rows")
    parts = []
    for train, test in folds:
        centred = (y[train] - y[train].mean(axis=0)).astype(np.float32)
        held = y[test] - y[test].mean(axis=0)
        norms = np.linalg.norm(held, axis=0)
        if (norms == 0).any() or len(test) < 2:
            raise MetricError(
                f"{int((norms == 0).sum())} voxel(s) are constant over the {len(test)} stimuli of a held-out fold, so "
                "that no correlation is defined there; use fewer folds or drop these voxels"
            )
        parts.append(_Fold(train=train, test=test, y=centred, unit=(held / norms).astype(np.float32)))
    return _Voxels(folds=tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """One outer fold's voxel side: centred training responses, unit-norm held-out ones."""

    train: np.ndarray
    test: np.ndarray
    y: Float[np.ndarray, "train voxels"]
    unit: Float[np.ndarray, "test voxels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factors:
    """One outer fold's feature side.

    `u` has the left singular vectors (train x rank), `power` the squared singular values; `test` = X_test V S^-1 maps
    shrunk z to held-out predictions.
    """

    u: Float[np.ndarray, "train rank"]
    power: Float[np.ndarray, " rank"]
    test: Float[np.ndarray, "test rank"]


def _factors(view: LayerView, fold: _Fold) -> _Factors:
    """Eigenvectors of the smaller of features x features and stimuli x stimuli, float64."""
    x = view.x.numpy()
    mean = x[fold.train].mean(axis=0)
    train, test = x[fold.train] - mean, x[fold.test] - mean
    if train.shape[1] < 0.8 * train.shape[0]:
        power, right = np.linalg.eigh(train.T @ train)
        power, right = _positive(power, right, train.shape[0])
        scale = np.sqrt(power)
        return _Factors(u=train @ right / scale, power=power, test=test @ right / scale)
    power, u = np.linalg.eigh(train @ train.T)
    power, u = _positive(power, u, train.shape[0] - 1)
    return _Factors(u=u, power=power, test=(test @ train.T) @ u / power)


def _positive(
    power: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "rows k"], rank: int
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "rows rank"]]:
    """Drop directions that are zero up to rounding, largest first, at most `rank` of them."""
    power, vectors = power[::-1][:rank], vectors[:, ::-1][:, :rank]
    keep = power > power[0] * 1e-12 if power.size and power[0] > 0 else np.zeros(power.size, dtype=bool)
    return power[keep], vectors[:, keep]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voxels:
    """All voxels' side of all folds."""

    folds: tuple[_Fold, ...]

    def correlations(self, view: LayerView, rule: Rule, alphas: Float[np.ndarray, " alphas"]) -> PerVoxel:
        """Pearson r of every voxel, mean over folds."""
        n = sum(len(fold.test) for fold in self.folds)
        if view.n_stimuli != n:
            raise MetricError(f"the features have {view.n_stimuli} stimuli, the responses {n}")
        return np.asarray(
            np.mean([_fold_correlations(_factors(view, fold), fold, rule, alphas) for fold in self.folds], axis=0)
        )


def _fold_correlations(factors: _Factors, fold: _Fold, rule: Rule, alphas: Float[np.ndarray, " alphas"]) -> PerVoxel:
    n_voxels = fold.y.shape[1]
    if factors.power.size == 0:
        return np.zeros(n_voxels)
    penalties = alphas * factors.power.sum() / len(fold.train)
    shrink = factors.power[None, :] / (factors.power[None, :] + penalties[:, None])
    z = (factors.u.T.astype(np.float32)) @ fold.y
    chosen = _gcv(z, fold.y, shrink) if rule == "gcv" else _loo(z, fold.y, shrink, factors.u)
    predicted = factors.test.astype(np.float32) @ (shrink.astype(np.float32)[chosen].T * z)
    predicted -= predicted.mean(axis=0)
    norms = np.linalg.norm(predicted, axis=0)
    r = np.einsum("tv,tv->v", predicted, fold.unit) / np.where(norms > 0, norms, 1)
    out: PerVoxel = np.where(norms > 0, r, 0.0).astype(np.float64)
    return out


def _gcv(
    z: Float[np.ndarray, "rank voxels"],
    y: Float[np.ndarray, "train voxels"],
    shrink: Float[np.ndarray, "alphas rank"],
) -> np.ndarray:
    """Index of the penalty with the smallest GCV error, one a voxel."""
    n = len(y)
    outside = np.maximum((y * y).sum(axis=0) - (z * z).sum(axis=0), 0) if shrink.shape[1] < n - 1 else 0.0
    rss = outside + ((1 - shrink) ** 2).astype(np.float32) @ (z * z)
    free = np.maximum(n - 1 - shrink.sum(axis=1), 1e-6)
    return np.asarray((rss / (free**2)[:, None]).argmin(axis=0))


def _loo(
    z: Float[np.ndarray, "rank voxels"],
    y: Float[np.ndarray, "train voxels"],
    shrink: Float[np.ndarray, "alphas rank"],
    u: Float[np.ndarray, "train rank"],
) -> np.ndarray:
    """Index of the penalty with the smallest exact leave-one-out error, one a voxel.

    Residuals and 1 - leverage are sums of (1 - shrink), never differences of near-equal numbers: with more features
    than stimuli and a small penalty both go to zero, and their ratio must not.
    """
    n = len(y)
    inside = n - 1 > u.shape[1]
    spare = np.maximum(1 - 1 / n - (u**2).sum(axis=1), 0) if inside else np.zeros(n)
    outside = y - u.astype(np.float32) @ z if inside else np.zeros_like(y)
    errors = np.empty((len(shrink), y.shape[1]))
    for index, weights in enumerate(1 - shrink):
        scale = (1 / np.maximum((u**2) @ weights + spare, 1e-12))[:, None]
        left = (u * weights * scale).astype(np.float32)
        for start in range(0, y.shape[1], _CHUNK):
            chunk = slice(start, start + _CHUNK)
            residual = outside[:, chunk] * scale.astype(np.float32) + left @ z[:, chunk]
            errors[index, chunk] = np.einsum("nv,nv->v", residual, residual)
    return np.asarray(errors.argmin(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """Cross-validated ridge encoding: mean over a ROI's voxels of the held-out Pearson r.

    Chance is 0: within a held-out fold the expected correlation over permutations of the stimuli is exactly 0.
    Ceiling: mean of the voxels' own ceilings, as the data set gives them.

    Args:
        rule: how the penalty is chosen inside the training folds, for each voxel: "gcv" (fast, for curves) or "loo"
            (exact leave-one-out, for reported numbers). The two pick the same penalty for most voxels.
        alphas: penalties, relative to the mean squared singular value of the training features.
    """

    rule: Rule = "gcv"
    alphas: tuple[float, ...] = ALPHAS

    def __post_init__(self) -> None:
        if self.rule not in ("gcv", "loo"):
            raise MetricError(f"Ridge: rule is 'gcv' or 'loo', got {self.rule!r}")
        if not self.alphas or min(self.alphas) <= 0:
            raise MetricError(f"Ridge: alphas should be positive numbers, got {self.alphas}")

    @property
    def name(self) -> str:
        """E.g. "ridge-gcv"."""
        return f"ridge-{self.rule}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "Pearson r"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedRidge:
        """Centre and scale all voxels of all subjects once."""
        blocks = []
        for target in targets:
            if target.responses is None:
                raise MetricError(
                    f"Ridge needs voxels, but ROI {target.roi!r} of subject {target.subject!r} is a geometry "
                    "(dissimilarities only); use RSA, CKA or MutualKNN there"
                )
            blocks.append(target.responses)
        edges = np.cumsum([0, *(block.shape[1] for block in blocks)])
        ceilings = [None if t.ceiling is None else float(np.mean(t.ceiling)) for t in targets]
        return PreparedRidge(
            metric=self,
            voxels=_prepare(np.concatenate(blocks, axis=1), folds),
            edges=edges,
            ceilings=ceilings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRidge:
    """Ridge with all voxels of all targets side by side; `edges` says where each target starts."""

    metric: Ridge
    voxels: _Voxels
    edges: np.ndarray
    ceilings: list[float | None]

    def score(self, view: LayerView) -> list[Value]:
        """One value a target: the mean over its voxels."""
        r = self.voxels.correlations(view, self.metric.rule, np.asarray(self.metric.alphas))
        return [
            Value(value=float(r[start:stop].mean()), chance=0.0, ceiling=ceiling)
            for start, stop, ceiling in zip(self.edges[:-1], self.edges[1:], self.ceilings, strict=True)
        ]
