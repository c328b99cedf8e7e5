"""Metrics: what they refuse by name, and properties that hold for any features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import Benchmark, Features
from ontogeny.assembly import Target
from ontogeny.errors import DataError, FeatureError, MetricError
from ontogeny.features import Site
from ontogeny.metrics import LayerView, make_folds
from ontogeny.metrics.cka import CKA, cka, kernel
from ontogeny.metrics.encoding import Ridge, ridge_cv
from ontogeny.metrics.neighbours import CKNNA, CycleKNN, MutualKNN, cknna, cycle_knn, mutual_knn, neighbours
from ontogeny.metrics.rsa import RSA, compare_rdms, rdm

NOISE = np.random.default_rng(0).standard_normal((12, 6))
SQUARE = np.square(NOISE[:, None] - NOISE[None]).sum(axis=2)
FOLDS = make_folds(12, n_folds=3)
EMPTY = Target(subject="s1", roi="V1")
VOXELS = Target(subject="s1", roi="V1", responses=NOISE, n_voxels=6)
GEOMETRY = Target(subject="s1", roi="V1", rdm=SQUARE)


@pytest.mark.parametrize(
    ("metric", "target", "message"),
    [
        (RSA(), EMPTY, "RSA: target 'V1' of subject 's1' has no responses"),
        (CKA(), EMPTY, "CKA: target 'V1' of subject 's1' has no responses"),
        (MutualKNN(), EMPTY, "MutualKNN: target 'V1' of subject 's1' has no responses"),
        (
            Ridge(),
            GEOMETRY,
            "Ridge needs voxels, but ROI 'V1' of subject 's1' is a geometry .* use RSA, CKA or MutualKNN",
        ),
        (RSA(), replace(VOXELS, responses=NOISE[:, :2]), "at least 3 voxels, but ROI 'V1' of subject 's1' has 2"),
        (CKA(kind="rbf", width=2.0), GEOMETRY, "cka-rbf-2-debiased: ROI 'V1' .* is a geometry.* use width=None"),
        (CKA(standardise=True), GEOMETRY, "cka-linear-debiased-z: ROI 'V1' .* no voxels to standardise; use"),
        (CycleKNN(), EMPTY, "CycleKNN: target 'V1' of subject 's1' has no responses"),
        (MutualKNN(k=3, standardise=True), GEOMETRY, "mutual-knn-3-cosine-z: ROI 'V1' .* no voxels to standardise"),
        (CKNNA(k=3), GEOMETRY, "cknna-3-cosine: ROI 'V1' .* use MutualKNN or CycleKNN with standardise=False"),
        (MutualKNN(k=12), VOXELS, "k should be 1 to 11, got 12"),
        (CycleKNN(k=12), VOXELS, "k should be 1 to 11, got 12"),
        (CKNNA(k=12), VOXELS, "k should be 1 to 11, got 12"),
    ],
)
def test_a_metric_says_by_name_what_it_cannot_use(metric, target, message):
    with pytest.raises(MetricError, match=message):
        metric.prepare([target], FOLDS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cka(SQUARE, SQUARE[:5, :5]), r"same stimuli, got \(12, 12\) and \(5, 5\)"),
        (lambda: cka(SQUARE[:3, :3], SQUARE[:3, :3]), "CKA needs at least 4 stimuli, got 3"),
        (lambda: cka(np.ones((5, 5)), SQUARE[:5, :5]), "same for every pair of stimuli"),
        (
            lambda: kernel(np.repeat([[0.0, 1.0], [1.0, 0.0]], 6, axis=0)[[0] * 11 + [6]], kind="rbf"),
            "median width is 0",
        ),
        (lambda: mutual_knn(NOISE, NOISE[:5]), "both sides need the same stimuli, got 12 and 5 rows"),
        (lambda: cycle_knn(NOISE, NOISE[:5]), "both sides need the same stimuli, got 12 and 5 rows"),
        (lambda: cycle_knn(NOISE, NOISE, k=12), "k should be 1 to 11, got 12"),
        (lambda: cknna(NOISE, NOISE, k=12), "k should be 1 to 11, got 12"),
        (lambda: cknna(NOISE[:3], NOISE[:3], k=2), "CKNNA needs at least 4 stimuli, got 3"),
        (lambda: neighbours(SQUARE, 0), "k should be 1 to 11, got 0"),
        (lambda: MutualKNN(k=0), "MutualKNN: k is at least 1 neighbour, got 0"),
        (lambda: CycleKNN(k=-1), "CycleKNN: k is at least 1 neighbour, got -1"),
        (lambda: CKNNA(damping=-1.0), "CKNNA: damping is 0 or a small positive number, got -1.0"),
        (lambda: CKA(damping=-1.0), "CKA: damping is 0 or a small positive number, got -1.0"),
        (lambda: CKA(kind="rbf", width=0.0), "a width is a positive number for kind='rbf', got 0.0 for 'rbf'"),
        (lambda: CKA(width=1.0), "a width is a positive number for kind='rbf', got 1.0 for 'linear'"),
        (lambda: compare_rdms(np.arange(3.0), np.arange(4.0)), r"same pairs, got \(3,\) and \(4,\)"),
        (lambda: compare_rdms(np.ones(4), np.arange(4.0)), "dissimilarities are all equal"),
        (
            lambda: ridge_cv(NOISE, NOISE, folds=make_folds(11, n_folds=3)),
            "folds are for 11 stimuli, the responses have 12",
        ),
        (lambda: ridge_cv(NOISE[:9], NOISE, folds=FOLDS), "features have 9 stimuli, the responses 12"),
        (lambda: ridge_cv(NOISE, np.eye(12)[:, :1], folds=FOLDS), "constant over the 4 stimuli of a held-out fold"),
        (lambda: Ridge(rule="aic"), "rule is 'gcv' or 'loo', got 'aic'"),
        (lambda: Ridge(alphas=()), r"alphas should be positive numbers, got \(\)"),
        (lambda: Ridge(alphas=(1.0, -1.0)), "alphas should be positive numbers"),
    ],
)
def test_what_cannot_be_computed_says_why(call, message, unchecked):
    with pytest.raises(MetricError, match=message):
        call()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.full((12, 3), float("nan")), "NaN"),
        (torch.ones(12, 3), "same"),
    ],
)
def test_features_that_hold_nothing_are_refused(x, message):
    with pytest.raises(FeatureError, match=message):
        LayerView(x)


def test_a_correlation_of_one_feature_is_refused_and_recorded(text_benchmark):
    benchmark = replace(text_benchmark, metrics=(Ridge(), RSA()))
    x = torch.linspace(0, 1, 40)[:, None]
    values = {Site("one", "none"): x, Site("broken", "none"): x * float("nan")}
    rows = benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values=values, refused={}))
    refusals = {(r.layer, r.metric): r.note for r in rows if r.kind == "refusal"}
    assert "features that vary within each stimulus" in refusals["one", "rsa-correlation-spearman"]
    assert "NaN" in refusals["broken", ""]
    assert {r.metric for r in rows if r.kind == "alignment"} == {"ridge-gcv"}


def test_features_of_the_wrong_shape_are_refused():
    with pytest.raises(FeatureError, match=r"stimuli x features with 2 rows, got \(3, 4\)"):
        Features(stimulus_ids=("a", "b"), values={Site("l", "mean"): torch.ones(3, 4)}, refused={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ()}, "needs at least one assembly and one metric"),
        ({"assemblies": ()}, "needs at least one assembly and one metric"),
        ({"folds": make_folds(39)}, "40 stimuli but folds for 39"),
        ({"metrics": (Ridge(), Ridge())}, r"two metrics of one name: \['ridge-gcv', 'ridge-gcv'\]"),
    ],
)
def test_benchmarks_that_cannot_be(text_benchmark, change, message):
    fields = {name: getattr(text_benchmark, name) for name in Benchmark.__dataclass_fields__}
    with pytest.raises(DataError, match=message):
        Benchmark(**{**fields, **change})


def turned(x: np.ndarray, seed: int) -> np.ndarray:
    return x @ np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1],) * 2))[0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-5, 1e5), shift=st.floats(-10, 10))
def test_what_leaves_the_geometry_alone_leaves_the_scores_alone(seed, scale, shift):
    """Rotation, scale and a common shift of the features, where a metric promises not to see them."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 7)), rng.standard_normal((20, 5))
    other = torch.as_tensor(scale * turned(x, seed) + scale * shift)
    x = torch.as_tensor(x)
    folds = make_folds(20, n_folds=4)
    assert cka(kernel(other), kernel(y)) == pytest.approx(cka(kernel(x), kernel(y)), abs=1e-6)
    np.testing.assert_allclose(ridge_cv(other, y, folds=folds), ridge_cv(x, y, folds=folds), atol=2e-4)
    euclidean = [compare_rdms(rdm(v, distance="euclidean"), rdm(y, distance="euclidean")) for v in (x, other)]
    assert euclidean[0] == pytest.approx(euclidean[1], abs=1e-6)
    assert mutual_knn(other, y, k=3, likeness="euclidean") == mutual_knn(x, y, k=3, likeness="euclidean")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_stimuli_does_not_matter_where_there_are_no_folds(seed):
    rng = np.random.default_rng(seed)
    x, y, order = rng.standard_normal((15, 6)), rng.standard_normal((15, 5)), rng.permutation(15)
    assert cka(kernel(x[order]), kernel(y[order])) == pytest.approx(cka(kernel(x), kernel(y)))
    assert compare_rdms(rdm(x[order]), rdm(y[order])) == pytest.approx(compare_rdms(rdm(x), rdm(y)))
    assert mutual_knn(x[order], y[order], k=4) == pytest.approx(mutual_knn(x, y, k=4))


def test_layers_are_scored_some_at_a_time_and_come_out_in_order(text_benchmark, monkeypatch):
    """The more stimuli, the fewer layers share a pass, so that memory has a bound."""
    sizes = []
    prepared = replace(text_benchmark, metrics=(CKA(),)).prepare()
    score = type(prepared.prepared).score
    monkeypatch.setattr(
        type(prepared.prepared), "score", lambda self, views: sizes.append(len(views)) or score(self, views)
    )
    values = {Site(f"l{i:02d}", "none"): torch.randn(40, 3) for i in range(11)}
    features = Features(stimulus_ids=text_benchmark.stimuli.ids, values=values, refused={})
    together = prepared.score(features)
    monkeypatch.setattr("ontogeny.benchmark.prepared._PAIRS_AT_ONCE", 3 * 40**2)
    assert [s.key for s in prepared.score(features)] == [s.key for s in together]
    assert list(dict.fromkeys(s.layer for s in together)) == [site.layer for site in values]
    assert sizes == [8, 3, 3, 3, 3, 2]
