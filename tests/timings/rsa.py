"""RSA beside rsatoolbox, Procrustes, CCA: ten regions, four layers. CPU seconds on one core.

Targets are prepared once, as over a training; rsatoolbox is given its target RDMs ready made, and is timed on the same
layers in the same process. "GEMM" is the product of each layer's features with themselves.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import rsatoolbox
import torch
from scipy.linalg import orthogonal_procrustes

from ontogeny.brain import Target
from ontogeny.metrics import CCA, RSA, LayerGeometry, Procrustes, make_folds
from ontogeny.metrics._pairwise.dissimilarities import Comparison
from ontogeny.metrics.dimensionality import intrinsic_dimension
from ontogeny.metrics.rsa import KENDALL_UP_TO, prepare_rsa
from tests.timings import Row, cpu_seconds

SIZES = ((92, 512), (1000, 768))
REGIONS, VOXELS, LAYERS = 10, 120, 4
THEIRS: dict[Comparison, str] = {
    "spearman": "spearman",
    "rho-a": "rho-a",
    "pearson": "corr",
    "cosine": "cosine",
    "kendall": "tau-a",
    "whitened-pearson": "corr_cov",
    "whitened-cosine": "cosine_cov",
}


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [row for n, features in SIZES for row in _of_size(n, features)]


def _of_size(n: int, features: int) -> list[Row]:
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((n, features)).astype(np.float32) for _ in range(LAYERS)]
    targets = [
        Target(subject="s", roi=str(i), responses=rng.standard_normal((n, VOXELS)), n_voxels=VOXELS)
        for i in range(REGIONS)
    ]
    wide = [x.astype(np.float64) for x in xs]
    given = rsatoolbox.rdm.concat([_their_rdm(np.asarray(t.responses)) for t in targets])
    comparisons = [c for c in get_args(Comparison) if c != "kendall" or n <= KENDALL_UP_TO]
    out = [(f"GEMM, {LAYERS} layers, n = {n}", cpu_seconds(lambda: [x @ x.T.copy() for x in wide]), "")]
    for comparison in comparisons:
        out.append(_one(xs, wide, targets, given, comparison, out[0][1]))
    together = prepare_rsa([RSA(comparison=c) for c in comparisons], targets)
    seconds = cpu_seconds(lambda: together.score_all(_views(xs)))
    out.append((f"RSA, all {len(comparisons)} comparisons together, n = {n}", seconds, ""))
    return [*out, *_shapes(xs, wide, targets)]


def _views(xs: list[np.ndarray]) -> list[LayerGeometry]:
    return [LayerGeometry(torch.as_tensor(x)) for x in xs]


def _shapes(xs: list[np.ndarray], wide: list[np.ndarray], targets: list[Target]) -> list[Row]:
    """scipy gives no chance: it is timed on the values alone."""
    n, ys = len(xs[0]), [np.asarray(target.responses) for target in targets]
    what = f"{LAYERS} layers x {REGIONS} regions, n = {n}"
    shape, canonical = (metric.prepare(targets, make_folds(n)) for metric in (Procrustes(), CCA()))
    seconds = cpu_seconds(lambda: [shape.score(view) for view in _views(xs)])
    theirs = cpu_seconds(lambda: [_scipy_shape(x, y) for x in wide for y in ys], 1)
    beside = f"chance from {Procrustes().permutations} permutations; scipy, values alone {theirs / seconds:.1f} x"
    surface = cpu_seconds(lambda: [intrinsic_dimension(view.squared_distances) for view in _views(xs)])
    return [
        (f"Procrustes, {what}", seconds, beside),
        (f"CCA, {what}", cpu_seconds(lambda: [canonical.score(view) for view in _views(xs)]), ""),
        (f"intrinsic dimension, {LAYERS} layers, n = {n}", surface, "with the distances"),
    ]


def _scipy_shape(x: np.ndarray, y: np.ndarray) -> float:
    x, y = ((side - side.mean(axis=0)) / np.linalg.norm(side - side.mean(axis=0)) for side in (x, y))
    return float(orthogonal_procrustes(x, np.pad(y, ((0, 0), (0, x.shape[1] - y.shape[1]))))[1])


def _one(
    xs: list[np.ndarray],
    wide: list[np.ndarray],
    targets: list[Target],
    given: rsatoolbox.rdm.RDMs,
    comparison: Comparison,
    floor: float,
) -> Row:
    prepared, found = prepare_rsa([RSA(comparison=comparison)], targets), []

    def ours() -> None:
        found[:] = prepared.score_all(_views(xs))

    def theirs() -> np.ndarray:
        made = rsatoolbox.rdm.concat([_their_rdm(x) for x in wide])
        return np.asarray(rsatoolbox.rdm.compare(made, given, method=THEIRS[comparison]))

    def one_layer_at_a_time() -> None:
        for x in wide:
            rsatoolbox.rdm.compare(_their_rdm(x), given, method=THEIRS[comparison])

    seconds, n = cpu_seconds(ours, 5), len(xs[0])
    far = np.abs(theirs() - [[value.value for value in values] for [values] in found]).max()
    ratios = [cpu_seconds(work, 3 if n < 500 else 1) / seconds for work in (theirs, one_layer_at_a_time)]
    beside = f"{seconds / floor:.2f} x GEMM; rsatoolbox, all at once {ratios[0]:.0f} x, a layer at a time "
    beside += f"{ratios[1]:.0f} x, the same to {far:.0e}"
    return (f"RSA {comparison}, {LAYERS} layers x {REGIONS} regions, n = {n}", seconds, beside)


def _their_rdm(x: np.ndarray) -> rsatoolbox.rdm.RDMs:
    return rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(x), method="correlation")
