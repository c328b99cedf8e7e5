"""What users get without asking: controls, confounds, one ROI with one value per stimulus; and how work grows."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from himalaya.kernel_ridge import KernelRidgeCV
from sklearn.linear_model import RidgeCV

from ontogeny.benchmarks import Benchmark
from ontogeny.benchmarks._confounds import confounds
from ontogeny.brain import Assembly, Target
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import CKA, RSA, Folds, LayerGeometry, Metric, MutualKNN, Ridge, make_folds, memory_limits
from ontogeny.metrics.batching import prepare_all
from ontogeny.metrics.ridge import ridge
from ontogeny.record import Score
from ontogeny.stimuli import StimulusSet

Row = tuple[str, float, str]
FOUR = (Ridge(), RSA(), CKA(), MutualKNN())


def cpu(work: Callable[[], object], repeats: int = 1) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def target(n: int, voxels: int, x: np.ndarray) -> Target:
    rng = np.random.default_rng(1)
    y = (x[:, :20] @ rng.standard_normal((20, voxels)) / 5 + rng.standard_normal((n, voxels))).astype(np.float32)
    return Target(subject="s", roi="r", responses=y, n_voxels=voxels)


def features(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)


def controls(n: int = 1000, rois: int = 100, voxels: int = 100, layers: int = 4) -> Iterator[Row]:
    """Default controls over none: prepare, what is kept, and score."""
    x = features(n, 768)
    ids, labels = tuple(f"s{i}" for i in range(n)), tuple(f"r{i // voxels}" for i in range(rois * voxels))
    responses = target(n, rois * voxels, x).responses
    words = {"name": "b", "version": "1", "citation": "c", "licence": "l", "about": "a", "simulated": True}
    benchmark = Benchmark(
        **words,
        stimuli=StimulusSet(name="s", ids=ids, modality="text", inputs=list(ids)),
        assemblies=(Assembly(name="a", subject="s", stimulus_ids=ids, responses=responses, roi=labels),),
        metrics=FOUR,
        folds=make_folds(n),
    )
    values = {Site(f"l{i}", "mean"): torch.as_tensor(x + i) for i in range(layers)}
    given = Features(stimulus_ids=ids, values=values, refused={})
    benchmark.prepare().score(given)
    found = []
    for permutations in (0, 5):
        tracemalloc.start()
        prepared = benchmark.prepare(permutations=permutations)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        seconds = cpu(lambda p=permutations: benchmark.prepare(permutations=p))
        found.append((seconds, cpu(lambda one=prepared: one.score(given)), kept / 2**20))
    without, with_ = found
    what = f"4 metrics, {n} stimuli x {rois * voxels:,} voxels in {rois} ROIs, 5 permutations"
    yield (
        f"{what}: prepare",
        with_[0],
        f"{with_[0] / without[0]:.2f} x controls=False; {with_[2] / without[2]:.2f} x memory",
    )
    yield f"{what}: score {layers} layers", with_[1], f"{with_[1] / without[1]:.2f} x controls=False"


def confounds_of(n: int = 10_000, d: int = 768) -> Iterator[Row]:
    x = torch.as_tensor(features(n, d))
    prepared = Ridge().prepare([target(n, 1000, x.numpy())], make_folds(n))
    beside = cpu(lambda: prepared.score(LayerGeometry(x)), 2)
    blank, made = Score(run="r", step=0, kind="confound", n_stimuli=n), cpu(lambda: LayerGeometry(x), 2)
    seconds = cpu(lambda: confounds(LayerGeometry(x), blank), 2) - made
    yield f"confounds of a layer, {n:,} x {d}", seconds, f"{seconds / beside:.2f} x ridge of 1,000 voxels"


def one_roi(n: int = 1000, d: int = 768) -> Iterator[Row]:
    """As tuckute2024: one value per stimulus, alone, with its controls, and a hundred."""
    x = features(n, d)
    for voxels in (1, 6, 100):
        few, vectors, sklearn, himalaya = one_roi_beside(x, target(n, voxels, x), make_folds(n))
        beside = (("eigenvectors", vectors), ("scikit-learn", sklearn), ("himalaya", himalaya))
        note = "; ".join(f"{name} {seconds / few:.1f} x" for name, seconds in beside)
        yield f"ridge, GCV, {n} x {d} x {voxels}", few, note


def one_roi_beside(x: np.ndarray, given: Target, folds: Folds) -> tuple[float, float, float, float]:
    """Ours as it is, ours with eigenvectors, scikit-learn, and himalaya in its faster form, with as many penalties."""
    prepared, view = Ridge().prepare([given], folds), LayerGeometry(torch.as_tensor(x))
    alphas, y = np.logspace(-2, 8, 21), np.asarray(given.responses)

    def ours() -> object:
        return prepared.per_voxel(LayerGeometry(view.near))

    def peer(make: Callable[[], Any], kind: type) -> float:
        own, theirs = x.astype(kind), y.astype(kind)
        return cpu(lambda: [make().fit(own[train], theirs[train]).predict(own[test]) for train, test in folds])

    few = cpu(ours, 3)
    with patch.object(ridge, "is_few", lambda *_: False):
        vectors = cpu(ours, 3)
    sklearn = peer(lambda: RidgeCV(alphas=alphas, alpha_per_target=y.shape[1] > 1), np.float64)
    himalaya = peer(lambda: KernelRidgeCV(alphas=alphas, cv=4, fit_intercept=True), np.float32)
    return few, vectors, sklearn, himalaya


def growth() -> Iterator[Row]:
    """Exponents of CPU seconds: over stimuli (in tiles too), over voxels, and over layers."""

    def seconds(metric: Metric, n: int, voxels: int, layers: int = 1) -> float:
        x = features(n, 64)
        prepared = prepare_all([metric], [target(n, voxels, x)], make_folds(n))
        several = [torch.as_tensor(x + place) for place in range(layers)]
        return cpu(lambda: prepared.score([LayerGeometry(one) for one in several]), 2)

    for metric in FOUR:
        few, many = (seconds(metric, n, 64) for n in (2000, 4000))
        yield f"{metric.name}, 4000 stimuli x 64 x 64", many, f"stimuli to the power of {np.log2(many / few):.1f}"
        few, many = (seconds(metric, 1000, voxels) for voxels in (4000, 16000))
        yield f"{metric.name}, 1000 stimuli x 64 x 16000", many, f"voxels to the power of {np.log2(many / few) / 2:.1f}"
        few, many = (seconds(metric, 1000, 64, layers) for layers in (4, 16))
        yield (
            f"{metric.name}, 16 layers of 1000 x 64 x 64",
            many,
            f"layers to the power of {np.log2(many / few) / 2:.1f}",
        )
    with patch.object(memory_limits, "fits", lambda _: False):
        for metric in FOUR[1:]:
            few, many = (seconds(metric, n, 64) for n in (2000, 4000))
            yield f"{metric.name} in tiles, 4000 x 64 x 64", many, f"stimuli to the power of {np.log2(many / few):.1f}"


def rows() -> Iterator[Row]:
    yield from controls()
    yield from confounds_of()
    yield from one_roi()
    yield from growth()
