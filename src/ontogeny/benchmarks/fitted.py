"""A fitted encoding model: what it predicts, misses and weighs, with names; kept as safetensors.

fitted = benchmark.fit(features, Ridge(), layer="blocks.3")     # or Encoding(RidgeCV()), any regressor
fitted.save("blocks-3.safetensors")
FittedEncoding.load("blocks-3.safetensors").predict(x)      # stimuli x features -> stimuli x voxels
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import PerVoxel, Responses
from ontogeny._atomic_write import atomic_write
from ontogeny._display import one_line
from ontogeny.benchmarks._layer_features import layer_features, require_same_stimuli
from ontogeny.brain import Target, targets
from ontogeny.errors import DataError, MetricError, require
from ontogeny.extraction import Features
from ontogeny.metrics import Encoding, Folds, LayerGeometry, Ridge
from ontogeny.metrics.encoding_models import affine_of
from ontogeny.metrics.folds import suited
from ontogeny.metrics.registry import as_metric

if TYPE_CHECKING:
    from ontogeny.benchmarks.benchmark import Benchmark

__all__ = ["FittedEncoding", "fit_encoding"]

_KEY = "ontogeny"
_ARRAYS = ("scores", "predictions", "residuals", "coef_", "intercept_", "alpha_")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedEncoding:
    """An encoding model of all voxels of a benchmark, ROI after ROI.

    Args:
        benchmark: name of the benchmark.
        fingerprint: of it.
        metric: name of the metric.
        stimulus_ids: one per row.
        fold: that held out each stimulus; none where the splits are no partition.
        subject: one per voxel.
        roi: one per voxel.
        feature: name of each column of `coef_`, such as "blocks.3@mean[17]".
        scores: one per voxel, in the metric's unit.
        predictions: of each stimulus by models that were not fitted to it; the mean where several were, NaN where none.
        residuals: responses less predictions.
        coef_: weights of the model fitted to all stimuli, scikit-learn's way round, voxels x features in the features'
            own units; (voxels, 0) where its predictions are not linear in them, or there are more than 4,096.
        intercept_: one per voxel; none where there are no weights.
        alpha_: penalty of each voxel, as scikit-learn's `Ridge(alpha)` takes it; none but of `Ridge`.
    """

    benchmark: str
    fingerprint: str
    metric: str
    stimulus_ids: tuple[str, ...]
    fold: tuple[int, ...]
    subject: tuple[str, ...]
    roi: tuple[str, ...]
    feature: tuple[str, ...]
    scores: PerVoxel
    predictions: Responses
    residuals: Responses
    coef_: Float[np.ndarray, "voxels features"]
    intercept_: Float[np.ndarray, " weighted_voxels"]
    alpha_: Float[np.ndarray, " penalised_voxels"]

    __repr__ = one_line

    @property
    def n_features_in_(self) -> int:
        """Features that it takes; 0 where it has no weights."""
        return int(self.coef_.shape[1])

    def predict(self, features: np.ndarray | Tensor) -> Responses:
        """Responses of all voxels to stimuli x features, by the model fitted to all stimuli.

        Raises:
            MetricError: it has no weights, or takes another number of features.
        """
        x = np.asarray(torch.as_tensor(features).detach().cpu(), dtype=np.float64)
        if not self.n_features_in_:
            raise MetricError(f"{self.metric} has no weights: it is not linear in its features, or has more than 4,096")
        if x.ndim != 2 or x.shape[1] != self.n_features_in_:
            raise MetricError(f"expected stimuli x {self.n_features_in_} features, got shape {x.shape}")
        return np.asarray(x @ self.coef_.T + self.intercept_)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of all arrays, with dimensions stimulus, voxel and feature.

        Coordinates: stimulus (its id) and fold; subject and roi of each voxel; feature. Attributes: benchmark,
        fingerprint, metric.

        Raises:
            MissingExtraError: xarray is not installed.
        """
        dims = {"scores": ("voxel",), "intercept_": ("voxel",), "alpha_": ("voxel",), "coef_": ("voxel", "feature")}
        named = {"stimulus": list(self.stimulus_ids), "feature": list(self.feature)}
        coords: dict[str, Any] = {
            **named,
            **({"fold": ("stimulus", list(self.fold))} if self.fold else {}),
            "subject": ("voxel", list(self.subject)),
            "roi": ("voxel", list(self.roi)),
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return require("xarray", "interchange").Dataset(
            {name: (dims.get(name, ("stimulus", "voxel")), a) for name, a in arrays.items() if a.size},
            coords=coords,
            attrs={"benchmark": self.benchmark, "fingerprint": self.fingerprint, "metric": self.metric},
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one safetensors file; names stand in its header.

        Raises:
            RecordError: the file cannot be written; what was there stays.
        """
        names = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _ARRAYS}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        data = require("safetensors.numpy", "hub").save(arrays, metadata={_KEY: json.dumps(names, ensure_ascii=False)})
        with atomic_write(Path(path)) as file:
            file.write(data)
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FittedEncoding:
        """What `save` wrote.

        Raises:
            DataError: no such file, or not one of these.
        """
        try:
            with require("safetensors", "hub").safe_open(str(path), framework="np") as file:
                names = json.loads(file.metadata()[_KEY])
                arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            found: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in names.items()} | arrays
            return cls(**found)
        except Exception as error:
            raise DataError(f"{path} is no fitted encoding model: {type(error).__name__}: {error}") from error


def fit_encoding(
    benchmark: Benchmark, features: Features | np.ndarray | Tensor, metric: Any, *, layer: str, pooling: str
) -> FittedEncoding:
    """See `Benchmark.fit`."""
    encoding = as_metric(metric)
    if not isinstance(encoding, Encoding | Ridge):
        raise MetricError(
            f"fit takes a Ridge, an Encoding or a regressor of scikit-learn's kind, got {encoding.name}, which has no "
            "weights of the features alone; what a layer adds to others is partition_variance(...)"
        )
    require_same_stimuli(benchmark)
    cut = targets(benchmark.assemblies, benchmark.stimuli.ids)
    name, matrix = layer_features(benchmark, features, layer, pooling)
    view = LayerGeometry(torch.as_tensor(matrix))
    if isinstance(encoding, Ridge):
        (arrays, spaces), folds = _of_ridge(encoding, benchmark, cut, view), benchmark.folds
    else:
        about = encoding.about(benchmark.stimuli)
        (arrays, spaces), folds = _of_encoding(about, benchmark, cut, view), about.cv or benchmark.folds
    responses = np.concatenate([np.asarray(t.responses, dtype=np.float64) for t in cut], axis=1)
    widths = {**spaces, name: view.n_features} if arrays["coef_"].shape[1] else {}
    return FittedEncoding(
        benchmark=benchmark.name,
        fingerprint=benchmark.fingerprint(),
        metric=encoding.name,
        stimulus_ids=benchmark.stimuli.ids,
        fold=folds.held_out if isinstance(folds, Folds) else (),
        subject=tuple(t.subject for t in cut for _ in range(t.n_voxels)),
        roi=tuple(t.roi for t in cut for _ in range(t.n_voxels)),
        feature=tuple(f"{space}[{place}]" for space, width in widths.items() for place in range(width)),
        residuals=responses - arrays["predictions"],
        **arrays,
    )


_Parts = tuple[dict[str, np.ndarray], dict[str, int]]


def _of_ridge(ridge: Ridge, benchmark: Benchmark, cut: Sequence[Target], view: LayerGeometry) -> _Parts:
    """Arrays by name; no feature spaces stand beside the layer."""
    folds: Any = suited(ridge, benchmark.folds)
    prepared = ridge.prepare(cut, folds)
    fitted = prepared.fit(view, np.concatenate([np.asarray(t.responses) for t in cut], axis=1))
    arrays = {
        "scores": fitted.scores,
        "predictions": fitted.predictions,
        "coef_": fitted.coef,
        "intercept_": fitted.intercept,
        "alpha_": fitted.alphas,
    }
    return arrays, {}


def _of_encoding(encoding: Encoding, benchmark: Benchmark, cut: Sequence[Target], view: LayerGeometry) -> _Parts:
    """Arrays by name; and the widths of the feature spaces beside the layer."""
    prepared = encoding.prepare(cut, benchmark.folds)
    scores, predictions = prepared.held_out(view)
    x, keep = prepared.features(view), encoding.unconverged == "keep"
    maps = [affine_of(encoding.estimator, x, np.asarray(t.responses, dtype=np.float64), keep=keep) for t in cut]
    known = [found for found in maps if found is not None]
    linear = len(known) == len(maps)
    arrays = {
        "scores": scores,
        "predictions": predictions,
        "coef_": np.concatenate([found[0] for found in known]) if linear else np.empty((predictions.shape[1], 0)),
        "intercept_": np.concatenate([found[1] for found in known]) if linear else np.empty(0),
        "alpha_": np.empty(0),
    }
    return arrays, {space.name: space.values.shape[1] for space in encoding.beside}
