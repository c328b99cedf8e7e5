"""A metric called on two arrays gives what other libraries, or a formula by hand, give; bad arrays are named."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn import cross_decomposition
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from tests.helpers import benchmarks

from ontogeny.brain import Assembly
from ontogeny.datasets.folder.metrics_json import metric_from_json, metric_to_json
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics import (
    CCA,
    CKA,
    CKNNA,
    RSA,
    ArrayScore,
    CycleKNN,
    Folds,
    MutualKNN,
    Procrustes,
    Ridge,
    UniqueVariance,
    make_folds,
    score_arrays,
)
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.registry import METRICS
from ontogeny.metrics.ridge.ridge import ALPHAS

pytestmark = pytest.mark.oracle

N = 60


@pytest.fixture
def arrays(rng):
    """Features, and responses that they explain in part."""
    x = rng.normal(size=(N, 8))
    return x, x @ rng.normal(size=(8, 5)) + 2 * rng.normal(size=(N, 5))


def by_folds(x, y, fit, folds=None):
    """Pearson r of each column of y, mean over folds, of a library's model."""
    out = []
    for train, test in folds or make_folds(N):
        predicted = fit(x[train], y[train]).predict(x[test]).reshape(len(test), -1)
        out.append([pearsonr(predicted[:, v], y[test, v])[0] for v in range(y.shape[1])])
    return np.mean(out, axis=0)


def scale(x):
    """Our penalties are relative to the mean squared singular value of the centred features."""
    return np.square(x - x.mean(axis=0)).sum() / len(x)


def test_ridge_is_scikit_learns(arrays):
    x, y = arrays
    found = Ridge(rule="loo")(x, y)
    grid = np.array(ALPHAS)
    each = by_folds(x, y, lambda a, b: RidgeCV(alphas=grid * scale(a), alpha_per_target=True).fit(a, b))
    np.testing.assert_allclose(found.per_voxel, each, atol=1e-6)
    assert float(found) == found.value == pytest.approx(each.mean(), abs=1e-6)
    shared = Ridge(rule="loo", local_alpha=False)(x, y)
    expected = by_folds(x, y, lambda a, b: RidgeCV(alphas=grid * scale(a)).fit(a, b))
    np.testing.assert_allclose(shared.per_voxel, expected, atol=1e-5)
    single = Ridge(alphas=(0.3,))(x, y)
    one = by_folds(x, y, lambda a, b: SklearnRidge(alpha=0.3 * scale(a)).fit(a, b))
    np.testing.assert_allclose(single.per_voxel, one, atol=1e-6)
    blocks = make_folds(N, n_folds=3, contiguous=True)
    held = by_folds(x, y, lambda a, b: SklearnRidge(alpha=0.3 * scale(a)).fit(a, b), folds=blocks)
    assert Ridge(alphas=(0.3,))(x, y, folds=blocks).value == pytest.approx(held.mean(), abs=1e-6)


def test_rsa_is_scipys(arrays):
    x, y = arrays
    for distance, metric in (("correlation", "correlation"), ("euclidean", "sqeuclidean"), ("cosine", "cosine")):
        mine, theirs = (pdist(side, metric) for side in (x, y))
        for comparison, compare in (("spearman", spearmanr), ("pearson", pearsonr), ("kendall", kendalltau)):
            expected = compare(mine, theirs)[0]
            assert RSA(distance=distance, comparison=comparison)(x, y).value == pytest.approx(expected, abs=1e-6)


def hsic(k, l):  # noqa: E741
    h = np.eye(N) - 1 / N
    return np.trace(k @ h @ l @ h)


def unbiased(k, l):  # noqa: E741 - Song et al. 2012, equation 5
    k, l = (m - np.diag(np.diag(m)) for m in (k, l))  # noqa: E741
    inner = np.trace(k @ l) + k.sum() * l.sum() / (N - 1) / (N - 2) - 2 * k.sum(axis=0) @ l.sum(axis=0) / (N - 2)
    return inner / N / (N - 3)


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_is_the_formula_of_the_papers(arrays, debiased):
    x, y = arrays
    of = unbiased if debiased else hsic
    k, l = x @ x.T, y @ y.T  # noqa: E741
    expected = of(k, l) / np.sqrt(of(k, k) * of(l, l))
    assert CKA(debiased=debiased)(x, y).value == pytest.approx(expected, abs=1e-6)
    k, l = (rbf_kernel(side, gamma=1 / (2 * 3.0**2)) for side in (x, y))  # noqa: E741
    expected = of(k, l) / np.sqrt(of(k, k) * of(l, l))
    assert CKA(kind="rbf", width=3.0, debiased=debiased)(x, y).value == pytest.approx(expected, abs=1e-5)


def test_cca_is_scikit_learns(arrays):
    x, y = arrays
    out = []
    for train, test in make_folds(N):
        model = cross_decomposition.CCA(n_components=2, tol=1e-12, max_iter=100_000).fit(x[train], y[train])
        mine, theirs = model.transform(x[test], y[test])
        out.append([pearsonr(mine[:, c], theirs[:, c])[0] for c in range(2)])
    assert CCA(components=2, keep=1.0, penalty=0.0)(x, y).value == pytest.approx(np.mean(out), abs=1e-4)


def test_procrustes_is_the_nuclear_norm(arrays):
    """As scipy.spatial.procrustes has it: its disparity is 1 - cosine squared."""
    from scipy.spatial import procrustes

    x, y = arrays
    _, _, disparity = procrustes(x, np.pad(y, ((0, 0), (0, 3))))
    assert Procrustes()(x, y).value == pytest.approx(np.sqrt(1 - disparity), abs=1e-6)


def neighbours(side, k):
    found = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(side).kneighbors(side, return_distance=False)
    return [set(row) - {i} for i, row in enumerate(found)]


def test_neighbours_are_scikit_learns(arrays):
    x, y = arrays
    mine, theirs = neighbours(x, 7), neighbours(y, 7)
    expected = np.mean([len(a & b) / 7 for a, b in zip(mine, theirs, strict=True)])
    assert MutualKNN(k=7)(x, y).value == pytest.approx(expected)
    assert MutualKNN(k=7)(x, y).chance == pytest.approx(7 / (N - 1))
    again = np.mean([any(i in mine[j] for j in theirs[i]) for i in range(N)])
    assert CycleKNN(k=7)(x, y).value == pytest.approx(again)


def test_cknna_with_all_neighbours_is_cka_of_what_is_off_the_diagonal(arrays):
    """With k = n - 1 every pair is a mutual neighbour, so that no kernel entry is left out."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in arrays)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    expected = unbiased(k, l) / np.sqrt(unbiased(k, k) * unbiased(l, l))
    assert CKNNA(k=N - 1)(x, y).value == pytest.approx(expected, abs=1e-6)


def test_unique_variance_of_what_the_nuisance_holds_is_nothing(arrays, rng):
    x, _ = arrays
    hidden, seen = x[:, :4], x[:, 4:]
    y = hidden @ rng.normal(size=(4, 6)) + seen @ rng.normal(size=(4, 6)) + 0.3 * rng.normal(size=(N, 6))
    nuisance = Nuisance(name="seen", stimulus_ids=tuple(map(str, range(N))), values=seen)
    metric = UniqueVariance(nuisance=nuisance)
    expected = []
    for train, test in make_folds(N):
        alone, both = (SklearnRidge(alpha=1e-6).fit(side[train], y[train]) for side in (seen, x))
        errors = [np.square(m.predict(s[test]) - y[test]).sum(axis=0) for m, s in ((alone, seen), (both, x))]
        expected.append([*errors, np.square(y[test] - y[train].mean(axis=0)).sum(axis=0)])
    alone, both, total = np.sum(expected, axis=0)
    found = metric(hidden, y)
    np.testing.assert_allclose(found.per_voxel, (alone - both) / total, atol=0.01)
    assert metric(seen.copy(), y).value == pytest.approx(0, abs=0.01)


REGISTERED = [made() for made in METRICS.values() if made is not UniqueVariance]  # which needs the stimuli


@pytest.mark.parametrize("metric", REGISTERED, ids=lambda metric: metric.name)
def test_every_metric_of_the_registry_is_called_alike_and_scores_as_a_benchmark_does(arrays, metric):
    x, y = (side.astype(np.float32) for side in arrays)
    found = metric(x, y)
    assert isinstance(found, ArrayScore)
    assert found.metric == metric.name
    assert (found.n_stimuli, found.n_features, found.n_voxels) == (N, 8, 5)
    assert metric(torch.as_tensor(x), torch.as_tensor(y)).value == found.value == score_arrays(metric, x, y).value
    blank = benchmarks.image_benchmark()
    ids = tuple(f"s{i}" for i in range(N))
    stimuli = type(blank.stimuli)(name="s", ids=ids, inputs=tuple(blank.stimuli.inputs[:1]) * N, modality="image")
    assembly = Assembly(name="a", subject="s", stimulus_ids=ids, responses=y, roi=("IT",) * 5)
    benchmark = replace(blank, stimuli=stimuli, assemblies=(assembly,), metrics=(metric,), folds=make_folds(N))
    (score,) = benchmark.prepare().known({"x": x})
    assert (found.value, found.unit) == (pytest.approx(score.value, abs=1e-6), score.unit)
    assert found.chance == pytest.approx(score.chance, abs=1e-6)
    line = repr(found)
    assert line.startswith(f"{metric.name}: {metric.unit} = ")
    assert ("5 shuffled folds, seed 0" in line) == (metric.name.split("-")[0] in ("ridge", "cca"))
    assert "\n" not in line
    assert len(line) < 160


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("metric", REGISTERED, ids=lambda metric: metric.name)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, y: (x[:-1], y), MetricError, "of the same stimuli, got 59 and 60 rows"),
        (lambda x, y: (x, y[:, 0]), MetricError, r"responses should be a matrix, stimuli x columns, got shape \(60,\)"),
        (
            lambda x, y: (x.reshape(N, 2, 4), y),
            MetricError,
            r"features should be .* got shape \(60, 2, 4\); array.resha",
        ),
        (
            lambda x, y: (x[:0], y[:0]),
            MetricError,
            r"features should be a matrix, stimuli x columns, got shape \(0, 8\)",
        ),
        (lambda x, y: (x.tolist(), y), MetricError, "features should be an array or a tensor, .* got list"),
        (lambda x, y: (x * 1j, y), MetricError, "features should be real numbers, got torch.complex128"),
        (lambda x, y: (np.where(x > 2, np.nan, x), y), MetricError, "features hold NaN or infinity"),
        (lambda x, y: (x, np.where(y > 2, np.inf, y)), MetricError, "responses hold NaN or infinity"),
        (lambda x, y: (x * 0, y), FeatureError, "the same"),
    ],
)
def test_arrays_that_cannot_be_scored_are_named(arrays, metric, change, error, message):
    with pytest.raises(error, match=message):
        metric(*change(*arrays))


def test_folds_of_other_stimuli_and_too_few_stimuli_are_refused(arrays):
    x, y = arrays
    with pytest.raises(MetricError, match="the folds are of 50 stimuli, the arrays have 60 rows"):
        Ridge()(x, y, folds=make_folds(50))
    with pytest.raises(MetricError, match="5 folds need at least"):
        Ridge()(x[:8], y[:8])
    assert -1 <= RSA()(x[:8], y[:8]).value <= 1, "nothing is held out"
    with pytest.raises(MetricError, match="needs nuisance features of the 60 stimuli"):
        UniqueVariance()(x, y)


def test_whole_numbers_are_numbers(arrays):
    x, y = ((10 * side).round() for side in arrays)
    assert RSA()(x.astype(np.int64), y.astype(np.int16)).value == pytest.approx(RSA()(x, y).value, abs=1e-6)


def test_a_metric_of_ones_own_is_called_by_the_function(arrays):
    class Prepared:
        def score(self, view):
            from ontogeny.metrics import Value

            return [Value(value=float(view.n_features), chance=0.5)]

    class Own:
        name, unit = "own", "columns"

        def prepare(self, targets, folds):
            assert isinstance(folds, Folds)
            assert targets[0].responses.shape == (N, 5)
            return Prepared()

    assert repr(score_arrays(Own(), *arrays)) == (
        "own: columns = 8 (chance 0.5; 60 stimuli, 8 features, 5 voxels; 5 shuffled folds, seed 0)"
    )


def test_the_old_word_for_a_shared_penalty_works_for_one_release_and_folders_keep_theirs(image_benchmark):
    with pytest.warns(DeprecationWarning, match=r"Ridge\(alpha='roi'\) is now local_alpha=False"):
        old = Ridge(alpha="roi", rule="kfold")
    assert old == Ridge(local_alpha=False, rule="kfold")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replace(old, rule="gcv") == Ridge(local_alpha=False)
        assert metric_from_json({"metric": "ridge", "rule": "kfold", "alpha": "roi"}, "x") == old
        assert metric_from_json(metric_to_json(old), "x") == old
    assert metric_to_json(old)["local_alpha"] is False
    assert repr(old).endswith("local_alpha=False)")
