"""Scores of a record's curves for stimuli drawn anew, from features that were kept by the hash of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from ontogeny.benchmarks._layer_features import layer_features, require_same_stimuli
from ontogeny.benchmarks.benchmark import Benchmark
from ontogeny.brain import targets
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError
from ontogeny.extraction import Features
from ontogeny.extraction.feature_cache import kept_files, read_kept
from ontogeny.metrics import CKA, RSA, LayerGeometry, Ridge
from ontogeny.metrics._pairwise.dissimilarities import Distance
from ontogeny.metrics.resampled import COMPARISONS, Resampled, resampled
from ontogeny.record.subject_curves import SubjectCurves

__all__ = ["drawn_scores"]

_SAME = 2e-3


def drawn_scores(
    curves: SubjectCurves, benchmark: Benchmark, folder: Path, weights: Float[np.ndarray, "draws stimuli"]
) -> Float[np.ndarray, "draws steps cells subjects"]:
    """Every curve in every draw of the stimuli.

    Args:
        curves: of a record.
        benchmark: with which they were scored.
        folder: of features, see `ontogeny.replay.DiskFeatureCache`.
        weights: how often each stimulus of the benchmark was drawn.

    Raises:
        DataError: features of a step are not there, or do not give the scores of the record.
        MetricError: a metric that cannot be scored so.
    """
    require_same_stimuli(benchmark)
    rois = tuple(dict.fromkeys(roi for roi, _ in curves.cells))
    place = {(t.roi, t.subject): t for t in targets(benchmark.assemblies, benchmark.stimuli.ids)}
    wanted = list(product(rois, curves.subjects))
    if strange := [pair for pair in wanted if pair not in place]:
        roi, subject = strange[0]
        raise DataError(f"benchmark {benchmark.name!r} has no {roi!r} of subject {subject!r}; give that of the record")
    whole = np.concatenate([np.ones((1, weights.shape[1])), weights])
    metric = _metric(curves.metric, benchmark)
    score = resampled(metric, [place[pair] for pair in wanted], benchmark.folds, whole)
    kept, out = kept_files(folder), []
    for k in tqdm(range(len(curves.steps)), desc="drawing stimuli", unit="checkpoint", delay=2, disable=None):
        files = kept.get(curves.weights[k], ())
        if not files:
            raise DataError(
                f"{folder} holds no features of step {curves.steps[k]:,} (weights {curves.weights[k]}); replay the "
                f"checkpoints of this run into a new record with --features {folder} (kept=DiskFeatureCache(...)), and "
                "give that record"
            )
        out.append(_of_step(curves, k, files, benchmark, score))
    return np.stack(out, axis=1)


def _metric(name: str, benchmark: Benchmark) -> Any:
    """The metric of this name: the benchmark's, or one with the usual options.

    Raises:
        MetricError: there is none.
    """
    usual = [RSA(distance=d, comparison=c) for d in get_args(Distance) for c in COMPARISONS]
    every = (*benchmark.metrics, *usual, CKA(), CKA(kind="rbf"), Ridge(), Ridge(rule="loo"), Ridge(rule="kfold"))
    for metric in every:
        if metric.name == name:
            return metric
    raise MetricError(f"benchmark {benchmark.name!r} has no metric {name!r}; give one that has it (benchmark=...)")


def _of_step(
    curves: SubjectCurves, k: int, files: Sequence[Path], benchmark: Benchmark, score: Resampled
) -> Float[np.ndarray, "draws cells subjects"]:
    """One checkpoint, by the first kept file that gives the scores of the record."""
    why = "they are of other stimuli or layers"
    for file in files:
        try:
            found = _all_draws(curves, read_kept(file), benchmark, score)
        except (AlignmentIdError, FeatureError) as error:
            why = str(error)
            continue
        away = float(np.abs(found[0] - curves.values[k]).max())
        if away < _SAME:
            return found[1:]
        why = f"they give other scores than the record, by up to {away:.3g}: other responses, inputs or options"
    raise DataError(
        f"features of step {curves.steps[k]:,} in {files[0].parent} are not those of the record's scores: {why}; give "
        "the benchmark of the record (benchmark=...), or replay the checkpoints once more"
    )


def _all_draws(
    curves: SubjectCurves, features: Features, benchmark: Benchmark, score: Resampled
) -> Float[np.ndarray, "draws cells subjects"]:
    columns: dict[tuple[str, str], np.ndarray] = {}
    rois = tuple(dict.fromkeys(roi for roi, _ in curves.cells))
    for layer in dict.fromkeys(layer for _, layer in curves.cells):
        x = layer_features(benchmark, features, layer, curves.pooling)[1]
        drawn = score(LayerGeometry(torch.as_tensor(x))).reshape(-1, len(rois), len(curves.subjects))
        columns |= {(roi, layer): drawn[:, i] for i, roi in enumerate(rois)}
    return np.stack([columns[cell] for cell in curves.cells], axis=1)
