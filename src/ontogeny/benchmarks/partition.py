"""Variance partitioning on a benchmark: its layers, and feature spaces of one's own, matched to stimuli by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ontogeny.benchmarks._layer_features import layer_features, require_same_stimuli
from ontogeny.brain import targets
from ontogeny.errors import MetricError
from ontogeny.extraction import Features
from ontogeny.metrics import VariancePartition, variance_partition
from ontogeny.metrics.encoding_models import VOXELWISE_ALPHAS
from ontogeny.metrics.nuisance import Nuisance

if TYPE_CHECKING:
    from ontogeny.benchmarks.benchmark import Benchmark

__all__ = ["partition_variance"]


def partition_variance(
    benchmark: Benchmark,
    features: Features,
    *,
    layers: Sequence[str],
    beside: Sequence[Nuisance] = (),
    alphas: Sequence[float] = VOXELWISE_ALPHAS,
    n_iter: int = 20,
) -> VariancePartition:
    """What layers of one probe, and feature spaces of your own, explain of each voxel, alone and together.

    Args:
        benchmark: whose responses and folds.
        features: of one probe.
        layers: names of one layer or more; "layer@pooling" where it is pooled in several ways.
        beside: feature spaces of your own.
        alphas: see `ontogeny.metrics.variance_partition`.
        n_iter: see `ontogeny.metrics.variance_partition`.

    Returns:
        With the subject and ROI of each voxel.

    Raises:
        MetricError: fewer than 2 spaces or more than 5, two of one name, or a geometry.
        FeatureError: no such layer; or AlignmentIdError, features or a space of other stimuli.
        DataError: subjects saw different stimuli.
    """
    require_same_stimuli(benchmark)
    cut = targets(benchmark.assemblies, benchmark.stimuli.ids)
    if geometry := next((t for t in cut if t.responses is None), None):
        raise MetricError(f"variance is of voxels, but ROI {geometry.roi!r} of {geometry.subject!r} is a geometry")
    found = [(layer, layer_features(benchmark, features, *layer.partition("@")[::2])[1]) for layer in layers]
    own = [space.about(benchmark.stimuli) for space in beside]
    spaces = {layer: np.asarray(torch.as_tensor(x).detach().cpu(), dtype=np.float64) for layer, x in found}
    spaces |= {space.name: space.values for space in own}
    if len(spaces) < len(layers) + len(own):
        raise MetricError(f"two feature spaces have one name: {[*layers, *(space.name for space in own)]}")
    responses = np.concatenate([np.asarray(t.responses, dtype=np.float64) for t in cut], axis=1)
    parted = variance_partition(spaces, responses, folds=benchmark.folds, alphas=alphas, n_iter=n_iter)
    return replace(
        parted,
        subject=tuple(t.subject for t in cut for _ in range(t.n_voxels)),
        roi=tuple(t.roi for t in cut for _ in range(t.n_voxels)),
    )
