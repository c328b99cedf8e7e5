"""Held-out CCA against the generalised eigenvalue problem, scikit-learn's PCA, and worlds with a known answer."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA

from ontogeny.brain import Target
from ontogeny.metrics import CCA, LayerGeometry, make_folds
from ontogeny.metrics.cca import held_out_cca

pytestmark = pytest.mark.oracle


def reference(x, y, folds, components, keep, penalty):
    """Regularised CCA in feature space, its blocks written out, on scores of scikit-learn's PCA."""
    found = []
    for train, test in folds:
        scores = []
        for side in (x, y):
            pca = PCA(svd_solver="full").fit(side[train])
            kept = 1 + int(np.searchsorted(pca.explained_variance_ratio_.cumsum(), keep - 1e-12))
            scores.append([pca.transform(side[rows])[:, :kept] for rows in (train, test)])
        (a, a_test), (b, b_test) = scores
        own = [s.T @ s for s in (a, b)]
        own = [c + penalty * np.trace(c) / len(c) * np.eye(len(c)) for c in own]
        zero = np.zeros((len(own[0]), len(own[1])))
        cross = np.block([[zero @ zero.T, a.T @ b], [b.T @ a, zero.T @ zero]])
        both = np.block([[own[0], zero], [zero.T, own[1]]])
        vectors = eigh(cross, both)[1][:, ::-1][:, : min(components, *zero.shape)]
        u, v = a_test @ vectors[: len(zero)], b_test @ vectors[len(zero) :]
        r = [np.corrcoef(i, j)[0, 1] for i, j in zip(u.T, v.T, strict=True)]
        found.append(sum(r) / min(components, zero.shape[1]))
    return np.mean(found)


@pytest.mark.parametrize("features", [1, 3, 20, 200])
@pytest.mark.parametrize(("components", "keep", "penalty"), [(1, 0.99, 1.0), (5, 0.9, 0.1), (3, 0.7, 0.0)])
def test_equals_the_generalised_eigenvalue_problem(rng, features, components, keep, penalty):
    shared, folds = rng.standard_normal((60, 4)), make_folds(60)
    x = shared @ rng.standard_normal((4, features)) + rng.standard_normal((60, features)) + 2
    y = shared @ rng.standard_normal((4, 7)) + rng.standard_normal((60, 7))
    options = {"components": components, "keep": keep, "penalty": penalty}
    expected = reference(x, y, folds, components, keep, penalty)
    assert held_out_cca(x, y, folds=folds, **options) == pytest.approx(expected, abs=1e-8)
    geometry = Target(subject="s", roi="r", rdm=squareform(pdist(y, "sqeuclidean")))
    scored = CCA(**options).prepare([geometry], folds).score(LayerGeometry(torch.as_tensor(x)))
    assert scored[0].value == pytest.approx(expected, abs=1e-8)


def world(rng, shared: int, features: int = 300) -> tuple[np.ndarray, np.ndarray]:
    z = rng.standard_normal((100, shared))
    x = z @ rng.standard_normal((shared, features)) + 2 * rng.standard_normal((100, features))
    return x, z @ rng.standard_normal((shared, 80)) + 2 * rng.standard_normal((100, 80))


@pytest.mark.parametrize(("shared", "low", "high"), [(0, -0.05, 0.05), (1, 0.15, 0.25), (3, 0.5, 0.65), (8, 0.9, 1.0)])
def test_with_more_features_than_stimuli_it_counts_the_shared_dimensions(shared, low, high):
    """Of five components so many are shared; in-sample, all canonical correlations are 1 whatever is shared."""
    values = [held_out_cca(*world(np.random.default_rng(seed), shared), folds=make_folds(100)) for seed in range(20)]
    assert low < np.mean(values) < high
    x, y = world(np.random.default_rng(0), shared)
    bases = [np.linalg.svd(side - side.mean(0), full_matrices=False)[0][:, :79] for side in (x, y)]
    assert np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)[:20].min() > 0.99


def test_ceilings_are_between_the_mean_of_subjects_and_each(rng):
    folds, shared = make_folds(50), rng.standard_normal((50, 5))
    ys = [shared @ rng.standard_normal((5, 9)) + rng.standard_normal((50, 9)) for _ in range(3)]
    targets = [Target(subject=str(i), roi="r", responses=y, n_voxels=9) for i, y in enumerate(ys)]
    values = CCA(components=2).prepare(targets, folds).score(LayerGeometry(torch.as_tensor(shared)))
    units = [(y - y.mean(0)) / np.linalg.norm(y - y.mean(0)) for y in ys]
    for i, value in enumerate(values):
        others = np.concatenate([u for j, u in enumerate(units) if j != i], axis=1)
        every = np.concatenate(units, axis=1)
        bounds = [held_out_cca(side, ys[i], folds=folds, components=2) for side in (others, every)]
        assert (value.ceiling_lower, value.ceiling) == (pytest.approx(bounds[0]), pytest.approx(bounds[1]))
        assert 0.5 < value.ceiling_lower < value.ceiling
        assert value.chance == 0
