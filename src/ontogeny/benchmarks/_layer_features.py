"""One layer's features as the rows of a benchmark: by id, through its stimulus mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ontogeny.errors import AlignmentIdError, DataError, FeatureError
from ontogeny.extraction import Features

if TYPE_CHECKING:
    from ontogeny.benchmarks.benchmark import Benchmark

__all__ = ["layer_features", "require_same_stimuli"]


def require_same_stimuli(benchmark: Benchmark) -> None:
    """Refuse subjects who saw different stimuli.

    Raises:
        DataError: they did.
    """
    if benchmark.own_stimuli:
        raise DataError(f"benchmark {benchmark.name!r}: subjects saw different stimuli; fit each of benchmark.parts()")


def layer_features(
    benchmark: Benchmark, features: Features | np.ndarray | Tensor | Any, layer: str, pooling: str
) -> tuple[str, np.ndarray | Tensor]:
    """The layer's name, and stimuli x features in the order of the benchmark's stimuli.

    Args:
        benchmark: whose stimuli these are.
        features: of a probe, matched by id; or an array in the order of the stimuli.
        layer: which; "" where there is one.
        pooling: which; "" where there is one.

    Raises:
        FeatureError: no layer or several are meant, or another number of rows.
        AlignmentIdError: features of other stimuli.
    """
    n = len(benchmark.stimuli)
    if not isinstance(features, Features):
        if np.shape(features)[:1] != (n,) or len(np.shape(features)) != 2:
            raise FeatureError(
                f"expected stimuli x features with {n} rows in the order of the benchmark's stimuli, got shape "
                f"{tuple(np.shape(features))}"
            )
        return layer or "features", np.asarray(torch.as_tensor(features).detach().cpu())
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
    return str(sites[0]), x if benchmark.pieces is None else benchmark.pieces.joined(x)
