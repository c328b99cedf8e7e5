"""Scores of stimuli drawn anew, against rsatoolbox, and against the same computed from stimuli that are repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rsatoolbox.rdm import RDMs
from rsatoolbox.rdm import compare as compare_of_rsatoolbox

from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import CKA, CKNNA, RSA, LayerGeometry, Ridge, make_folds
from ontogeny.metrics.resampled import resampled
from ontogeny.metrics.rsa import rdm

N = 40


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 12))
    ys = [x @ rng.standard_normal((12, 20)) + 3 * rng.standard_normal((N, 20)) for _ in range(2)]
    targets = [Target(subject=str(i), roi="R", responses=y, n_voxels=20) for i, y in enumerate(ys)]
    rows = [np.arange(N), *(rng.integers(0, N, N) for _ in range(4))]
    weights = np.stack([np.bincount(some, minlength=N).astype(float) for some in rows])
    return x, targets, rows, weights, make_folds(N, n_folds=4)


def drawn(metric, world):
    x, targets, _, weights, folds = world
    return resampled(metric, targets, folds, weights)(LayerGeometry(torch.tensor(x)))


@pytest.mark.parametrize(
    ("comparison", "method"), [("pearson", "corr"), ("cosine", "cosine")], ids=["pearson", "cosine"]
)
def test_rsa_is_that_of_rsatoolbox_whose_copies_are_left_out(world, comparison, method):
    x, targets, rows, *_ = world
    found = drawn(RSA(comparison=comparison), world)
    ours = RDMs(rdm(x)[None], pattern_descriptors={"index": np.arange(N)})
    for place, target in enumerate(targets):
        theirs = RDMs(rdm(target.responses)[None], pattern_descriptors={"index": np.arange(N)})
        for draw, some in enumerate(rows):
            both = [one.subsample_pattern("index", some) for one in (ours, theirs)]
            assert found[draw, place] == pytest.approx(compare_of_rsatoolbox(*both, method=method).item(), abs=1e-5)


def test_cka_is_the_cosine_of_what_no_sum_of_two_terms_explains(world):
    """Over pairs of different stimuli of the repeated sample, by least squares."""
    x, targets, rows, *_ = world
    found = drawn(CKA(), world)
    for draw, some in enumerate(rows):
        first, second = np.triu_indices(N, 1)
        other = some[first] != some[second]
        first, second = first[other], second[other]
        design = np.zeros((len(first), N))
        design[np.arange(len(first)), first] += 1
        design[np.arange(len(first)), second] += 1
        basis = np.linalg.svd(design, full_matrices=False)
        basis = basis[0][:, basis[1] > 1e-9]

        def left(y, some=some, first=first, second=second, basis=basis):
            pairs = (y[some] @ y[some].T)[first, second]
            return pairs - basis @ (basis.T @ pairs)

        for place, target in enumerate(targets):
            a, b = left(x), left(np.asarray(target.responses))
            expected = a @ b / np.sqrt((a @ a) * (b @ b))
            assert found[draw, place] == pytest.approx(expected, abs=1e-5)


def test_ridge_is_the_correlation_of_repeated_predictions(world):
    x, targets, _, weights, folds = world
    found = drawn(Ridge(), world)
    responses = np.concatenate([t.responses for t in targets], axis=1)
    predicted = Ridge().prepare(targets, folds).fit(LayerGeometry(torch.tensor(x)), responses).predictions
    for draw, weight in enumerate(weights):
        each = []
        for _, test in folds:
            some = np.repeat(test, weight[test].astype(int))
            pairs = zip(predicted[some].T, responses[some].T, strict=True)
            each.append([np.corrcoef(p, y)[0, 1] for p, y in pairs])
        assert found[draw] == pytest.approx(np.mean(each, axis=0).reshape(2, 20).mean(axis=1), abs=1e-4)


@pytest.mark.parametrize("metric", [RSA(), RSA(distance="euclidean"), CKA(kind="rbf"), CKA(standardise=True), Ridge()])
def test_without_a_draw_it_is_the_metric(world, metric):
    x, targets, _, _, folds = world
    expected = [v.value for v in metric.prepare(targets, folds).score(LayerGeometry(torch.tensor(x)))]
    assert drawn(metric, world)[0] == pytest.approx(expected, abs=1e-5)


def test_ranks_among_all_stimuli_are_nearly_those_among_the_drawn(world):
    """What Spearman's shortcut costs: thousandths."""
    x, targets, rows, *_ = world
    found = drawn(RSA(), world)
    from scipy.stats import spearmanr

    for draw, some in enumerate(rows):
        first, second = np.triu_indices(N, 1)
        other = some[first] != some[second]
        full = [np.zeros((N, N)), np.zeros((N, N))]
        for square, y in zip(full, (x, np.asarray(targets[0].responses)), strict=True):
            square[np.triu_indices(N, 1)] = rdm(y)
            square += square.T
        a, b = (square[some[first], some[second]][other] for square in full)
        assert found[draw, 0] == pytest.approx(spearmanr(a, b).statistic, abs=0.01)


def test_geometries_are_drawn_too_and_other_metrics_refused(world):
    x, targets, _, weights, folds = world
    square = np.zeros((N, N))
    square[np.triu_indices(N, 1)] = rdm(targets[0].responses)
    geometry = Target(subject="0", roi="R", rdm=square + square.T, n_voxels=20)
    score = resampled(RSA(), [geometry], folds, weights)
    assert score(LayerGeometry(torch.tensor(x)))[:, 0] == pytest.approx(drawn(RSA(), world)[:, 0], abs=1e-5)
    for metric in (CKA(debiased=False), RSA(comparison="kendall"), CKNNA(), Ridge(local_alpha=False)):
        with pytest.raises(MetricError, match="cannot be scored on stimuli drawn anew"):
            resampled(metric, targets, folds, weights)
