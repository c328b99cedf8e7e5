"""Procrustes against scipy, rsatoolbox's Bures similarity, and a search over rotations."""

import itertools

import numpy as np
import pytest
import rsatoolbox
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist, squareform

from ontogeny.brain import Target
from ontogeny.metrics import LayerGeometry, Procrustes, make_folds
from ontogeny.metrics.procrustes import shape_cosine

pytestmark = pytest.mark.oracle


def bures(a: np.ndarray, b: np.ndarray) -> float:
    """Of squared Euclidean distances."""
    first, second = (rsatoolbox.rdm.RDMs(v[None]) for v in (a, b))
    return float(rsatoolbox.rdm.compare(first, second, method="bures")[0, 0])


@pytest.mark.parametrize("features", [1, 6, 19, 20, 21, 300])
@pytest.mark.parametrize("voxels", [1, 5, 400])
def test_shape_cosine_equals_scipy_and_rsatoolbox(rng, features, voxels):
    x, y = rng.standard_normal((20, features)) + 3, rng.standard_normal((20, voxels)) - 1
    centred = [side - side.mean(axis=0) for side in (x, y)]
    wide = [np.pad(side, ((0, 0), (0, 400 - side.shape[1]))) for side in centred]
    _, norm = orthogonal_procrustes(*wide)
    expected = norm / np.linalg.norm(x - x.mean(0)) / np.linalg.norm(y - y.mean(0))
    assert shape_cosine(x, y) == pytest.approx(expected, abs=1e-10)
    assert shape_cosine(y, x) == pytest.approx(expected, abs=1e-10)
    assert bures(pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean")) == pytest.approx(expected, abs=1e-6)


def test_no_rotation_lays_one_nearer_to_the_other(rng):
    x, y = (rng.standard_normal((10, 3)) for _ in range(2))
    x, y = ((side - side.mean(0)) / np.linalg.norm(side - side.mean(0)) for side in (x, y))
    turns = (np.linalg.qr(rng.standard_normal((3, 3)))[0] * rng.choice([-1, 1], 3) for _ in range(20_000))
    tried = [np.sum(x * (y @ turn)) for turn in turns]
    assert 0 <= shape_cosine(x, y) - max(tried) < 0.01


def test_the_angle_is_a_metric(rng):
    """Triangle inequality over random shapes of unequal widths: Williams et al. 2021, section 2."""
    shapes = [rng.standard_normal((12, d)) @ np.diag(rng.random(d) ** 3) for d in (1, 2, 4, 9, 30, 80)]
    angle = np.arccos(np.clip([[shape_cosine(a, b) for b in shapes] for a in shapes], -1, 1))
    for i, j, k in itertools.permutations(range(6), 3):
        assert angle[i, k] <= angle[i, j] + angle[j, k] + 1e-6


def test_chance_is_the_mean_over_permutations_of_the_stimuli(rng):
    """Of all 720 permutations of six stimuli, within four standard errors of so many draws."""
    x, y = rng.standard_normal((6, 9)), rng.standard_normal((6, 4))
    target = Target(subject="s", roi="r", responses=y, n_voxels=4)
    found = (
        Procrustes(permutations=2000)
        .prepare([target], make_folds(6, n_folds=2))
        .score(LayerGeometry(torch.as_tensor(x)))
    )
    every = [shape_cosine(x[list(order)], y) for order in itertools.permutations(range(6))]
    assert found[0].chance == pytest.approx(np.mean(every), abs=4 * np.std(every) / 2000**0.5)
    assert found[0].value == pytest.approx(shape_cosine(x, y), abs=1e-12)


@pytest.mark.parametrize(("stimuli", "power", "most"), [(92, 0.0, 0.01), (92, 1.0, 0.05), (1000, 1.0, 0.015)])
def test_permutations_differ_as_little_as_the_docstring_says(rng, stimuli, power, most):
    x = rng.standard_normal((stimuli, 300)) * np.arange(1, 301) ** -power
    y = rng.standard_normal((stimuli, 50)) * np.arange(1, 51) ** -power
    target = [Target(subject="s", roi="r", responses=y, n_voxels=50)]
    prepared = Procrustes(permutations=12).prepare(target, make_folds(stimuli))
    mine = [shape_cosine(x, y[order]) for order in prepared.orders[1:]]
    assert most / 20 < np.std(mine) < most
    assert prepared.score(LayerGeometry(torch.as_tensor(x)))[0].chance == pytest.approx(np.mean(mine), abs=1e-10)


@pytest.mark.parametrize("voxels", [4, 60])
def test_ceilings_are_shape_cosines_with_the_mean_gram_matrix_of_subjects(rng, voxels):
    shared = rng.standard_normal((15, 5))
    ys = [shared @ rng.standard_normal((5, voxels)) + rng.standard_normal((15, voxels)) for _ in range(3)]
    targets = [Target(subject=str(i), roi="r", responses=y, n_voxels=voxels) for i, y in enumerate(ys)]
    alone = Target(subject="0", roi="other", responses=ys[0], n_voxels=voxels)
    prepared = Procrustes().prepare([*targets, alone], make_folds(15))
    values = prepared.score(LayerGeometry(torch.as_tensor(shared)))
    assert (values[3].ceiling_lower, values[3].ceiling) == (None, None)
    units = [pdist((y - y.mean(0)) / np.linalg.norm(y - y.mean(0)), "sqeuclidean") for y in ys]
    for i, value in enumerate(values[:3]):
        others = np.mean([u for j, u in enumerate(units) if j != i], axis=0)
        assert value.ceiling_lower == pytest.approx(bures(others, units[i]), abs=1e-6)
        assert value.ceiling == pytest.approx(bures(np.mean(units, axis=0), units[i]), abs=1e-6)
        assert value.ceiling_lower < value.ceiling < 1


def test_a_geometry_scores_as_the_voxels_it_was_made_of(rng):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((20, 50))
    view, folds = LayerGeometry(torch.as_tensor(x)), make_folds(20)
    voxels = Target(subject="s", roi="r", responses=y, n_voxels=50)
    geometry = Target(subject="s", roi="r", rdm=squareform(pdist(y, "sqeuclidean")))
    a, b = (Procrustes().prepare([t], folds).score(view)[0] for t in (voxels, geometry))
    assert (a.value, a.chance) == (pytest.approx(b.value, abs=1e-9), pytest.approx(b.chance, abs=1e-9))
