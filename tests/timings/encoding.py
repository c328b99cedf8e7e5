"""Ridge encoding beside scikit-learn, himalaya and the bare BLAS calls; a whole probe beside its forward pass.

Seconds are process CPU time on one thread. The targets' side is prepared once, before; peers get features and
responses. A star: one outer fold was measured, times their number. Agreement is with scikit-learn (leave-one-out) or
himalaya (inner folds): the share of voxels and folds with the same penalty, and the largest difference of r where it is
the same. Where himalaya differs at N <= 200 it is by its own single precision (in float64, at N = 92: 3e-7). Memory is
the peak of resident memory above the start.
"""

from __future__ import annotations

import ctypes
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import himalaya.backend
import numpy as np
import torch
from himalaya.kernel_ridge import KernelRidgeCV
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from ontogeny.brain import Target
from ontogeny.metrics import LayerGeometry, Ridge, make_folds
from ontogeny.metrics.ridge._outer_folds import by_voxel, fits
from ontogeny.metrics.ridge._solve import design
from ontogeny.metrics.ridge.ridge import ALPHAS
from tests.timings import Row

torch.set_num_threads(1)
SIZES = ((92, 512, 1000), (200, 768, 1000), (1000, 768, 1000), (1000, 768, 10_000))
N_ROIS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    n: int
    d: int
    v: int
    x: np.ndarray
    y: np.ndarray

    @property
    def folds(self):
        return make_folds(self.n)

    @property
    def some(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The folds that peers are measured on."""
        return list(self.folds)[:1] if self.v > 1000 else list(self.folds)

    @property
    def size(self) -> str:
        return f"N={self.n} D={self.d} V={self.v}"


def problem(n: int, d: int, v: int) -> Problem:
    """Features with a power-law spectrum, voxels from well predicted to noise."""
    rng = np.random.default_rng(n + d + v)
    x = rng.standard_normal((n, d)) * np.arange(1.0, d + 1) ** -0.5 @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    signal = x @ rng.standard_normal((d, v))
    y = signal / signal.std(axis=0) + rng.uniform(0.5, 5, v) * rng.standard_normal((n, v))
    return Problem(n=n, d=d, v=v, x=x.astype(np.float32), y=y.astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a way found in the folds it was measured on: r (folds x voxels) and penalties (same)."""

    r: np.ndarray
    alphas: np.ndarray


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def measured(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """CPU seconds (median) and peak extra megabytes, once the allocator has given back what it keeps."""
    ctypes.CDLL(None).malloc_trim(0)
    seconds, before = [], resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)), resident("VmHWM") - before


def ours(p: Problem, rule: str, alpha: str) -> tuple[Callable[[], object], Callable[[], Found]]:
    parts = np.array_split(np.arange(p.v), N_ROIS)
    targets = [Target(subject="s", roi=str(i), responses=p.y[:, part]) for i, part in enumerate(parts)]
    prepared = Ridge(rule=rule, local_alpha=alpha == "voxel").prepare(targets, p.folds)

    def found() -> Found:
        view, voxels = LayerGeometry(torch.as_tensor(p.x)), prepared.voxels
        fitted = fits(
            design(view.x.shape, lambda: view.x.numpy(), lambda: view.gram.numpy(), voxels.cuts), rule, np.array(ALPHAS)
        )
        chosen, r = np.empty((2, len(fitted.folds), p.v))
        r[:] = by_voxel(fitted, voxels)
        for start in range(0, p.v, 2048):
            some = slice(start, min(start + 2048, p.v))
            for fold, _, best in fitted.choose(voxels, some):
                chosen[fold, some] = np.array(ALPHAS)[best]
        return Found(r=r, alphas=chosen)

    return (lambda: prepared.score(LayerGeometry(torch.as_tensor(p.x)))), found


def correlations(predicted: np.ndarray, held: np.ndarray) -> np.ndarray:
    a, b = predicted - predicted.mean(axis=0), held - held.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def scikit_learn(p: Problem) -> Found:
    r, alphas = [], []
    x, y = p.x.astype(np.float64), p.y.astype(np.float64)
    for train, test in p.some:
        scale = ((x[train] - x[train].mean(axis=0)) ** 2).sum() / len(train)
        model = RidgeCV(alphas=np.array(ALPHAS) * scale, alpha_per_target=True).fit(x[train], y[train])
        r.append(correlations(model.predict(x[test]), y[test]))
        alphas.append(model.alpha_ / scale)
    return Found(r=np.stack(r), alphas=np.stack(alphas))


def himalaya_with(p: Problem, backend: str, **solver_params: object) -> Found:
    library = himalaya.backend.set_backend(backend)
    held_out, r, alphas = np.array(p.folds.held_out), [], []
    for train, test in p.some:
        x, y = p.x - p.x[train].mean(axis=0), p.y - p.y[train].mean(axis=0)
        scale = float((x[train].astype(np.float64) ** 2).sum()) / len(train)
        inner = PredefinedSplit(np.unique(held_out[train], return_inverse=True)[1])
        grid = np.float32(ALPHAS) * scale
        model = KernelRidgeCV(alphas=grid, cv=inner, fit_intercept=True, solver_params=solver_params)
        train_x, train_y, test_x = (library.asarray(a, dtype="float32") for a in (x[train], y[train], x[test]))
        predicted = library.to_numpy(model.fit(train_x, train_y).predict(test_x))
        r.append(correlations(predicted, y[test]))
        alphas.append(library.to_numpy(model.best_alphas_) / scale)
    return Found(r=np.stack(r), alphas=np.stack(alphas))


def floor(p: Problem) -> Callable[[], None]:
    """The bare calls of the GCV way, on arrays that are there already; nothing between them."""
    rng = np.random.default_rng(0)
    n_folds, m = len(p.folds), p.n // len(p.folds)
    n, x, y = p.n - m, p.x.astype(np.float64), np.ascontiguousarray(p.y.T)
    dual = p.d >= 0.8 * n
    k = n if dual else p.d
    square = (lambda a: a @ a.T)(rng.standard_normal((k, k)))
    train, maps = rng.standard_normal((p.v, n if dual else p.d), dtype=np.float32), square.astype(np.float32)
    z, shrink = rng.standard_normal((p.v, k), dtype=np.float32), rng.standard_normal((k, len(ALPHAS)), dtype=np.float32)
    tests, cross = rng.standard_normal((k, m), dtype=np.float32), rng.standard_normal((m, k))

    def work() -> None:
        if dual:
            x @ x.T
        for _ in range(n_folds):
            if not dual:
                x[:m].T @ x[:m]
                y[:, :m] @ p.x[:m]
            vectors = np.linalg.eigh(square)[1]
            cross @ vectors
            train @ maps
            z @ shrink
            z @ tests

    return work


def same_grid(alphas: np.ndarray) -> np.ndarray:
    return np.rint(2 * np.log10(alphas)).astype(int)


def agreement(mine: Found, theirs: Found) -> str:
    some = len(theirs.r)
    equal = same_grid(mine.alphas[:some]) == same_grid(theirs.alphas)
    apart = np.abs(mine.r[:some] - theirs.r)[equal].max()
    mean = abs(mine.r[:some].mean() - theirs.r.mean())
    return f"penalties equal {100 * equal.mean():.2f} %, max |dr| there {apart:.1e}, mean r apart {mean:.1e}"


def rows_of(n: int, d: int, v: int, *, kfold: bool = True) -> Iterator[Row]:
    p = problem(n, d, v)
    repeats = 1 if v > 1000 else 5 if n > 500 else 31
    spent: dict[str, float] = {}

    def row(name: str, work: Callable[[], object], times: int, note: str = "") -> Row:
        if v <= 1000 and n <= 500:
            work()
        seconds, extra = measured(work, times)
        starred = len(p.some) < len(p.folds) and not name.startswith(("ours", "floor", "targets"))
        spent[name] = seconds * (len(p.folds) / len(p.some) if starred else 1)
        return f"{p.size}: {name}{' *' if starred else ''}", spent[name], f"+{extra:.0f} MB{note}"

    def against(name: str) -> str:
        return ", ".join(f"{spent[name] / spent[o]:.1f} x {o}" for o in spent if o.startswith("ours"))

    results: dict[str, Found] = {}
    yield row("targets, prepared once", lambda: ours(p, "gcv", "voxel"), 1)
    yield row("floor: the bare BLAS and LAPACK calls of gcv", floor(p), repeats)
    ways = [("gcv", "voxel"), ("loo", "voxel"), ("gcv", "roi"), *([("kfold", "voxel")] if kfold else [])]
    for rule, alpha in ways:
        name = f"ours {rule}" if alpha == "voxel" else f"ours {rule}, {N_ROIS} ROIs"
        work, found = ours(p, rule, alpha)
        if alpha == "voxel":
            results[rule] = found()
        bare = next(seconds for other, seconds in spent.items() if other.startswith("floor"))
        what, seconds, note = row(name, work, repeats)
        yield what, seconds, f"{note}, {seconds / bare:.2f} x floor" if rule == "gcv" else note
    peers: list[tuple[str, Callable[[], Found], str]] = [
        ("scikit-learn RidgeCV", lambda: scikit_learn(p), "loo"),
        ("himalaya KernelRidgeCV, numpy", lambda: himalaya_with(p, "numpy"), "kfold"),
    ]
    if n <= 1000:
        peers.append(("himalaya KernelRidgeCV, torch", lambda: himalaya_with(p, "torch"), "kfold"))
    if v > 1000 and n <= 1000:
        batched = {"n_targets_batch": 500}
        peers.append(("himalaya, torch, 500 at once", lambda: himalaya_with(p, "torch", **batched), "kfold"))
    for name, work, rule in peers:
        kept: list[Found] = []
        what, seconds, note = row(name, lambda w=work, k=kept: k.append(w()), 1 if v > 1000 or n > 500 else 3)
        agree = f"; {rule}: {agreement(results[rule], kept[-1])}" if rule in results else ""
        yield what, seconds, f"{note}; {against(name)}{agree}"


def rows() -> Iterator[Row]:
    """Every size but the largest, which is the part `encoding_large`."""
    warnings.filterwarnings("ignore", category=UserWarning)
    for size in SIZES:
        yield from rows_of(*size)
