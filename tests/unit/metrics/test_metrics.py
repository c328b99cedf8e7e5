"""Metrics: what they refuse by name, and properties that hold for any features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import Benchmark, Features, StimulusSet
from ontogeny.brain import Target
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError
from ontogeny.extraction.features import Site
from ontogeny.metrics import (
    CCA,
    CKA,
    CKNNA,
    RSA,
    CycleKNN,
    Folds,
    LayerGeometry,
    MutualKNN,
    Procrustes,
    Ridge,
    UniqueVariance,
    make_folds,
)
from ontogeny.metrics.cca import held_out_cca
from ontogeny.metrics.cka import cka, kernel
from ontogeny.metrics.neighbors import cknna, cycle_knn, mutual_knn, neighbours
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.procrustes import shape_cosine
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.metrics.ridge.unique_variance import unique_variance
from ontogeny.metrics.rsa import compare_rdms, rdm

NOISE = np.random.default_rng(0).standard_normal((12, 6))
SQUARE = np.square(NOISE[:, None] - NOISE[None]).sum(axis=2)
FOLDS = make_folds(12, n_folds=3)
TEXTS = StimulusSet(name="texts", modality="text", ids=("a", "z"), inputs=["one", "two words"])
NUISANCE = Nuisance(name="n", stimulus_ids=tuple("abcdefghijkl"), values=NOISE)
FEW = Nuisance(name="n", stimulus_ids=tuple("abcdefghi"), values=NOISE[:9])
EMPTY = Target(subject="s1", roi="V1")
VOXELS = Target(subject="s1", roi="V1", responses=NOISE, n_voxels=6)
GEOMETRY = Target(subject="s1", roi="V1", rdm=SQUARE)


@pytest.mark.parametrize(
    ("metric", "target", "message"),
    [
        (RSA(), EMPTY, "RSA: target 'V1' of subject 's1' has no responses"),
        (CKA(), EMPTY, "CKA: target 'V1' of subject 's1' has no responses"),
        (CCA(), EMPTY, "CCA: target 'V1' of subject 's1' has no responses"),
        (CCA(), replace(VOXELS, responses=NOISE[:9]), "folds are for 12 stimuli, target 'V1' of subject 's1' has 9"),
        (Procrustes(), EMPTY, "Procrustes: target 'V1' of subject 's1' has no responses"),
        (
            Procrustes(),
            replace(GEOMETRY, rdm=SQUARE**3),
            "Procrustes: ROI 'V1' of subject 's1' is a geometry; .* RDM is not Euclidean: .* use squared Euclidean",
        ),
        (MutualKNN(), EMPTY, "MutualKNN: target 'V1' of subject 's1' has no responses"),
        (
            Ridge(),
            GEOMETRY,
            "Ridge needs voxels, but ROI 'V1' of subject 's1' is a geometry .* use RSA, CKA or MutualKNN",
        ),
        (RSA(), replace(VOXELS, responses=NOISE[:, :2]), "at least 3 voxels, but ROI 'V1' of subject 's1' has 2"),
        (
            RSA(comparison="kendall"),
            replace(VOXELS, responses=np.random.default_rng(0).standard_normal((301, 3))),
            "kendall goes through all pairs of 45150 dissimilarities .* 301 stimuli, at most 300; use .*'rho-a'",
        ),
        (CKA(kind="rbf", width=2.0), GEOMETRY, "cka-rbf-2-debiased: ROI 'V1' .* is a geometry.* use width=None"),
        (CKA(standardise=True), GEOMETRY, "cka-linear-debiased-z: ROI 'V1' .* no voxels to standardise; use"),
        (CycleKNN(), EMPTY, "CycleKNN: target 'V1' of subject 's1' has no responses"),
        (MutualKNN(k=3, standardise=True), GEOMETRY, "mutual-knn-3-cosine-z: ROI 'V1' .* no voxels to standardise"),
        (CKNNA(k=3), GEOMETRY, "cknna-3-cosine: ROI 'V1' .* use MutualKNN or CycleKNN with standardise=False"),
        (UniqueVariance(nuisance=NUISANCE), GEOMETRY, "UniqueVariance needs voxels, but ROI 'V1' .* is a geometry"),
        (
            UniqueVariance(),
            VOXELS,
            r"nuisance features of the 12 stimuli in their order, got none; .* about\(stimuli\)",
        ),
        (UniqueVariance(nuisance=FEW), VOXELS, "nuisance features of the 12 stimuli in their order, got 9 rows"),
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
        (lambda: compare_rdms(np.ones(4) * 1e-9, np.arange(4.0), comparison="pearson"), "are all equal"),
        (lambda: compare_rdms(np.zeros(4), np.arange(4.0), comparison="cosine"), "are all equal"),
        (lambda: compare_rdms(np.array([1.0, np.nan, 2.0]), np.arange(3.0)), "holds NaN or infinity in 1 of 3 pairs"),
        (lambda: compare_rdms(np.arange(4.0), np.arange(4.0), comparison="whitened-pearson"), "all pairs .* got 4"),
        (
            lambda: held_out_cca(NOISE, NOISE[:5], folds=FOLDS),
            "folds are for 12 stimuli, the two sides have 12 and 5 rows",
        ),
        (lambda: CCA(components=0), "at least 1 component, .* got 0, 0.99 and 1.0"),
        (lambda: CCA(keep=0.0), "a share of variance above 0 and up to 1 to keep, .* got 5, 0.0 and 1.0"),
        (lambda: CCA(penalty=-1.0), "a penalty of 0 or more; got 5, 0.99 and -1.0"),
        (lambda: shape_cosine(NOISE, NOISE[:5]), "both sides need the same stimuli, got 12 and 5 rows"),
        (lambda: Procrustes(permutations=0), "Procrustes: chance needs at least 1 permutation, got 0"),
        (lambda: RSA(distance="cosin"), "RSA: distance is one of correlation, euclidean, cosine; got 'cosin'"),
        (lambda: RSA(comparison="tau-b"), "RSA: comparison is one of spearman, rho-a, .*; got 'tau-b'"),
        (
            lambda: ridge_cv(NOISE, NOISE, folds=make_folds(11, n_folds=3)),
            "folds are for 11 stimuli, the responses have 12",
        ),
        (lambda: ridge_cv(NOISE[:9], NOISE, folds=FOLDS), "features have 9 stimuli, the responses 12"),
        (lambda: ridge_cv(NOISE, np.eye(12)[:, :1], folds=FOLDS), "constant over the 4 stimuli of a held-out fold"),
        (
            lambda: ridge_cv(NOISE, np.where(NOISE > 1.5, np.nan, NOISE), folds=FOLDS),
            r"\d of 6 voxels hold NaN or infinity; drop them with usable_voxels",
        ),
        (
            lambda: ridge_cv(NOISE, NOISE, folds=make_folds(12, n_folds=2), rule="kfold"),
            "'kfold' chooses penalties on the other outer folds and needs at least 3, got 2",
        ),
        (lambda: unique_variance(NOISE[:9], NUISANCE, NOISE, folds=FOLDS), "have 9 stimuli, the responses 12"),
        (lambda: UniqueVariance(ratios=()), r"UniqueVariance: ratios should be positive numbers, got \(\)"),
        (lambda: UniqueVariance(ratios=(0.0,)), "ratios should be positive numbers"),
        (lambda: UniqueVariance(alphas=(0.0,)), "UniqueVariance: alphas should be positive numbers"),
        (lambda: Ridge(alpha="subject"), "alpha was 'voxel' or 'roi', got 'subject'; penalties are given by alphas="),
        (lambda: Ridge(alphas=(float("inf"),)), "alphas should be positive numbers"),
        (lambda: Ridge(rule="aic"), "rule is 'gcv', 'loo' or 'kfold', got 'aic'"),
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
        LayerGeometry(x)


def nuisance(**change):
    fields = {"name": "length", "stimulus_ids": tuple("abcd"), "values": np.arange(8.0).reshape(4, 2)}
    return Nuisance(**{**fields, **change})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nuisance(values=np.ones((3, 2))), DataError, r"with 4 rows, one an id, got \(3, 2\)"),
        (lambda: nuisance(values=np.full((4, 2), np.nan)), DataError, "nuisance 'length': the values hold NaN"),
        (lambda: nuisance(values=np.ones((4, 2))), DataError, "no column varies over the stimuli"),
        (lambda: nuisance(stimulus_ids=tuple("abca")), AlignmentIdError, "ids must be unique"),
        (lambda: nuisance().about(TEXTS), AlignmentIdError, r"no row for 1 of 2 stimuli of 'texts', e.g. \['z'\]"),
        (
            lambda: nuisance(values=np.array([[1.0], [1.0], [2.0], [3.0]])).about(replace(TEXTS, ids=("a", "b"))),
            DataError,
            "no column varies over the stimuli",
        ),
    ],
)
def test_nuisance_that_cannot_be_used(call, error, message, unchecked):
    with pytest.raises(error, match=message):
        call()


def test_nuisance_follows_the_ids_and_is_part_of_the_fingerprint(text_benchmark):
    about = nuisance().about(replace(TEXTS, ids=("d", "b")))
    assert about.stimulus_ids == ("d", "b")
    np.testing.assert_array_equal(about.values, [[6, 7], [2, 3]])
    np.testing.assert_allclose(about.scaled(), np.array([[1, 1], [-1, -1]]) / 2**0.5)
    other = nuisance(values=np.arange(8.0).reshape(4, 2) ** 2)
    prints = {
        replace(text_benchmark, metrics=(UniqueVariance(nuisance=n),)).fingerprint() for n in (nuisance(), other, None)
    }
    assert len(prints) == 3


class OfBefore:
    """What the first records hold of ridge with one penalty per ROI."""

    name, unit, prepare = "ridge-gcv-roi", "Pearson r", Ridge().prepare

    def __repr__(self):
        return "Ridge(rule='gcv', alphas=(1.0,), alpha='roi')"


def test_the_names_and_the_fingerprint_of_ridge_say_what_changes_values(text_benchmark):
    """As written since the first record, where nothing new is asked for: else no record could be continued."""
    assert repr(Ridge(alphas=(1.0,))) == "Ridge(rule='gcv', alphas=(1.0,))"
    assert repr(Ridge(alphas=(1.0,), local_alpha=False)) == "Ridge(rule='gcv', alphas=(1.0,), local_alpha=False)"
    assert Ridge(rule="kfold", local_alpha=False).name == "ridge-kfold-roi"
    now, before = (replace(text_benchmark, metrics=(m,)) for m in (Ridge(alphas=(1.0,), local_alpha=False), OfBefore()))
    assert now.fingerprint() == before.fingerprint()


def test_a_feature_that_varies_among_held_out_stimuli_only_has_no_direction_to_correlate_along():
    x, folds = np.zeros((12, 1)), Folds(held_out=(1, 1, *[0] * 10), how="two held out")
    x[:2, 0] = 1 / 3, 1 / 7
    values = [held_out_cca(*sides, folds=folds) for sides in ((x, NOISE[:, :1]), (NOISE[:, :1], x))]
    assert values == [0, 0]


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
    monkeypatch.setattr("ontogeny.benchmarks.prepared._PAIRS_AT_ONCE", 3 * 40**2)
    assert [s.key for s in prepared.score(features)] == [s.key for s in together]
    assert list(dict.fromkeys(s.layer for s in together)) == [site.layer for site in values]
    assert sizes == [8, 3, 3, 3, 3, 2]
