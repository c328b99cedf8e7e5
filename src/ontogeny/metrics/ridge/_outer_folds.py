"""One layer's ridge fits of all outer folds, their penalties chosen by voxel or by ROI, and what they predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Float, Int

from ontogeny.metrics.memory_limits import check_squares
from ontogeny.metrics.ridge._penalty_selection import (
    Alphas,
    Errors,
    Fit,
    Leverage,
    Projections,
    Rule,
    choose_loo,
    fit,
    leverage,
    loo_errors,
    penalties,
    squared_errors,
)
from ontogeny.metrics.ridge._solve import Design
from ontogeny.metrics.ridge._tridiagonal import few_predicted
from ontogeny.metrics.ridge._voxels import Voxels, blocks, with_moments

__all__ = [
    "Fits",
    "Regions",
    "by_few_voxels",
    "by_region",
    "by_voxel",
    "chosen_by_region",
    "fits",
    "held_out",
    "projections",
    "regions",
]

PerFold = Float[np.ndarray, "folds voxels"]
_LOO_BLOCK = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A model without two folds, which serves both: for each, how the other is predicted at its grid of penalties."""

    folds: tuple[int, int]
    left: Float[np.ndarray, "train rank"]
    tests: tuple[Float[np.ndarray, "_ rank"], ...]
    shrink: tuple[Float[np.ndarray, "alphas rank"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """Fits of all outer folds, and what the rule needs beside them ("loo": leverages; "kfold": models of pairs)."""

    rule: Rule
    design: Design
    folds: tuple[Fit, ...]
    leverages: tuple[Leverage, ...]
    pairs: tuple[_Pair, ...]

    def choose(self, voxels: Voxels, some: slice) -> Iterator[tuple[int, Projections, Int[np.ndarray, " voxels"]]]:
        """Fold by fold: its number, z, and the best penalty of each voxel."""
        inner = self._inner_errors(voxels, some)
        for fold, z in enumerate(projections(self.design, self.folds, voxels.y[some])):
            if self.rule == "loo":
                chosen = choose_loo(self.folds[fold], self.leverages[fold], z, self._outside(fold, z, voxels, some))
            elif self.rule == "gcv":
                chosen = self.folds[fold].gcv_errors(z, voxels.energy((fold,), some)).argmin(axis=1)
            else:
                chosen = inner[fold].argmin(axis=1)
            yield fold, z, chosen

    def errors(self, voxels: Voxels, some: slice) -> Iterator[tuple[int, Errors]]:
        """Fold by fold: its number and the error of every penalty."""
        if self.rule == "kfold":
            yield from enumerate(self._inner_errors(voxels, some))
            return
        for fold, z in enumerate(projections(self.design, self.folds, voxels.y[some])):
            if self.rule == "gcv":
                yield fold, self.folds[fold].gcv_errors(z, voxels.energy((fold,), some))
            else:
                outside = self._outside(fold, z, voxels, some)
                yield fold, loo_errors(self.folds[fold], self.leverages[fold], z, outside)

    def _outside(
        self, fold: int, z: Projections, voxels: Voxels, some: slice
    ) -> Float[np.ndarray, "voxels train"] | None:
        """What of the centred training responses z does not hold."""
        fitted = self.folds[fold]
        if fitted.full or fitted.left is None:
            return None
        train = self.design.cuts.train(voxels.y[some], (fold,), axis=1)
        return np.asarray(train - voxels.mean((fold,), some).astype(np.float32)[:, None] - z @ fitted.left.T)

    def _inner_errors(self, voxels: Voxels, some: slice) -> Float[np.ndarray, "folds voxels alphas"]:
        """Sum over inner folds of the mean squared error ("kfold"; else empty)."""
        cuts, y = self.design.cuts, voxels.y[some]
        n_alphas = len(self.folds[0].free) if self.pairs else 0
        out = np.zeros((cuts.n_folds, len(y), n_alphas), dtype=np.float32)
        for pair in self.pairs:
            z = cuts.train(y, pair.folds, axis=1) @ pair.left
            mean = voxels.mean(pair.folds, some).astype(np.float32)[:, None]
            for outer, inner, test, shrink in zip(pair.folds, pair.folds[::-1], pair.tests, pair.shrink, strict=True):
                out[outer] += squared_errors(test, shrink, z, y[:, cuts.test(inner)] - mean)
        return out


def fits(designed: Design, rule: Rule, alphas: Alphas, *, offsets: bool = False) -> Fits:
    """Factorise once a fold, and once a pair of folds for "kfold".

    Args:
        designed: the layer.
        rule: how the penalty is chosen.
        alphas: penalties, relative to the mean squared singular value of each outer fold's training features.
        offsets: predictions with their mean over a held-out fold, not about it.
    """
    folds, leverages, grids = [], [], []
    for fold in range(designed.cuts.n_folds):
        factors = designed.factors(fold, left=rule == "loo")
        grids.append(penalties(factors, alphas))
        folds.append(fit(factors, grids[-1], offsets=offsets))
        if rule == "loo":
            leverages.append(leverage(factors, grids[-1]))
    pairs = combinations(range(len(folds)), 2) if rule == "kfold" else ()
    return Fits(
        rule=rule,
        design=designed,
        folds=tuple(folds),
        leverages=tuple(leverages),
        pairs=tuple(_pair(designed, a, b, (grids[a], grids[b])) for a, b in pairs),
    )


def _pair(designed: Design, a: int, b: int, grids: tuple[Alphas, Alphas]) -> _Pair:
    factors = designed.factors(a, b, left=True)
    assert factors.left is not None  # noqa: S101 - asked for above
    power = factors.power[None, :]
    return _Pair(
        folds=(a, b),
        left=factors.left.astype(np.float32),
        tests=tuple(test.astype(np.float32) for test in factors.tests[::-1]),
        shrink=tuple((power / (power + grid[:, None])).astype(np.float32) for grid in grids),
    )


def coordinates(
    designed: Design, folds: Sequence[Fit], y: Float[np.ndarray, "voxels stimuli"]
) -> Iterator[Float[np.ndarray, "voxels _"]]:
    """What becomes z by each outer fold's `Fit.to_z`: training responses, or their products with the features."""
    crossed = designed.crossed(y) if any(fitted.left is None for fitted in folds) else []
    for fold, fitted in enumerate(folds):
        if fitted.left is not None:
            yield designed.cuts.train(y, (fold,), axis=1)
        else:
            yield reduce(np.add, (crossed[other] for other in designed.cuts.others((fold,))))


def projections(
    designed: Design, folds: Sequence[Fit], y: Float[np.ndarray, "voxels stimuli"]
) -> Iterator[Projections]:
    """The projections z of every outer fold."""
    for fitted, given in zip(folds, coordinates(designed, folds, y), strict=True):
        yield given @ fitted.to_z


def by_few_voxels(designed: Design, alphas: Alphas, voxels: Voxels) -> PerFold:
    """The same by GCV, without eigenvectors.

    Raises:
        ArithmeticError: rounding in the way.
    """
    out, every = np.empty(voxels.sums.shape), slice(None)
    for fold, predicted in enumerate(few_predicted(designed, alphas, voxels)):
        out[fold] = _pearson(predicted, voxels, fold, every)
    return out


def by_voxel(fitted: Fits, voxels: Voxels) -> PerFold:
    """Pearson r of held-out responses, each voxel at its own penalty."""
    out = np.empty(voxels.sums.shape)
    for some in blocks(len(voxels.y), _LOO_BLOCK if fitted.rule == "loo" else 512):
        for fold, z, chosen in fitted.choose(voxels, some):
            out[fold, some] = _pearson(fitted.folds[fold].predict(z, chosen), voxels, fold, some)
    return out


def held_out(fitted: Fits, voxels: Voxels) -> Float[np.ndarray, "stimuli voxels"]:
    """Predictions of stimuli when they were held out, each voxel at its own penalty, in units of its spread."""
    out = np.empty(voxels.y.T.shape, dtype=np.float32)
    for some in blocks(len(voxels.y), _LOO_BLOCK if fitted.rule == "loo" else 512):
        for fold, z, chosen in fitted.choose(voxels, some):
            out[voxels.cuts.order[voxels.cuts.test(fold)], some] = fitted.folds[fold].predict(z, chosen).T
    return out


def _pearson(
    predicted: Float[np.ndarray, "voxels test"], voxels: Voxels, fold: int, some: slice
) -> Float[np.ndarray, " voxels"]:
    """Pearson r with the held-out responses; 0 where a prediction is constant. Predictions are centred."""
    held = voxels.y[some, voxels.cuts.test(fold)]
    norms = np.sqrt(np.einsum("vt,vt->v", predicted, predicted))
    products = np.einsum("vt,vt->v", predicted, held) - predicted.sum(axis=1) * held.mean(axis=1)
    return np.where(norms > 0, products / (np.where(norms > 0, norms, 1) * voxels.spread(fold, some)), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Which voxels share a penalty, and the least responses that choose it.

    A sum of squared errors over a ROI's voxels depends on Y'Y alone (stimuli x stimuli), so that a ROI with more
    voxels than stimuli is stood for by the rows of a root of Y'Y.

    Args:
        region: of each voxel.
        roots: responses or rows of a root.
        root_region: of each row of `roots`.
    """

    region: Int[np.ndarray, " voxels"]
    roots: Voxels
    root_region: Int[np.ndarray, " rows"]


def regions(voxels: Voxels, edges: np.ndarray) -> Regions:
    """ROIs that lie side by side, from their first voxels (and the end)."""
    sizes = np.diff(edges)
    region = np.repeat(np.arange(len(sizes)), sizes)
    n = voxels.y.shape[1]
    if sizes.max() <= n:
        return Regions(region=region, roots=voxels, root_region=region)
    parts = [voxels.y[a:b] if b - a <= n else _root(voxels.y[a:b]) for a, b in pairwise(edges)]
    return Regions(
        region=region,
        roots=with_moments(np.concatenate(parts), voxels.cuts),
        root_region=np.repeat(np.arange(len(sizes)), [len(part) for part in parts]),
    )


def _root(y: Float[np.ndarray, "voxels stimuli"]) -> Float[np.ndarray, "rows stimuli"]:
    check_squares("one penalty for a ROI with more voxels than stimuli", y.shape[1], 6)
    square = np.zeros((y.shape[1], y.shape[1]))
    for some in blocks(len(y)):
        part = y[some].astype(np.float64)
        square += part.T @ part
    power, vectors = np.linalg.eigh(square)
    return np.asarray((np.sqrt(np.maximum(power, 0)) * vectors).T.astype(np.float32))


def chosen_by_region(fitted: Fits, shared: Regions) -> Int[np.ndarray, "folds regions"]:
    """The place of the penalty with the smallest sum of errors over a ROI's voxels, in each outer fold."""
    n_folds, n_alphas = len(fitted.folds), len(fitted.folds[0].free)
    totals = np.zeros((n_folds, int(shared.region[-1]) + 1, n_alphas))
    for some in blocks(len(shared.roots.y)):
        for fold, errors in fitted.errors(shared.roots, some):
            np.add.at(totals[fold], shared.root_region[some], errors)
    return np.asarray(totals.argmin(axis=2))


def by_region(fitted: Fits, voxels: Voxels, shared: Regions) -> PerFold:
    """Pearson r of held-out responses, with one penalty a ROI: the smallest sum of its voxels' errors.

    Predictions are one small product, made for each penalty in use, times the responses.
    """
    chosen = chosen_by_region(fitted, shared)

    @cache
    def to_test(fold: int, alpha: int) -> Float[np.ndarray, "_ test"]:
        one = fitted.folds[fold]
        return np.asarray(one.to_z @ (one.tests[0] * one.shrink[alpha]).T)

    out = np.empty(voxels.sums.shape)
    for some in blocks(len(voxels.y)):
        for fold, given in enumerate(coordinates(fitted.design, fitted.folds, voxels.y[some])):
            best = chosen[fold, shared.region[some]]
            predicted = np.empty((len(given), len(fitted.folds[fold].tests[0])), dtype=np.float32)
            for alpha in np.unique(best).tolist():
                predicted[best == alpha] = given[best == alpha] @ to_test(fold, alpha)
            out[fold, some] = _pearson(predicted, voxels, fold, some)
    return out
