"""What kernel and neighbour metrics promise not to see, and what they make of awkward data: right, or refused."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import study_reference

from ontogeny.benchmarks.shen2026 import shen2026
from ontogeny.brain import Target
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics import CKA, CKNNA, CycleKNN, LayerGeometry, MutualKNN, make_folds
from ontogeny.metrics.batching import prepare_all

ROTATED = [
    CKA(),
    CKA(debiased=False),
    CKA(kind="rbf"),
    MutualKNN(k=3),
    MutualKNN(k=3, likeness="inner"),
    MutualKNN(k=3, likeness="euclidean"),
    CycleKNN(k=2),
    CKNNA(k=5),
    CKNNA(k=5, likeness="inner"),
]
SHIFTED = [CKA(), CKA(kind="rbf"), CKA(kind="rbf", width=3.0), MutualKNN(k=3, likeness="euclidean")]
STRETCHED = [
    CKA(standardise=True),
    CKA(kind="rbf", width=3.0, debiased=False, standardise=True, damping=1e-6),
    MutualKNN(k=3, likeness="inner", standardise=True),
    CycleKNN(k=2, likeness="inner", standardise=True),
    CKNNA(k=5, likeness="inner", standardise=True, damping=1e-6),
]
ALL = [*ROTATED, *SHIFTED[2:3], *STRETCHED]


def scored(metrics, x, y):
    target = Target(subject="s", roi="r", responses=y, n_voxels=y.shape[1])
    outcomes = prepare_all(metrics, [target], make_folds(len(y), n_folds=2)).score([LayerGeometry(torch.as_tensor(x))])[
        0
    ]
    return {m.name: (values[0].value, values[0].chance) for m, values in zip(metrics, outcomes, strict=True)}


def same(found, expected):
    for name, numbers in expected.items():
        assert found[name] == pytest.approx(numbers, abs=1e-6), name


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-6, 1e6))
def test_rotation_and_scale(seed, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 7)), rng.standard_normal((20, 5))
    turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    same(scored(ROTATED, scale * x @ turn, y / scale), scored(ROTATED, x, y))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-10, 10))
def test_a_common_shift(seed, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 7)), rng.standard_normal((20, 5))
    same(scored(SHIFTED, x + shift * rng.standard_normal(7), y + shift), scored(SHIFTED, x, y))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.floats(1e-6, 1e6))
def test_each_features_own_scale_and_shift_where_features_are_standardised(seed, size):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 7)), rng.standard_normal((20, 5))
    stretched = size * (x * rng.uniform(0.01, 100, 7) + rng.standard_normal(7))
    same(scored(STRETCHED, stretched, y * rng.uniform(0.1, 10, 5) - 1), scored(STRETCHED, x, y))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(10, 40), features=st.integers(1, 60))
def test_the_order_of_stimuli(seed, n, features):
    rng = np.random.default_rng(seed)
    x, y, order = rng.standard_normal((n, features)), rng.standard_normal((n, 5)), rng.permutation(n)
    metrics = ALL if features > 1 else [m for m in ALL if isinstance(m, CKA)]  # one feature's cosines are all +-1: ties
    same(scored(metrics, x[order], y[order]), scored(metrics, x, y))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_sides_may_be_swapped_where_the_formula_is_symmetric(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 7)), rng.standard_normal((20, 5))
    metrics = [m for m in ALL if not isinstance(m, CycleKNN | CKNNA)]
    same(scored(metrics, y, x), scored(metrics, x, y))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), features=st.sampled_from([1, 2, 40]), voxels=st.sampled_from([1, 2, 40]))
def test_ten_stimuli_one_voxel_more_features_than_stimuli_ties_and_constant_features(seed, features, voxels):
    """Right, by the formulas written out, whatever the shape; small whole numbers make many ties."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 3, (10, features)).astype(float), rng.integers(0, 3, (10, voxels)).astype(float)
    x[0], y[0] = 4, 4
    x = np.column_stack([x, np.full(10, 7.0)])
    metrics = {name: m for name, m in shen2026().by_name.items() if isinstance(m, CKA)}
    metrics |= {f"mutual_knn_{k}": MutualKNN(k=k, likeness="inner", standardise=True) for k in (1, 4, 9)}
    metrics |= {f"cycle_knn_{k}": CycleKNN(k=k, likeness="inner", standardise=True) for k in (1, 4, 9)}
    found = scored(list(metrics.values()), x, y)
    expected = {metric.name: study_reference.measure(name, x, y) for name, metric in metrics.items()}
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_a_layer_or_region_without_structure_is_refused_by_name(metric):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 7)), rng.standard_normal((12, 5))
    with pytest.raises(FeatureError, match="same for every stimulus"):
        scored([metric], np.ones((12, 7)), y)
    with pytest.raises(FeatureError, match="same for every stimulus"):
        scored([metric], x, np.ones((12, 5)))


def test_neighbours_without_a_kernel_of_their_own_are_refused():
    """Two stimuli that stand out, all others at the same place: no HSIC among one neighbour each."""
    y = np.random.default_rng(0).standard_normal((12, 5))
    x = np.zeros((12, 3))
    x[0, 0], x[1, 1] = 1, 1
    metric = CKNNA(k=1, likeness="inner")
    target = Target(subject="s", roi="r", responses=y, n_voxels=5)
    with pytest.raises(MetricError, match="among the 1 nearest neighbours there is no structure to align with"):
        metric.prepare([target], make_folds(12)).score(LayerGeometry(torch.as_tensor(x)))


def test_memory_does_not_grow_with_the_number_of_kernels():
    rng = np.random.default_rng(0)
    n, n_targets = 300, 24
    targets = [Target(subject="s", roi=f"r{i}", responses=rng.standard_normal((n, 8))) for i in range(n_targets)]
    view = LayerGeometry(torch.as_tensor(rng.standard_normal((n, 30))))
    kept, peak = [], []
    for widths in (2, 12):
        metrics = [CKA(kind="rbf", width=4.0 + w, debiased=False) for w in range(widths)]
        tracemalloc.start()
        prepared = prepare_all(metrics, targets, make_folds(n))
        kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.reset_peak()
        prepared.score([view])
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    pairs = n * (n - 1) // 2
    assert n_targets * pairs * 4 < kept[0] < 1.1 * n_targets * pairs * 4
    assert kept[1] < 1.05 * kept[0]
    assert peak[1] - kept[1] < 12 * pairs * 4 + 8 * (8 * n * n)
