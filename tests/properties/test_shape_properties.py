"""What each geometry metric promises not to see, for any features; and that it never leaves its range."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.brain import Target
from ontogeny.metrics import RSA, LayerGeometry, Procrustes, make_folds
from ontogeny.metrics._pairwise.dissimilarities import Comparison, Distance
from ontogeny.metrics.cca import held_out_cca

EVERY = [RSA(distance=d, comparison=c) for d in get_args(Distance) for c in get_args(Comparison)]
SHAPE = Procrustes(permutations=1)


def score(metric, x: np.ndarray, y: np.ndarray, order: np.ndarray | None = None):
    y = y if order is None else y[order]
    target = Target(subject="s", roi="r", responses=y, n_voxels=y.shape[1])
    view = LayerGeometry(torch.as_tensor(x if order is None else x[order]))
    return metric.prepare([target], make_folds(len(y), n_folds=2)).score(view)[0]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(10, 25),
    features=st.integers(3, 60),
    scale=st.sampled_from([1e-6, 0.3, 1e6]),
    levels=st.sampled_from([0, 2]),
)
def test_scale_and_order_of_stimuli_are_not_seen_and_values_keep_their_range(seed, n, features, scale, levels):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, features)), rng.standard_normal((n, 4))
    if levels:  # ties: few values, some features constant
        x = np.concatenate([np.eye(3)[np.arange(n) % 3] + 1, np.ones((n, 2)), np.arange(n)[:, None] // 4], axis=1)
    order = rng.permutation(n)
    for metric in [*EVERY, SHAPE]:
        value = score(metric, x, y)
        assert abs(value.value) <= 1 + 1e-12
        for other in (score(metric, scale * x, y), score(metric, x, scale * y)):
            assert other.value == pytest.approx(value.value, abs=1e-9), metric.name
            assert other.chance == pytest.approx(value.chance, abs=1e-9), metric.name
        assert score(metric, x, y, order).value == pytest.approx(value.value, abs=1e-9), metric.name


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-10, 10))
def test_rotations_and_shifts_are_not_seen_where_the_distance_does_not(seed, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((15, 7)), rng.standard_normal((15, 5))
    turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    same = {
        "euclidean": [x @ turn, x + shift * rng.standard_normal(7)],
        "cosine": [x @ turn, x * np.exp(rng.standard_normal((15, 1)))],
        "correlation": [x + shift * rng.standard_normal((15, 1)), x * np.exp(rng.standard_normal((15, 1)))],
    }
    for metric in EVERY:
        for other in same[metric.distance]:
            assert score(metric, other, y).value == pytest.approx(score(metric, x, y).value, abs=1e-9), metric.name


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-10, 10), features=st.integers(2, 40))
def test_the_shape_is_not_seen_to_turn_or_shift_or_grow(seed, shift, features):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((15, features)), rng.standard_normal((15, 5))
    turned = 1e3 * x @ np.linalg.qr(rng.standard_normal((50, 50)))[0][:features] + shift
    assert score(SHAPE, turned, y).value == pytest.approx(score(SHAPE, x, y).value, abs=1e-9)
    assert score(SHAPE, turned, y).chance == pytest.approx(score(SHAPE, x, y).chance, abs=1e-9)
    assert score(SHAPE, x, turned).value == pytest.approx(1, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-10, 10), features=st.integers(1, 40), voxels=st.integers(1, 5))
def test_held_out_correlations_do_not_see_turns_shifts_and_growth_nor_constant_features(seed, shift, features, voxels):
    rng, folds = np.random.default_rng(seed), make_folds(20, n_folds=4)
    x, y = rng.standard_normal((20, features)), rng.standard_normal((20, voxels))
    turned = x @ np.linalg.qr(rng.standard_normal((50, 50)))[0][:features]
    expected = held_out_cca(x, y, folds=folds)
    assert abs(expected) <= 1
    for scale in (1e-6, 1e6):
        assert held_out_cca(scale * (turned + shift), y, folds=folds) == pytest.approx(expected, abs=1e-6)
        with_constants = np.concatenate([x, np.full((20, 3), shift)], axis=1)
        assert held_out_cca(with_constants, scale * y, folds=folds) == pytest.approx(expected, abs=1e-6)


def test_a_geometry_is_wholly_like_itself(rng):
    x = rng.standard_normal((12, 5))
    for metric in EVERY:
        assert score(metric, x, x).value == pytest.approx(1), metric.name


def test_one_voxel_is_compared_by_euclidean_distance(rng):
    x, y = rng.standard_normal((10, 1)), rng.standard_normal((10, 1))
    for metric in EVERY:
        if metric.distance == "euclidean":
            assert score(metric, x, y[:, :1] * 0 + x).value == pytest.approx(1)
            assert -1 <= score(metric, x, y).value < 1
