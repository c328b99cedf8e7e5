"""RSA against rsatoolbox, scipy and the definitions written out."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import rsatoolbox
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, rankdata, spearmanr

from ontogeny.brain import Target
from ontogeny.metrics import CKA, RSA, LayerGeometry, make_folds
from ontogeny.metrics._pairwise.dissimilarities import Comparison, Distance, mid_ranks
from ontogeny.metrics.cka import cka, kernel
from ontogeny.metrics.rsa import compare_rdms, prepare_rsa, rdm

pytestmark = pytest.mark.oracle

THEIRS = {
    "spearman": "spearman",
    "rho-a": "rho-a",
    "pearson": "corr",
    "cosine": "cosine",
    "kendall": "tau-a",
    "whitened-pearson": "corr_cov",
    "whitened-cosine": "cosine_cov",
}


def rsatoolbox_compare(a: np.ndarray, b: np.ndarray, method: str) -> float:
    first, second = (rsatoolbox.rdm.RDMs(v[None]) for v in (a, b))
    return float(rsatoolbox.rdm.compare(first, second, method=method)[0, 0])


@pytest.mark.parametrize(("distance", "method"), [("correlation", "correlation"), ("euclidean", "euclidean")])
def test_rdms_equal_rsatoolbox(rng, distance, method):
    x = rng.standard_normal((20, 15))
    expected = rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(x), method=method).dissimilarities[0]
    factor = 1 if distance == "correlation" else 15  # rsatoolbox divides squared distances by the number of features
    np.testing.assert_allclose(rdm(x, distance=distance), expected * factor, atol=1e-10)


@pytest.mark.parametrize("features", [2, 9, 300])
@pytest.mark.parametrize("offset", [0.0, 5.0, 1e4, "rows", "opposite"])
@pytest.mark.parametrize(("distance", "theirs"), [("cosine", "cosine"), ("correlation", "correlation")])
def test_rdms_from_the_shared_gram_equal_scipy_whatever_the_features_have_in_common(
    rng, features, offset, distance, theirs
):
    x = rng.standard_normal((30, features))
    if offset == "rows":
        x += 1e5 * rng.standard_normal((30, 1))  # lost in the Gram matrix, so that it must not be used
    elif offset == "opposite":
        x += 100 * rng.standard_normal(features)
        x[0] = 1e-7 * rng.standard_normal(features)
    else:
        x += offset * rng.standard_normal(features)
    np.testing.assert_allclose(rdm(x, distance=distance), pdist(x, theirs), atol=1e-11)


@pytest.mark.parametrize(("ours", "theirs"), THEIRS.items())
@pytest.mark.parametrize("digits", [1, 12])
def test_comparisons_equal_rsatoolbox(rng, ours, theirs, digits):
    a, b = (np.round(rdm(rng.standard_normal((25, 10)), distance="euclidean"), digits) for _ in range(2))
    assert compare_rdms(a, b, comparison=ours) == pytest.approx(rsatoolbox_compare(a, b, theirs), abs=1e-10)


def test_comparisons_equal_scipy(rng):
    a, b = rng.standard_normal((2, 190))
    b = np.round(b, 1)
    assert compare_rdms(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert compare_rdms(a, b, comparison="pearson") == pytest.approx(pearsonr(a, b).statistic, abs=1e-12)
    signs = [np.sign(v[:, None] - v[None]) for v in (a, b)]
    tau_a = (signs[0] * signs[1]).sum() / (190 * 189)
    assert compare_rdms(a, b, comparison="kendall") == pytest.approx(tau_a, abs=1e-12)


def test_rho_a_is_the_mean_over_random_ways_of_breaking_ties(rng):
    a, b = np.round(rng.standard_normal((2, 66)), 0)
    b[:20] = a[:20]
    broken = [spearmanr(*(v + 1e-6 * rng.standard_normal(66) for v in (a, b))).statistic for _ in range(4000)]
    error = np.std(broken) / np.sqrt(len(broken))
    assert compare_rdms(a, b, comparison="rho-a") == pytest.approx(np.mean(broken), abs=4 * error)


def test_whitening_is_by_the_covariance_of_dissimilarities(rng):
    """Diedrichsen et al. 2021: V = Xi o Xi with Xi = C C', solved."""
    a, b = (rdm(rng.standard_normal((12, 6)), distance="euclidean") for _ in range(2))
    contrasts = np.zeros((66, 12))
    contrasts[np.arange(66), np.triu_indices(12, 1)[0]] = 1
    contrasts[np.arange(66), np.triu_indices(12, 1)[1]] = -1
    v = (contrasts @ contrasts.T) ** 2

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ solve(v, b) / np.sqrt((a @ solve(v, a)) * (b @ solve(v, b))))

    assert compare_rdms(a, b, comparison="whitened-cosine") == pytest.approx(cosine(a, b), abs=1e-10)
    centred = cosine(a - a.mean(), b - b.mean())
    assert compare_rdms(a, b, comparison="whitened-pearson") == pytest.approx(centred, abs=1e-10)


def test_whitened_cosine_of_euclidean_distances_is_biased_linear_cka_with_its_chance(rng):
    x, y = rng.standard_normal((40, 9)), rng.standard_normal((40, 7))
    assert compare_rdms(*(rdm(v, distance="euclidean") for v in (x, y)), comparison="whitened-cosine") == pytest.approx(
        cka(kernel(x), kernel(y), debiased=False), abs=1e-12
    )
    targets = [Target(subject=s, roi="r", responses=rng.standard_normal((40, 8)), n_voxels=8) for s in "ab"]
    view, folds = LayerGeometry(torch.as_tensor(x)), make_folds(40)
    ours = RSA(distance="euclidean", comparison="whitened-cosine").prepare(targets, folds).score(view)
    theirs = CKA(debiased=False).prepare(targets, folds).score(view)
    for a, b in zip(ours, theirs, strict=True):
        for field in ("value", "chance", "ceiling", "ceiling_lower"):
            assert getattr(a, field) == pytest.approx(getattr(b, field), abs=1e-10)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 3000), digits=st.integers(0, 6), scale=st.floats(1e-9, 1e9))
def test_mid_ranks_equal_scipy_with_and_without_ties(seed, count, digits, scale):
    values = np.round(np.random.default_rng(seed).standard_normal(count), digits)
    np.testing.assert_array_equal(mid_ranks(values * scale), rankdata(values))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_ranks_do_not_tell_apart_what_rounding_made_different(rng, size):
    """Class labels, turned: two distances only, which come out of a matrix product as many."""
    labels = np.repeat(np.eye(5), 6, axis=0)
    turned = size * labels @ np.linalg.qr(rng.standard_normal((64, 64)))[0][:5]
    y = rdm(rng.standard_normal((30, 9)), distance="euclidean")
    made = rdm(turned, distance="euclidean")
    assert len(np.unique(made)) > 2
    expected = spearmanr(pdist(labels, "sqeuclidean"), y).statistic
    assert compare_rdms(made, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("comparison", [c for c in get_args(Comparison) if c != "kendall"])
@pytest.mark.parametrize("distance", get_args(Distance))
def test_single_precision_sums_over_many_pairs_equal_double(distance, comparison):
    """300 stimuli are kept in 4 bytes a number."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 40)) + 1, rng.standard_normal((300, 30)) + 1
    target = Target(subject="s", roi="r", responses=y, n_voxels=30)
    metric = RSA(distance=distance, comparison=comparison)
    found = metric.prepare([target], make_folds(300)).score(LayerGeometry(torch.as_tensor(x)))[0].value
    expected = rsatoolbox_compare(
        pdist(x, THEIR_DISTANCE[distance]), pdist(y, THEIR_DISTANCE[distance]), THEIRS[comparison]
    )
    assert found == pytest.approx(expected, abs=1e-6)


THEIR_DISTANCE = {"correlation": "correlation", "euclidean": "sqeuclidean", "cosine": "cosine"}


def everything() -> list[RSA]:
    return [RSA(distance=d, comparison=c) for c in get_args(Comparison) for d in get_args(Distance)]


def test_ceilings_equal_the_definition(rng):
    """Summaries are ranks, or dissimilarities at unit length; their mean over subjects is compared with each."""
    shared = rng.standard_normal((15, 6))
    ys = [shared @ rng.standard_normal((6, 9)) + rng.standard_normal((15, 9)) for _ in range(3)]
    targets = [Target(subject=str(i), roi="r", responses=y, n_voxels=9) for i, y in enumerate(ys)]
    view = LayerGeometry(torch.as_tensor(rng.standard_normal((15, 5))))
    for metric in everything():
        values = metric.prepare(targets, make_folds(15)).score(view)
        own = [rdm(y, distance=metric.distance) for y in ys]
        for i, value in enumerate(values):
            if metric.comparison in ("spearman", "rho-a", "kendall"):
                parts = [rankdata(v) for v in own]
            elif metric.comparison == "pearson":
                parts = [(v - v.mean()) / np.std(v) for v in own]
            elif metric.comparison == "cosine":
                parts = [v / np.linalg.norm(v) for v in own]
            else:
                continue  # whitened-cosine: as CKA, above
            others = np.mean([p for j, p in enumerate(parts) if j != i], axis=0)
            lower, upper = (compare_rdms(v, own[i], comparison=metric.comparison) for v in (others, np.mean(parts, 0)))
            assert (value.ceiling_lower, value.ceiling) == (pytest.approx(lower), pytest.approx(upper)), metric.name
            assert lower < upper <= 1


def test_comparisons_and_layers_together_are_those_alone_and_a_refusal_hits_its_distance_only(rng):
    targets = [Target(subject=f"s{i}", roi="r", responses=rng.standard_normal((20, 8)), n_voxels=8) for i in range(3)]
    xs = [rng.standard_normal((20, d)) for d in (1, 6, 30)]
    xs[2][0] = 0
    views = [LayerGeometry(torch.as_tensor(x)) for x in xs]
    together = prepare_rsa(everything(), targets).score_all(views)
    refused = set()
    for place, metric in enumerate(everything()):
        alone = metric.prepare(targets, make_folds(20)).family.score_all(views)
        for layer, (row, own) in enumerate(zip(together, alone, strict=True)):
            if isinstance(row[place], list):
                assert [v.value for v in row[place]] == pytest.approx([v.value for v in own[0]], abs=1e-12)
            else:
                refused.add((layer, metric.distance, str(row[place])[:13]))
    assert refused == {
        (0, "correlation", "a correlation"),
        (2, "correlation", "a correlation"),
        (2, "cosine", "a cosine need"),
    }


def test_a_geometry_is_compared_as_it_is(rng):
    square = np.zeros((20, 20))
    square[np.triu_indices(20, 1)] = np.round(rng.random(190), 1) + 0.1
    geometry = Target(subject="s", roi="r", rdm=square + square.T)
    x = rng.standard_normal((20, 6))
    for metric in everything():
        found = metric.prepare([geometry, replace(geometry, subject="t")], make_folds(20))
        value = found.score(LayerGeometry(torch.as_tensor(x)))[1].value
        expected = rsatoolbox_compare(
            pdist(x, THEIR_DISTANCE[metric.distance]), square[np.triu_indices(20, 1)], THEIRS[metric.comparison]
        )
        assert value == pytest.approx(expected, abs=1e-10), metric.name
