"""PreparedEncoding: an Encoding with its splits frozen scores any number of layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ontogeny._arrays import PerVoxel, Responses
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics.encoding_models._estimator import HeldOut, Rows, Voxels, predict
from ontogeny.metrics.encoding_models._pls import fast_pls
from ontogeny.metrics.encoding_models._scores import Fold, by_fold, per_voxel
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.memory_limits import check_squares
from ontogeny.metrics.metric import Value

if TYPE_CHECKING:
    from ontogeny.metrics.encoding_models.encoding import Encoding

__all__ = ["PreparedEncoding"]

Split = tuple[np.ndarray, np.ndarray]
_FITTED = 2048
_BAR_AFTER = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEncoding:
    """Encoding with its splits frozen.

    Args:
        metric: the options.
        targets: one per subject and ROI.
        splits: rows to train on and rows held out.
        together: whether the estimator is fitted to all voxels of a target at once.
        separable: whether it is fitted to those of all targets at once, since they do not touch each other.
    """

    metric: Encoding
    targets: tuple[Target, ...]
    splits: tuple[Split, ...]
    together: bool
    separable: bool = False

    def per_voxel(self, view: LayerGeometry) -> PerVoxel:
        """One value per voxel, of all targets side by side.

        Raises:
            MetricError: see `score`.
        """
        return self.score_voxels(view)[1]

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value per target, over its voxels.

        Raises:
            MetricError: the estimator fails, does not converge, or predicts NaN; names it and the fold. Or the features
                are of other stimuli.
        """
        return self.score_voxels(view)[0]

    def score_voxels(self, view: LayerGeometry) -> tuple[list[Value], PerVoxel]:
        """One value per target, and one per voxel.

        Raises:
            MetricError: see `score`.
        """
        score = self.metric.score
        values, voxels = [], []
        for target, folds in zip(self.targets, self._folds(view), strict=True):
            voxels.append(per_voxel(folds, score, target.ceiling))
            parts = by_fold(folds, score) if self.metric.over_voxels == "fold-median" else voxels[-1][None]
            value = float(np.mean([self._over(each) for each in parts]))
            values.append(Value(value=value, chance=0.0, ceiling=self._ceiling(target)))
        return values, np.concatenate(voxels)

    def features(self, view: LayerGeometry) -> Rows:
        """What the estimator is fitted to: feature spaces beside the layer, and the layer, in its own unit.

        Raises:
            MetricError: the layer is of other stimuli.
        """
        n = max(int(max(train.max(), test.max())) for train, test in self.splits) + 1
        if view.n_stimuli < n or any(len(space.values) != view.n_stimuli for space in self.metric.beside):
            raise MetricError(f"the features have {view.n_stimuli} stimuli, the splits need {n}")
        x = view.x.numpy() * view.scale
        return np.concatenate([*(space.values for space in self.metric.beside), x], axis=1) if self.metric.beside else x

    def scoring_seconds(self, n_features: int) -> float:
        """What scoring a layer of so many features takes, by one fit to random numbers.

        Of more than 2,048 features as many are fitted, and the rest is taken to cost as much each.

        Raises:
            MetricError: see `score`.
        """
        train, test = self.splits[0]
        n = int(max(train.max(), test.max())) + 1
        n_features = min(n_features, n) if self._rotates else n_features
        few = min(n_features, _FITTED)
        own = sum(space.values.shape[1] for space in self.metric.beside)
        x = np.random.default_rng(0).standard_normal((n, few + own))
        some = self.targets if self.separable else self.targets[:1]
        y = np.concatenate([np.asarray(t.responses, dtype=np.float64) for t in some], axis=1)
        y = y if self.together else y[:, :1]
        start = time.perf_counter()
        predict(self.metric.estimator, x[train], y[train], x[test], where="fold 0", keep=True)
        each = (time.perf_counter() - start) * n_features / few / y.shape[1]
        return float(each * len(self.splits)) * sum(t.n_voxels for t in self.targets)

    def held_out(self, view: LayerGeometry) -> tuple[PerVoxel, Responses]:
        """One score per voxel; and predictions of stimuli when they were held out, their mean over such splits.

        Of stimuli that no split holds out predictions are NaN.

        Raises:
            MetricError: see `score`.
        """
        n, scores, predictions = view.n_stimuli, [], []
        for target, folds in zip(self.targets, self._folds(view), strict=True):
            sums, counts = np.zeros((n, target.n_voxels)), np.zeros((n, 1))
            for (predicted, *_), (_, test) in zip(folds, self.splits, strict=True):
                sums[test] += predicted
                counts[test] += 1
            scores.append(per_voxel(folds, self.metric.score, target.ceiling))
            predictions.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
        return np.concatenate(scores), np.concatenate(predictions, axis=1)

    @property
    def _rotates(self) -> bool:
        """Whether scores depend on the features' inner products alone."""
        return fast_pls(self.metric.estimator) and not self.metric.estimator.scale

    def _folds(self, view: LayerGeometry) -> Iterator[list[Fold]]:
        """Predictions of every split, target by target."""
        x = self.features(view)
        if x.shape[1] > len(x) and self._rotates:
            x = _rotated(x)
        responses = [np.asarray(target.responses, dtype=np.float64) for target in self.targets]
        if not self.separable:
            yield from (self._folds_of(x, y) for y in responses)
            return
        edges = np.cumsum([y.shape[1] for y in responses])[:-1]
        every = self._folds_of(x, np.concatenate(responses, axis=1))
        for parts in zip(
            *(zip(*(np.split(part, edges, axis=-1) for part in fold), strict=True) for fold in every), strict=True
        ):
            yield list(parts)

    def _folds_of(self, x: Rows, y: Responses) -> list[Fold]:
        folds: list[Fold] = []
        for number, (train, test) in enumerate(self.splits):
            predicted = self._predicted(x[train], y[train], x[test], where=f"fold {number}")
            folds.append((predicted, y[test], y[train].mean(axis=0)))
        return folds

    def _predicted(self, x: Rows, y: Voxels, held_out: HeldOut, *, where: str) -> Float[np.ndarray, "held_out voxels"]:
        estimator, keep = self.metric.estimator, self.metric.unconverged == "keep"
        if self.together:
            return predict(estimator, x, y, held_out, where=where, keep=keep)
        from joblib import Parallel, delayed

        one = delayed(predict)
        fits = (one(estimator, x, v, held_out, where=where, keep=keep) for v in y.T.copy())
        columns = Parallel(n_jobs=self.metric.n_jobs, return_as="generator")(fits)
        bar = tqdm(columns, desc=where, total=y.shape[1], unit="voxel", delay=_BAR_AFTER, leave=False, disable=None)
        return np.stack(list(bar), axis=1)

    def _over(self, values: PerVoxel) -> float:
        return float(np.mean(values) if self.metric.over_voxels == "mean" else np.median(values))

    def _ceiling(self, target: Target) -> float | None:
        if self.metric.score == "noise-normalised":
            return 1.0
        if target.ceiling is None:
            return None
        return self._over(target.ceiling if self.metric.score == "pearson" else np.square(target.ceiling))


def _rotated(x: Rows) -> Float[np.ndarray, "stimuli stimuli"]:
    """More features than stimuli, turned into as many: inner products, and with them unscaled PLS, are the same."""
    check_squares("partial least squares", len(x), 4)
    centred = x - x.mean(axis=0)
    power, vectors = np.linalg.eigh(centred @ centred.T)
    return np.asarray(vectors * np.sqrt(np.maximum(power, 0)))
