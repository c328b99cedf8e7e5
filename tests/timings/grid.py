"""Kernels and neighbours: the grid of arXiv 2507.01966 in one pass, beside one measurement at a time.

CPU seconds on one core. "One at a time" is the published way: both sides standardised, both kernels or both lists of
neighbours made again for every measurement, in single precision with torch.
"""

from __future__ import annotations

import importlib.util
import resource
import time

import numpy as np
import torch
from torch import Tensor

from ontogeny.benchmarks.shen2026 import shen2026
from ontogeny.brain import Target
from ontogeny.metrics import CKA, CKNNA, CycleKNN, LayerGeometry, Metric, MutualKNN, make_folds
from ontogeny.metrics.batching import prepare_all
from tests.timings import Row, cpu_seconds

N, FEATURES, VOXELS, SUBJECTS, ROIS, LAYERS = 1000, 768, 120, 4, 180, 8
MEASUREMENTS = 60e6


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [*_grid(), *_small()]


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _regions(count: int) -> list[Target]:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N, 20))
    return [
        Target(
            subject=f"s{i % SUBJECTS}",
            roi=f"r{i // SUBJECTS}",
            responses=shared @ rng.standard_normal((20, VOXELS)) + 4 * rng.standard_normal((N, VOXELS)),
            n_voxels=VOXELS,
        )
        for i in range(count)
    ]


def _grid() -> list[Row]:
    study = shen2026()
    names = [name for name in study.by_name if not name.startswith("unbiased")]
    targets, rng = _regions(SUBJECTS * ROIS), np.random.default_rng(1)
    layers = [rng.standard_normal((N, FEATURES)).astype(np.float32) for _ in range(LAYERS)]
    before = _megabytes()
    start = time.process_time()
    prepared = prepare_all([study.by_name[name] for name in names], targets, make_folds(N))
    prepare = time.process_time() - start
    outcomes = []

    def score() -> None:
        outcomes[:] = prepared.score([LayerGeometry(torch.as_tensor(x)) for x in layers])

    together = cpu_seconds(score, 1)
    count, memory = LAYERS * len(targets) * len(names), _megabytes() - before
    one, far = _one_at_a_time(names, layers[0], targets, outcomes[0])
    rate = f"{count / together:.0f} a second, 60 million in {MEASUREMENTS * together / count / 3600:.2f} hours"
    faster = f"in the grid {one * count / together:.0f} x faster, the same to {far:.0e}"
    return [
        (f"study grid: {len(targets)} regions prepared, with ceilings", prepare, "once"),
        (f"study grid: {LAYERS} layers, {count} measurements", together, f"{rate}; {memory:.0f} MB at most"),
        ("study grid: one measurement at a time, mean", one, faster),
    ]


def _one_at_a_time(names: list[str], x: np.ndarray, targets: list[Target], outcomes: list) -> tuple[float, float]:
    """Mean seconds of one measurement over the grid, and the largest difference from ours, on one region."""
    spent, far = [], 0.0
    for name, values in zip(names, outcomes, strict=True):
        responses = np.asarray(targets[0].responses, dtype=np.float32)
        start = time.process_time()
        found = one_measurement(name, torch.as_tensor(x), torch.as_tensor(responses))
        spent.append(time.process_time() - start)
        far = max(far, abs(found - values[0].value))
    return float(np.mean(spent)), far


def one_measurement(name: str, x: Tensor, y: Tensor) -> float:
    """By the study's name, from raw features and responses."""
    x, y = ((side - side.mean(0)) / side.std(0) for side in (x, y))
    kind, number = name.rsplit("_", 1)
    if kind == "cka":
        k, l = (torch.exp(-(torch.cdist(side, side) ** 2) / (2 * float(number) ** 2)) for side in (x, y))  # noqa: E741
        h = torch.eye(len(x)) - 1 / len(x)
        kl, kk, ll = (torch.trace(a @ h @ b @ h) for a, b in ((k, l), (k, k), (l, l)))
        return float(kl / (kk * ll).sqrt())
    if kind == "cknna":
        return _cknna(x @ x.T, y @ y.T, int(number))
    near_x, near_y = (_mask(side @ side.T, int(number)) for side in (x, y))
    if kind == "mutual_knn":
        return float((near_x & near_y).sum() / near_x.sum())
    lists = [near.nonzero()[:, 1].view(len(x), -1) for near in (near_x, near_y)]
    back = lists[0][lists[1]].flatten(1)
    return float((back == torch.arange(len(x))[:, None]).any(1).double().mean())


def _mask(likeness: Tensor, k: int) -> Tensor:
    near = likeness.fill_diagonal_(-torch.inf).argsort(dim=1, descending=True)[:, :k]
    return torch.zeros(likeness.shape, dtype=torch.bool).scatter_(1, near, value=True)


def _cknna(k: Tensor, l: Tensor, number: int) -> float:  # noqa: E741
    near_k, near_l = _mask(k.clone(), number), _mask(l.clone(), number)

    def local(a: Tensor, b: Tensor, mask: Tensor) -> float:
        a, b, n = (a * mask).fill_diagonal_(0), (b * mask).fill_diagonal_(0), len(a)
        sums = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b).sum() / (n - 2)
        return float(((a * b.T).sum() + sums) / (n * (n - 3)))

    return local(k, l, near_k & near_l) / (local(k, k, near_k) * local(l, l, near_l)) ** 0.5


def _small() -> list[Row]:
    """Four layers and ten regions, each metric on its own."""
    targets, rng = _regions(10), np.random.default_rng(1)
    xs = [rng.standard_normal((N, FEATURES)).astype(np.float32) for _ in range(4)]
    ys = [np.asarray(target.responses) for target in targets]

    def ours(metric: Metric) -> float:
        prepared = prepare_all([metric], targets, make_folds(N))
        return cpu_seconds(lambda: prepared.score([LayerGeometry(torch.as_tensor(x)) for x in xs]))

    floor = cpu_seconds(lambda: [x @ x.T.copy() for x in (x.astype(np.float64) for x in xs)])
    out: list[Row] = []
    seconds = ours(CKA(debiased=False))
    theirs = cpu_seconds(lambda: [_kernel_form(x.astype(np.float64), y) for x in xs for y in ys], 1)
    beside = f"{seconds / floor:.2f} x its GEMM; both kernels every time (netrep): {theirs / seconds:.0f} x"
    out.append(("CKA, 4 layers x 10 regions", seconds, beside))
    seconds = ours(CKA())
    out.append(("debiased CKA, 4 layers x 10 regions", seconds, _cka_pytorch(xs, ys, seconds)))
    seconds = ours(MutualKNN())
    theirs = cpu_seconds(lambda: [_naive_knn(x.astype(np.float64), y) for x in xs for y in ys], 1)
    out.append(("mutual kNN, 4 layers x 10 regions", seconds, f"argsort and sets of rows: {theirs / seconds:.0f} x"))
    out.extend((f"{m.name}, 4 layers x 10 regions", ours(m), "") for m in (CycleKNN(), CKNNA()))
    return out


def _kernel_form(x: np.ndarray, y: np.ndarray) -> float:
    """As netrep's LinearCKA does it, which is not on PyPI."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    return float((k * l).sum() / np.linalg.norm(k) / np.linalg.norm(l))


def _cka_pytorch(xs: list[np.ndarray], ys: list[np.ndarray], ours: float) -> str:
    if importlib.util.find_spec("cka_pytorch") is None or importlib.util.find_spec("seaborn") is None:
        return "cka-pytorch is not installed"
    from cka_pytorch.hsic import hsic1
    from cka_pytorch.utils import gram

    def score(x: Tensor, y: Tensor) -> float:
        k, l = gram(x)[None], gram(y)[None]  # noqa: E741
        return float(hsic1(k, l) / (hsic1(k, k) * hsic1(l, l)).sqrt())

    both = [(torch.as_tensor(x), torch.as_tensor(y, dtype=torch.float32)) for x in xs for y in ys]
    return f"cka-pytorch: {cpu_seconds(lambda: [score(x, y) for x, y in both], 1) / ours:.0f} x"


def _naive_knn(x: np.ndarray, y: np.ndarray, k: int = 10) -> float:
    sets = []
    for side in (x, y):
        rows = side / np.linalg.norm(side, axis=1, keepdims=True)
        likeness = rows @ rows.T
        np.fill_diagonal(likeness, -np.inf)
        sets.append([set(row) for row in np.argsort(-likeness, axis=1)[:, :k]])
    return float(np.mean([len(a & b) / k for a, b in zip(*sets, strict=True)]))
