"""CKA and mutual kNN, and all chance levels, against independent libraries and the definitions written out."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ontogeny.brain import Target
from ontogeny.metrics import CCA, CKA, CKNNA, RSA, CycleKNN, LayerGeometry, MutualKNN, make_folds
from ontogeny.metrics.cka import cka, kernel
from ontogeny.metrics.neighbors import mutual_knn

pytestmark = pytest.mark.oracle


def hsic_unbiased(k, l):  # noqa: E741
    """Song et al. 2012, equation 5, written out."""
    m = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones(m)
    cross = one @ k @ one * (one @ l @ one) / ((m - 1) * (m - 2))
    return (np.trace(k @ l) + cross - 2 / (m - 2) * one @ k @ l @ one) / (m * (m - 3))


def hsic_biased(k, l):  # noqa: E741
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ l @ h)


@pytest.mark.parametrize(("debiased", "hsic"), [(True, hsic_unbiased), (False, hsic_biased)])
@pytest.mark.parametrize("kind", ["linear", "rbf"])
def test_cka_equals_the_definition(rng, debiased, hsic, kind):
    x, y = rng.standard_normal((25, 8)), rng.standard_normal((25, 5))
    k, l = kernel(x, kind=kind, width=3.0), kernel(y, kind=kind, width=3.0)  # noqa: E741
    if kind == "rbf":
        squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(k, np.exp(-squared / 18), atol=1e-12)
    expected = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    assert cka(k, l, debiased=debiased) == pytest.approx(expected, abs=1e-12)


def test_linear_biased_cka_equals_its_feature_form(rng):
    x, y = rng.standard_normal((30, 8)), rng.standard_normal((30, 5))
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    expected = (
        np.linalg.norm(xc.T @ yc) ** 2 / np.linalg.norm(xc.T @ xc) / np.linalg.norm(yc.T @ yc)
    )  # Kornblith et al. 2019, equation 4
    assert cka(kernel(x), kernel(y), debiased=False) == pytest.approx(expected, abs=1e-12)


def test_mutual_knn_equals_scikit_learn_neighbours(rng):
    x, y = rng.standard_normal((50, 8)), rng.standard_normal((50, 5))
    sets = []
    for data in (x, y):
        found = NearestNeighbors(n_neighbors=8, metric="cosine").fit(data).kneighbors(return_distance=False)[:, :7]
        sets.append([set(row) for row in found])
    expected = np.mean([len(a & b) / 7 for a, b in zip(*sets, strict=True)])
    assert mutual_knn(x, y, k=7) == pytest.approx(expected)


@pytest.mark.parametrize(
    "metric",
    [
        RSA(),
        RSA(comparison="pearson"),
        RSA(comparison="rho-a", distance="cosine"),
        RSA(comparison="kendall", distance="euclidean"),
        RSA(comparison="cosine"),
        RSA(comparison="whitened-pearson"),
        RSA(comparison="whitened-cosine", distance="euclidean"),
        CCA(components=2),
        CKA(),
        CKA(debiased=False),
        CKA(kind="rbf"),
        CKA(kind="rbf", width=2.0, debiased=False, standardise=True, damping=0.1),
        MutualKNN(k=3),
        CycleKNN(k=1, likeness="euclidean"),
        CycleKNN(k=2, standardise=True),
        CKNNA(k=3),
        CKNNA(k=4, likeness="inner", standardise=True, damping=0.5),
    ],
    ids=lambda metric: metric.name,
)
def test_chance_is_the_mean_over_permutations_of_the_stimuli(rng, metric):
    """All 720 permutations of 6 stimuli: the stated chance level is exact, not an approximation."""
    x, y = rng.standard_normal((6, 9)), rng.standard_normal((6, 7))
    target = Target(subject="s", roi="r", responses=y, n_voxels=7)
    prepared = metric.prepare([target], make_folds(6, n_folds=2))
    stated = prepared.score(LayerGeometry(torch.as_tensor(x)))[0].chance
    values = [
        prepared.score(LayerGeometry(torch.as_tensor(x[list(order)])))[0].value
        for order in itertools.permutations(range(6))
    ]
    assert np.mean(values) == pytest.approx(stated, abs=1e-9)


def test_a_geometry_gives_the_same_score_as_the_voxels_it_was_made_of(rng):
    x, y = rng.standard_normal((30, 12)), rng.standard_normal((30, 40))
    rows = y - y.mean(axis=1, keepdims=True)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    voxels = Target(subject="s", roi="r", responses=rows, n_voxels=40)
    geometry = Target(subject="s", roi="r", rdm=1 - rows @ rows.T)
    for metric in (RSA(), CKA(), CKA(debiased=False), CKA(kind="rbf"), MutualKNN(likeness="euclidean")):
        a, b = (
            metric.prepare([t], make_folds(30)).score(LayerGeometry(torch.as_tensor(x)))[0].value
            for t in (voxels, geometry)
        )
        assert a == pytest.approx(b, abs=1e-9), metric.name
