"""Scores of permuted stimuli equal those of the responses, or of the features, put into that order by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.brain import Target
from ontogeny.metrics import CKA, CKNNA, RSA, CycleKNN, LayerGeometry, MutualKNN, Procrustes, Ridge, make_folds
from ontogeny.metrics.batching import prepare_all
from ontogeny.metrics.permutations import NONE, Permutations, inverse, permuted, sampled_voxels

PAIRWISE = [
    *(RSA(comparison=c) for c in ("spearman", "rho-a", "pearson", "cosine", "kendall")),
    *(RSA(distance="euclidean", comparison=c) for c in ("whitened-pearson", "whitened-cosine")),
    CKA(),
    CKA(debiased=False, standardise=True),
    CKA(kind="rbf"),
    CKA(kind="rbf", width=3.0, damping=1e-6),
    MutualKNN(k=5),
    CycleKNN(k=3, likeness="euclidean"),
    CKNNA(k=7),
    Procrustes(permutations=1),
]


def targets(rng, n, sizes=(6, 6), whole=True):
    made = [rng.standard_normal((n, size)) for size in sizes]
    return [
        Target(subject="s", roi=f"r{i}", responses=y if whole else y.astype(np.float32), n_voxels=y.shape[1])
        for i, y in enumerate(made)
    ]


def every(metric, given_targets, permutations, view, folds):
    [[values]] = prepare_all([metric], given_targets, folds, permutations=permutations).score([view])
    if isinstance(values, Exception):
        raise values
    return [value.value for value in values], [value.chance for value in values], values


@pytest.mark.parametrize("metric", PAIRWISE, ids=lambda m: m.name)
def test_the_layer_permuted_scores_as_responses_permuted(metric):
    rng, n = np.random.default_rng(0), 40
    orders = tuple(rng.permutation(n) for _ in range(2))
    view, folds, some = LayerGeometry(torch.as_tensor(rng.standard_normal((n, 8)))), make_folds(n), targets(rng, n)
    found, chance, values = every(metric, some, Permutations(orders=orders, sampled=(True, False)), view, folds)
    expected = []
    for copies in (some, *([permuted(t, order, "") for t in some] for order in orders)):
        alone, chance_alone, _ = every(metric, copies, NONE, view, folds)
        expected += alone
        np.testing.assert_allclose(
            chance[: len(some)], chance_alone, atol=0.05 if metric.name == "procrustes" else 1e-12
        )
    np.testing.assert_allclose(found, expected, atol=3e-9)
    assert not np.allclose(found[:2], found[2:4], atol=1e-3)
    assert all(value.ceiling is None for value in values[2:])


@pytest.mark.parametrize("metric", [RSA(), CKA(), CKA(kind="rbf"), MutualKNN()], ids=lambda m: m.name)
def test_in_single_precision_too(metric):
    rng, n = np.random.default_rng(1), 300
    order = rng.permutation(n)
    x, folds, some = rng.standard_normal((n, 8)), make_folds(n), targets(rng, n, whole=False)
    permutations = Permutations(orders=(order,), sampled=(True,))
    found, _, _ = every(metric, some, permutations, LayerGeometry(torch.as_tensor(x)), folds)
    moved, _, _ = every(metric, some, NONE, LayerGeometry(torch.as_tensor(x[inverse(order)])), folds)
    np.testing.assert_allclose(found[2:], moved, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(14)), st.sampled_from([RSA(), CKA(), MutualKNN(k=3), CycleKNN(k=3), CKNNA(k=5)]))
def test_a_geometry_and_its_voxels_permute_alike(order, metric):
    rng, n = np.random.default_rng(2), 14
    y = rng.standard_normal((n, 5))
    rdm = np.square(y[:, None] - y[None]).sum(axis=2)
    some = [Target(subject="s", roi="r", rdm=(rdm + rdm.T) / 2, n_voxels=5)]
    if metric.name.startswith("cknna"):
        some = targets(rng, n, (5,))
    view, folds = LayerGeometry(torch.as_tensor(rng.standard_normal((n, 4)))), make_folds(n, n_folds=2)
    permutations = Permutations(orders=(np.array(order),), sampled=(True,))
    found, _, _ = every(metric, some, permutations, view, folds)
    by_hand, _, _ = every(metric, [permuted(some[0], np.array(order), "")], NONE, view, folds)
    np.testing.assert_allclose(found[1:], by_hand, atol=1e-9)


def test_ridge_permutes_a_sample_of_voxels_where_only_chance_is_asked_for():
    rng, n = np.random.default_rng(3), 60
    order, others = rng.permutation(n), rng.permutation(n)
    view, folds, some = (
        LayerGeometry(torch.as_tensor(rng.standard_normal((n, 8)))),
        make_folds(n),
        targets(rng, n, (120,)),
    )
    permutations = Permutations(orders=(order, order, others), sampled=(True, True, False))
    found, _, _ = every(Ridge(), some, permutations, view, folds)
    y, prepared = some[0].responses, []
    for which, (row, voxels) in enumerate([(order, sampled_voxels(120, 0)), (order, sampled_voxels(120, 1))]):
        assert len(voxels) == 5, which
        prepared.append(Ridge()(view.x, y[row][:, voxels], folds=folds).value)
    prepared.append(Ridge()(view.x, y[others], folds=folds).value)
    np.testing.assert_allclose(found[1:], prepared, atol=1e-6)


@given(st.integers(1, 3000))
def test_a_sample_is_a_twenty_fifth_other_voxels_each_time_and_all_of_few(n):
    samples = [sampled_voxels(n, which) for which in range(5)]
    assert all(len(s) == min(n, max(4, -(-n // 25))) and s.min() >= 0 and s.max() < n for s in samples)
    if n >= 20:
        assert len(np.unique(np.concatenate(samples))) == sum(map(len, samples))
