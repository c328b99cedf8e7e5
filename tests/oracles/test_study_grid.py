"""The grid of arXiv 2507.01966 against its formulas written out, and fast scoring against slow scoring."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.helpers import study_reference
from tests.helpers.benchmarks import text_benchmark

from ontogeny import Assembly, Features
from ontogeny.benchmarks.shen2026 import best_region_mean, shen2026
from ontogeny.brain import Target
from ontogeny.extraction.features import Site
from ontogeny.metrics import CKA, CKNNA, RSA, CycleKNN, LayerGeometry, MutualKNN, Value, make_folds
from ontogeny.metrics._batched.kernel_grid import DOUBLE_UP_TO
from ontogeny.metrics.batching import prepare_all
from ontogeny.metrics.cka import cka, kernel
from ontogeny.metrics.neighbors import cknna, cycle_knn, mutual_knn
from ontogeny.record import Score

pytestmark = pytest.mark.oracle
LARGE = 420
FOLDS = make_folds(LARGE)


def target(y: np.ndarray, roi: str = "r", subject: str = "s") -> Target:
    return Target(subject=subject, roi=roi, responses=y, n_voxels=y.shape[1])


def pair(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((LARGE, 500)), rng.standard_normal((LARGE, 40))
    if kind == "structured":
        shared = rng.standard_normal((LARGE, 6)) @ np.diag([9, 5, 3, 2, 1, 1])
        x, y = x + shared @ rng.standard_normal((6, 500)), 3 * y + shared @ rng.standard_normal((6, 40))
    if kind == "ties":
        x[300:], y[200:320] = x[:120], y[:120]
        y = np.round(y)
        x[:, 7] = 5.0
    return x, y


@pytest.mark.parametrize("kind", ["random", "structured", "ties"])
def test_every_measurement_of_the_study_equals_its_formula(kind):
    assert LARGE > DOUBLE_UP_TO
    x, y = pair(kind)
    study = shen2026()
    assert len(study.metrics) == 28
    prepared = prepare_all(study.metrics, [target(y[::-1].copy(), "other"), target(y)], FOLDS)
    outcomes = prepared.score([LayerGeometry(torch.as_tensor(x[:, :5])), LayerGeometry(torch.as_tensor(x))])[1]
    found = {name: values[1].value for name, values in zip(study.by_name, outcomes, strict=True)}
    expected = {name: study_reference.measure(name, x, y) for name in found}
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("modality", ["text", "image"])
def test_the_curve_of_the_study_from_features_to_the_plotted_number(modality):
    rng = np.random.default_rng(5)
    plain = text_benchmark()
    ids = plain.stimuli.ids
    shared = rng.standard_normal((40, 4))
    responses = {s: 5 * rng.standard_normal((40, 30)) + shared @ rng.standard_normal((4, 30)) for s in ("s1", "s2")}
    rois = ("a",) * 10 + ("b",) * 15 + ("c",) * 5
    assemblies = tuple(
        Assembly(name="tiny", subject=s, stimulus_ids=ids, responses=y, roi=rois) for s, y in responses.items()
    )
    study = shen2026(modality)
    metrics = study.metrics_for(40)
    usable = [name for name, metric in study.by_name.items() if metric in metrics]
    assert set(study.by_name) - set(usable) == {
        *(f"{kind}_knn_{k}" for kind in ("mutual", "cycle") for k in (40, 60, 80, 200, 400)),
        "cycle_knn_100",
        "cknna_50",
    }
    benchmark = replace(plain, assemblies=assemblies, metrics=metrics)
    layers = [
        1e-3 * rng.standard_normal((40, 9)),
        shared @ rng.standard_normal((4, 80)),
        rng.exponential(size=(40, 20)),
    ]
    order = rng.permutation(40)
    values = {Site(f"l{i}", study.pooling): torch.as_tensor(x[order]) for i, x in enumerate(layers)}
    features = Features(stimulus_ids=tuple(np.array(ids)[order]), values=values, refused={})
    scores = benchmark.score(features, step=7)
    assert {s.pooling for s in scores} == {"last" if modality == "text" else "spatial_mean"}
    for name in usable:
        best = [
            max(study_reference.measure(name, x, y[:, np.array(rois) == roi]) for roi in "abc")
            for x in layers
            for y in responses.values()
        ]
        assert study.curve(scores, name) == pytest.approx({7: np.mean(best)}, abs=1e-6), name
    assert study.curve(scores) == study.curve(scores, "cka_36")


def test_the_best_region_is_taken_layer_by_layer_and_subject_by_subject():
    rows = [("l1", "s1", "a", 1.0), ("l1", "s1", "b", 3.0), ("l1", "s2", "a", 5.0), ("l2", "s1", "b", 1.0)]
    scores = [
        Score(run="", step=2, kind="alignment", layer=layer, subject=subject, roi=roi, metric="m", value=value)
        for layer, subject, roi, value in rows
    ]
    others = [replace(scores[0], kind="control", value=9.0), replace(scores[0], metric="n", value=9.0)]
    refused = replace(scores[0], kind="refusal", value=None)
    assert best_region_mean([*scores, *others, refused], "m") == {2: pytest.approx((3 + 5 + 1) / 3)}


@pytest.mark.parametrize("columns", [1, 40])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_single_precision_sums_of_a_large_grid_equal_the_definition(columns, scale):
    """One column and a wide kernel are hard, all entries nearly 1; so is a narrow one, which is nearly the identity."""
    rng = np.random.default_rng(0)
    x, y = scale * rng.standard_normal((LARGE, 30)), scale * rng.standard_normal((LARGE, columns))
    kernels = [("linear", None), ("rbf", None), ("rbf", 3 * scale), ("rbf", 300 * scale)]
    metrics = [CKA(kind=kind, width=width, debiased=d) for d in (True, False) for kind, width in kernels]
    metrics.append(CKA(kind="rbf", width=scale / 20, debiased=False))
    outcomes = prepare_all(metrics, [target(y)], FOLDS).score([LayerGeometry(torch.as_tensor(x))])[0]
    for metric, values in zip(metrics, outcomes, strict=True):
        k, l = (kernel(side, kind=metric.kind, width=metric.width) for side in (x, y))  # noqa: E741
        assert values[0].value == pytest.approx(cka(k, l, debiased=metric.debiased), abs=1e-6), metric.name


def everything() -> list:
    return [
        MutualKNN(k=5, likeness="euclidean"),
        CKA(kind="rbf", width=4.0, standardise=True),
        RSA(),
        CKA(debiased=False),
        CycleKNN(k=4),
        CKNNA(k=9, likeness="inner"),
        CKA(kind="rbf", debiased=False),
        MutualKNN(k=30, standardise=True),
        CKA(kind="rbf", width=4.0, debiased=False, standardise=True, damping=1e-3),
        CKNNA(k=20, standardise=True),
    ]


def test_metrics_and_layers_scored_together_are_those_scored_alone(rng):
    ys = [rng.standard_normal((60, 8)) for _ in range(12)]
    targets = [target(y, roi=f"r{i % 5}", subject=f"s{i // 5}") for i, y in enumerate(ys)]
    views = [LayerGeometry(torch.as_tensor(rng.standard_normal((60, d)))) for d in (3, 70, 200)]
    together = prepare_all(everything(), targets, make_folds(60)).score(views)
    for place, metric in enumerate(everything()):
        prepared = metric.prepare(targets, make_folds(60))
        for row, view in zip(together, views, strict=True):
            alone = prepared.score(view)
            for field in ("value", "chance", "ceiling", "ceiling_lower"):
                ours, theirs = ([getattr(v, field) for v in values] for values in (row[place], alone))
                assert ours == pytest.approx(theirs, abs=1e-12), (metric.name, field)


def test_pure_functions_are_the_metrics_without_context(rng):
    x, y = rng.standard_normal((50, 7)), rng.standard_normal((50, 9)) + 1
    for metric, found in [
        (MutualKNN(k=6, likeness="inner"), mutual_knn(x, y, k=6, likeness="inner")),
        (CycleKNN(k=6), cycle_knn(x, y, k=6)),
        (CKNNA(k=6), cknna(x, y, k=6)),
    ]:
        scored = metric.prepare([target(y)], make_folds(50)).score(LayerGeometry(torch.as_tensor(x)))
        assert found == pytest.approx(scored[0].value, abs=1e-12)
    assert cknna(x, x, k=6) == pytest.approx(1)
    assert mutual_knn(x, x, k=6) == 1


def test_a_subject_who_is_like_the_others_has_a_high_ceiling(rng):
    shared = rng.standard_normal((60, 6))
    ys = [shared @ rng.standard_normal((6, 12)) + 0.1 * rng.standard_normal((60, 12)) for _ in range(3)]
    ys.append(rng.standard_normal((60, 12)))
    targets = [target(y, subject=str(i)) for i, y in enumerate(ys)]
    view = LayerGeometry(torch.as_tensor(shared))
    for metric in (CKA(), CKA(kind="rbf", debiased=False), MutualKNN(), CycleKNN(k=3), CKNNA()):
        values = metric.prepare(targets, make_folds(60)).score(view)
        for value in values[:3]:
            assert value.ceiling_lower > values[3].ceiling_lower + 0.1, metric.name
            assert value.ceiling >= value.ceiling_lower, metric.name


def test_ceilings_of_cka_are_the_mean_of_unit_kernels_against_each(rng):
    ys = [rng.standard_normal((20, 5)) for _ in range(3)]
    targets = [target(y, subject=str(i)) for i, y in enumerate(ys)]
    values = CKA().prepare(targets, make_folds(20)).score(LayerGeometry(torch.as_tensor(ys[0])))
    units = [k / np.linalg.norm(k) for k in map(u_centred, ys)]
    for i, value in enumerate(values):
        rest = sum(u for j, u in enumerate(units) if j != i)
        assert value.ceiling_lower == pytest.approx((rest * units[i]).sum() / np.linalg.norm(rest))
        assert value.ceiling == pytest.approx((sum(units) * units[i]).sum() / np.linalg.norm(sum(units)))


def u_centred(y: np.ndarray) -> np.ndarray:
    k = (y - y.mean(axis=0)) @ (y - y.mean(axis=0)).T
    np.fill_diagonal(k, 0)
    n = len(k)
    rows = k.sum(axis=0)
    out = k - rows[:, None] / (n - 2) - rows[None, :] / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0)
    return out


@dataclass(frozen=True)
class Own:
    """A user's metric: it knows nothing of families."""

    name: str = "own"
    unit: str = "number"

    def prepare(self, targets, folds):
        return self

    def score(self, view):
        return [Value(value=float(view.n_features), chance=0.0)] * 2


def test_a_metric_of_ones_own_stands_between_families_and_a_refusal_hits_one_row_only(text_benchmark):
    metrics = (CKA(), Own(), MutualKNN(k=3), CKA(kind="rbf"), CycleKNN(k=3))
    benchmark = replace(text_benchmark, metrics=metrics)
    few = torch.zeros(40, 3)
    few[:5] = torch.randn(5, 3)
    values = {Site("few", "none"): few, Site("nothing", "none"): few * 0, Site("good", "none"): torch.randn(40, 3)}
    scores = benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values=values, refused={}))
    asked = [s for s in scores if s.metric in ("", *(m.name for m in metrics))]
    rows = [(s.layer, s.metric, s.kind) for s in asked if s.roi in ("", "left")]
    names = [m.name for m in metrics]
    assert rows == [
        *[("few", n, "refusal" if n == "cka-rbf-debiased" else "alignment") for n in names],
        ("nothing", "", "refusal"),
        *[("good", n, "alignment") for n in names],
    ]
    refusal = next(s for s in scores if s.metric == "cka-rbf-debiased" and s.kind == "refusal")
    assert "the median width is 0; set a width" in refusal.note
