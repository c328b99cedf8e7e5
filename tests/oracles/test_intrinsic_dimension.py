"""TwoNN on manifolds of known dimension, and against a slow reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.metrics import LayerGeometry
from ontogeny.metrics.dimensionality import intrinsic_dimension

pytestmark = pytest.mark.oracle


def found(x: np.ndarray) -> float:
    return intrinsic_dimension(LayerGeometry(torch.as_tensor(x)).squared_distances)


def reference(x: np.ndarray) -> float:
    """Facco et al. 2017, steps 1 to 5, one stimulus at a time."""
    x, ratios = np.unique(x, axis=0), []
    for i, row in enumerate(x):
        near = sorted(np.sqrt(((row - other) ** 2).sum()) for j, other in enumerate(x) if j != i)
        ratios.append(near[1] / near[0])
    points = [(np.log(m), -np.log(1 - (i + 1) / len(x))) for i, m in enumerate(sorted(ratios)[: int(0.9 * len(x))])]
    return sum(a * b for a, b in points) / sum(a * a for a, _ in points)


@pytest.mark.parametrize("repeated", [0, 25])
def test_equals_the_definition_with_and_without_repeated_stimuli(rng, repeated):
    x = rng.standard_normal((60, 4))
    x = np.concatenate([x, x[:repeated]])[rng.permutation(60 + repeated)]
    assert found(x) == pytest.approx(reference(x), rel=1e-9)


def mean_over_draws(draw, repeats: int = 8) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([found(draw(rng)) for _ in range(repeats)]))


@pytest.mark.parametrize(("dimension", "low", "high"), [(1, 0.95, 1.05), (2, 1.9, 2.1), (5, 4.6, 5.1), (10, 8.0, 8.6)])
@pytest.mark.parametrize("width", [10, 300])
def test_a_cube_in_a_wide_space_has_its_own_dimension(dimension, low, high, width):
    """Low in 10 dimensions, where most of the volume is at the border; 300 features make no difference."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        return rng.random((1000, dimension)) @ np.linalg.qr(rng.standard_normal((width, width)))[0][:dimension]

    assert low < mean_over_draws(draw) < high


def test_bent_surfaces_have_the_dimension_of_the_surface():
    def circle(rng: np.random.Generator) -> np.ndarray:
        angle = rng.random(1000) * 2 * np.pi
        return np.stack([np.cos(angle), np.sin(angle), np.cos(7 * angle) / 9], axis=1)

    def sphere(rng: np.random.Generator) -> np.ndarray:
        x = rng.standard_normal((1000, 3))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def roll(rng: np.random.Generator) -> np.ndarray:
        t = 1.5 * np.pi * (1 + 2 * rng.random(1000))
        return np.stack([t * np.cos(t), 21 * rng.random(1000), t * np.sin(t)], axis=1)

    assert mean_over_draws(circle) == pytest.approx(1, abs=0.06)
    assert mean_over_draws(sphere) == pytest.approx(2, abs=0.1)
    assert mean_over_draws(roll) == pytest.approx(2, abs=0.15)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-6, 1.0, 1e6]), shift=st.floats(-5, 5))
def test_turning_scaling_shifting_and_repeating_stimuli_change_nothing(seed, scale, shift):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((30, 6))
    turned = scale * (x @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + shift)
    again = np.concatenate([turned, turned[rng.integers(0, 30, 12)]])
    assert found(again) == pytest.approx(found(x), rel=1e-6)
