"""A fitted encoding model: what it predicts, misses and weighs, with names; kept as safetensors.

fitted = benchmark.fit(features, Encoding(RidgeCV()), layer="blocks.3")
fitted.save("blocks-3.safetensors")
FittedEncoding.load("blocks-3.safetensors").predict(x)      # stimuli x features -> stimuli x voxels
"""

from __future__ import annotations

import json
import os
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
from ontogeny.brain import targets
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError, require
from ontogeny.extraction import Features
from ontogeny.metrics import Encoding, LayerGeometry
from ontogeny.metrics.encoding_models import affine_of
from ontogeny.metrics.registry import as_metric

if TYPE_CHECKING:
    from ontogeny.benchmarks.benchmark import Benchmark

__all__ = ["FittedEncoding", "fit_encoding"]

_KEY = "ontogeny"
_ARRAYS = ("scores", "predictions", "residuals", "coef_", "intercept_")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedEncoding:
    """An encoding model of all voxels of a benchmark, ROI after ROI.

    Args:
        benchmark: name of the benchmark.
        fingerprint: of it.
        metric: name of the metric.
        stimulus_ids: one per row.
        subject: one per voxel.
        roi: one per voxel.
        scores: one per voxel, in the metric's unit.
        predictions: of each stimulus by models that were not fitted to it; the mean where several were, NaN where none.
        residuals: responses less predictions.
        coef_: weights of the model fitted to all stimuli, scikit-learn's way round, voxels x features in the features'
            own units; (voxels, 0) where its predictions are not linear in them, or there are more than 4,096.
        intercept_: one per voxel; none where there are no weights.
    """

    benchmark: str
    fingerprint: str
    metric: str
    stimulus_ids: tuple[str, ...]
    subject: tuple[str, ...]
    roi: tuple[str, ...]
    scores: PerVoxel
    predictions: Responses
    residuals: Responses
    coef_: Float[np.ndarray, "voxels features"]
    intercept_: Float[np.ndarray, " weighted_voxels"]

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
    if not isinstance(encoding, Encoding):
        raise MetricError(
            f"fit takes an Encoding or a regressor of scikit-learn's kind, got {encoding.name}; Encoding(RidgeCV(...)) "
            "is ridge"
        )
    if benchmark.own_stimuli:
        raise DataError(f"benchmark {benchmark.name!r}: subjects saw different stimuli; fit each of benchmark.parts()")
    cut = targets(benchmark.assemblies, benchmark.stimuli.ids)
    prepared = encoding.about(benchmark.stimuli).prepare(cut, benchmark.folds)
    view = LayerGeometry(torch.as_tensor(_matrix(benchmark, features, layer, pooling)))
    x = view.x.numpy() * view.scale
    responses = np.concatenate([np.asarray(t.responses, dtype=np.float64) for t in cut], axis=1)
    scores, predictions = prepared.held_out(view)
    maps = [
        affine_of(encoding.estimator, x, np.asarray(t.responses, dtype=np.float64), keep=encoding.unconverged == "keep")
        for t in cut
    ]
    linear = all(found is not None for found in maps)
    coef = [found[0] for found in maps if found is not None] if linear else [np.empty((responses.shape[1], 0))]
    return FittedEncoding(
        benchmark=benchmark.name,
        fingerprint=benchmark.fingerprint(),
        metric=encoding.name,
        stimulus_ids=benchmark.stimuli.ids,
        subject=tuple(t.subject for t in cut for _ in range(t.n_voxels)),
        roi=tuple(t.roi for t in cut for _ in range(t.n_voxels)),
        scores=scores,
        predictions=predictions,
        residuals=responses - predictions,
        coef_=np.concatenate(coef),
        intercept_=np.concatenate([found[1] for found in maps if found is not None]) if linear else np.empty(0),
    )


def _matrix(benchmark: Benchmark, features: Any, layer: str, pooling: str) -> np.ndarray | Tensor:
    """Stimuli x features, in the order of the benchmark's stimuli."""
    n = len(benchmark.stimuli)
    if not isinstance(features, Features):
        if np.shape(features)[:1] != (n,) or len(np.shape(features)) != 2:
            raise FeatureError(
                f"expected stimuli x features with {n} rows in the order of the benchmark's stimuli, got shape "
                f"{tuple(np.shape(features))}"
            )
        return np.asarray(torch.as_tensor(features).detach().cpu())
    sites = [s for s in features.values if layer in ("", s.layer) and pooling in ("", s.pooling)]
    if len(sites) != 1:
        raise FeatureError(
            f"fit takes one layer, and {len(sites)} of {[str(site) for site in features.values][:8]} are meant; choose "
            "by layer= and pooling="
        )
    place = {stimulus: row for row, stimulus in enumerate(features.stimulus_ids)}
    if missing := [s for s in benchmark.read.ids if s not in place]:
        raise AlignmentIdError(f"the features lack {len(missing)} of {len(benchmark.read)} stimuli, e.g. {missing[:3]}")
    x = features.values[sites[0]][[place[s] for s in benchmark.read.ids]]
    return x if benchmark.pieces is None else benchmark.pieces.joined(x)
