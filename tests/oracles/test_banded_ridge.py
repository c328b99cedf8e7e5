"""Banded ridge and variance partitioning, against himalaya's own solvers and scores, and worlds with planted parts."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import GroupRidgeCV
from himalaya.scoring import r2_score, r2_score_split
from sklearn.preprocessing import StandardScaler
from tests.helpers.benchmarks import image_benchmark, text_benchmark

import ontogeny
from ontogeny import Features
from ontogeny.benchmarks import partition_variance
from ontogeny.benchmarks.protocols import protocol
from ontogeny.brain import Target
from ontogeny.datasets import find_source, is_here
from ontogeny.errors import AlignmentIdError, DataError, FeatureError, MetricError, MissingExtraError
from ontogeny.extraction.features import Site
from ontogeny.metrics import Encoding, LayerGeometry, make_folds, variance_partition
from ontogeny.metrics.encoding_models import banded_ridge
from ontogeny.metrics.nuisance import Nuisance

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("unchecked")]

SEARCH = {"alphas": np.logspace(1, 20, 20), "n_iter": 20, "progress_bar": False}
TUCKUTE = pytest.mark.skipif(not is_here(find_source("tuckute2024")), reason="tuckute2024 is not on this machine")


def himalaya_r2(spaces, y, folds, *, solver):
    """R^2 of each fold by himalaya alone, mean over folds; one per voxel."""
    out = []
    for train, test in folds:
        scalers = [StandardScaler().fit(space[train]) for space in spaces]
        fitted, held = ([s.transform(x[rows]) for s, x in zip(scalers, spaces, strict=True)] for rows in (train, test))
        if solver == "kernels":
            model = MultipleKernelRidgeCV("precomputed", solver_params=SEARCH, fit_intercept=True, random_state=0)
            model.fit(np.stack([x @ x.T for x in fitted]), y[train])
            predicted = model.predict(np.stack([a @ b.T for a, b in zip(held, fitted, strict=True)]))
        else:
            search = {**SEARCH, "warn": False}
            model = GroupRidgeCV(groups="input", solver_params=search, fit_intercept=True, random_state=0)
            predicted = model.fit(fitted, y[train]).predict(held)
        out.append(r2_score(y[test], predicted))
    return np.mean(out, axis=0)


def some_of(name, rng, n=120):
    """Stimuli, responses of one subject and features that predict some of them; of the first stimuli."""
    benchmark = ontogeny.load(name)
    stimuli = benchmark.stimuli.only(range(n))
    y = np.asarray(benchmark.assemblies[0].align(stimuli.ids).responses, dtype=np.float64)[:, :6]
    return stimuli, y, y @ rng.standard_normal((y.shape[1], 30)) + 4 * y.std() * rng.standard_normal((n, 30)) + 2


@pytest.mark.parametrize("name", ["planted-vision", "planted-language", pytest.param("tuckute2024", marks=TUCKUTE)])
def test_the_protocol_is_the_number_of_himalaya_itself_in_the_dual_and_in_the_primal(name, rng):
    stimuli, y, x = some_of(name, rng)
    (metric,) = protocol("himalaya-banded", stimuli).metrics
    folds = make_folds(len(y), n_folds=3)
    prepared = metric.about(stimuli).prepare([Target(subject="s", roi="r", responses=y, n_voxels=y.shape[1])], folds)
    found = prepared.per_voxel(LayerGeometry(torch.as_tensor(x)))
    surface = Nuisance.surface(stimuli).values
    for solver in ("kernels", "primal"):
        assert found == pytest.approx(himalaya_r2([surface, x], y, folds, solver=solver), abs=1e-6)
    assert found.max() > 0.1


def test_targets_that_are_fitted_together_score_as_each_alone(rng):
    x = rng.standard_normal((60, 8))
    targets = [
        Target(subject=s, roi="r", responses=x[:, :k] + rng.standard_normal((60, k)), n_voxels=k)
        for s, k in (("a", 2), ("b", 3))
    ]
    metric = Encoding(banded_ridge({"first": 3, "second": None}), score="r2-by-fold")
    view, folds = LayerGeometry(torch.as_tensor(x)), make_folds(60, n_folds=3)
    alone = [metric.prepare([target], folds).score(view)[0].value for target in targets]
    together = metric.prepare(targets, folds)
    assert together.separable
    assert [value.value for value in together.score(view)] == pytest.approx(alone, abs=1e-9)


def test_a_space_beside_a_layer_is_matched_by_id_and_named(rng):
    benchmark = text_benchmark()
    ids, own = benchmark.stimuli.ids, rng.standard_normal((40, 2))
    order = rng.permutation(40)
    shuffled = Nuisance(name="own", stimulus_ids=tuple(ids[i] for i in order), values=own[order])
    layer = rng.standard_normal((40, 3))
    metric = Encoding(banded_ridge({"own": 2, "layer": None}), beside=[shuffled])
    assert metric.name.endswith("-beside own")
    plain = Encoding(banded_ridge({"own": 2, "layer": None}))
    y = benchmark.assemblies[0].responses
    expected = plain(np.concatenate([own, layer], axis=1), y, folds=benchmark.folds).per_voxel
    fitted = benchmark.fit(layer, metric)
    assert fitted.scores == pytest.approx(expected, abs=1e-9)
    assert fitted.feature == ("own[0]", "own[1]", "features[0]", "features[1]", "features[2]")
    others = replace(shuffled, values=-shuffled.values)
    made = [replace(benchmark, metrics=(replace(metric, beside=[one]),)).fingerprint() for one in (shuffled, others)]
    assert made[0] != made[1]
    short = Nuisance(name="own", stimulus_ids=shuffled.stimulus_ids[5:], values=shuffled.values[5:])
    with pytest.raises(AlignmentIdError, match="nuisance 'own' has no row for 5 of 40"):
        benchmark.fit(layer, replace(metric, beside=[short]))
    with pytest.raises(MetricError, match="beside is a list of Nuisance"):
        replace(metric, beside=shuffled)


def hat_r2(x, y, folds, alpha):
    """R^2 about the training means of ridge on z-scored columns, by normal equations."""
    missed = total = 0
    for train, test in folds:
        scaler = StandardScaler().fit(x[train])
        a, b, mean = scaler.transform(x[train]), scaler.transform(x[test]), y[train].mean(axis=0)
        beta = np.linalg.solve(a.T @ a + alpha * np.eye(a.shape[1]), a.T @ (y[train] - mean))
        missed = missed + ((y[test] - mean - b @ beta) ** 2).sum(axis=0)
        total = total + ((y[test] - mean) ** 2).sum(axis=0)
    return 1 - missed / total


def planted(rng, n=600, shares=(0.3, 0.2, 0.1), voxels=3):
    """Two spaces with a common half; voxels take these shares from what is common, the first's own, the second's."""
    parts = [rng.standard_normal((n, 4)) for _ in shares]
    signal = [part @ rng.standard_normal((4, voxels)) for part in parts]
    y = sum(np.sqrt(share) * s / s.std(axis=0) for share, s in zip(shares, signal, strict=True))
    common, first, second = parts
    spaces = {"first": np.c_[common, first], "second": np.c_[common, second]}
    return spaces, y + np.sqrt(1 - sum(shares)) * rng.standard_normal((n, voxels))


def test_planted_unique_and_shared_parts_are_found(rng):
    spaces, y = planted(rng)
    found = variance_partition(spaces, y, folds=make_folds(600, n_folds=3), n_iter=5)
    assert found.unique["first"].mean() == pytest.approx(0.2, abs=0.05)
    assert found.unique["second"].mean() == pytest.approx(0.1, abs=0.05)
    assert found.shared["first", "second"].mean() == pytest.approx(0.3, abs=0.06)
    assert found.joint.mean() == pytest.approx(0.6, abs=0.05)


def test_a_space_that_holds_nothing_new_has_no_unique_part(rng):
    a = rng.standard_normal((200, 5))
    y = a @ rng.standard_normal((5, 3)) + rng.standard_normal((200, 3))
    turned = a @ np.linalg.qr(rng.standard_normal((5, 5)))[0]
    spaces = {"a": a, "the same": turned, "noise": rng.standard_normal((200, 5))}
    found = variance_partition(spaces, y, folds=make_folds(200, n_folds=2), alphas=(0.1, 1.0, 10.0), n_iter=6)
    for name in spaces:
        assert np.abs(found.unique[name]).max() < 0.03
    assert found.shared["a", "the same"].min() > 0.5
    assert np.abs(found.part(("a", "noise"))).max() < 0.03


def test_models_of_some_spaces_are_ridge_by_normal_equations(rng):
    """One penalty and equal weights leave nothing to choose: kernels times 1 / spaces, so the penalty times spaces."""
    spaces, y = planted(rng, n=90)
    folds, names = make_folds(90, n_folds=3), tuple(spaces)
    found = variance_partition(spaces, y, folds=folds, alphas=(10.0,), n_iter=1)
    for size in (1, 2):
        for some in combinations(names, size):
            joined = np.concatenate([spaces[name] for name in some], axis=1)
            assert found.r2[some] == pytest.approx(hat_r2(joined, y, folds, 10.0 * size), abs=1e-9)


def test_split_scores_are_himalaya_s_product_measure_and_add_up(rng):
    spaces, y = planted(rng, n=90)
    spaces["third"] = rng.standard_normal((90, 2))
    folds = make_folds(90, n_folds=3)  # of equal size, so that what is held out has mean 0 about the training means
    found = variance_partition(spaces, y, folds=folds, n_iter=4)
    predicted, held = [], []
    for train, test in folds:
        scalers = [StandardScaler().fit(space[train]) for space in spaces.values()]
        fitted, out = (
            [s.transform(x[rows]) for s, x in zip(scalers, spaces.values(), strict=True)] for rows in (train, test)
        )
        search = {**SEARCH, "n_iter": 4}
        model = MultipleKernelRidgeCV("precomputed", solver_params=search, random_state=0)
        deltas = MultipleKernelRidgeCV("precomputed", solver_params=search, fit_intercept=True, random_state=0)
        kernels = np.stack([x @ x.T for x in fitted])
        deltas.fit(kernels, y[train])
        model.fit(kernels, y[train] - y[train].mean(axis=0))
        model.deltas_, model.dual_coef_ = deltas.deltas_, deltas.dual_coef_
        predicted.append(model.predict(np.stack([a @ b.T for a, b in zip(out, fitted, strict=True)]), split=True))
        held.append(y[test] - y[train].mean(axis=0))
    expected = r2_score_split(np.concatenate(held), np.concatenate(predicted, axis=1))
    assert np.stack(list(found.split.values())) == pytest.approx(expected, abs=1e-6)
    assert sum(found.split.values()) == pytest.approx(found.joint, abs=1e-9)
    parts = [*found.unique.values(), *found.shared.values()]
    assert len(parts) == 7
    assert sum(parts) == pytest.approx(found.joint, abs=1e-9)
    assert found.part(("first",)) == pytest.approx(found.joint - found.r2["second", "third"], abs=1e-12)


def test_layers_of_a_probe_and_a_space_of_one_s_own_on_a_benchmark(rng):
    benchmark = text_benchmark()
    ids, y = benchmark.stimuli.ids, benchmark.assemblies[0].responses
    x = {"0": rng.standard_normal((40, 3)), "1": rng.standard_normal((40, 4))}
    order = rng.permutation(40)
    values = {Site(layer, "mean"): torch.as_tensor(array[order]) for layer, array in x.items()}
    probed = Features(stimulus_ids=tuple(ids[i] for i in order), values=values, refused={})
    length = Nuisance(
        name="length",
        stimulus_ids=ids[::-1],
        values=np.array([[len(s)] for s in benchmark.stimuli.inputs[::-1]], float),
    )
    found = partition_variance(benchmark, probed, layers=["0", "1@mean"], beside=[length], n_iter=3)
    arrays = {"0": x["0"], "1@mean": x["1"], "length": length.values[::-1]}
    expected = variance_partition(arrays, y, folds=benchmark.folds, n_iter=3)
    assert found.spaces == ("0", "1@mean", "length")
    assert found.joint == pytest.approx(expected.joint, abs=1e-5)
    assert found.unique["length"].mean() > 0.05
    assert found.roi == ("left",) * 3 + ("right",) * 3
    assert found.subject == ("s1",) * 6
    table = found.to_xarray()
    assert table.unique.sel(space="length").values == pytest.approx(found.unique["length"])
    assert table.r2.sel(model="0 + length").values == pytest.approx(found.r2["0", "length"])
    assert table.roi.values.tolist() == list(found.roi)
    with pytest.raises(FeatureError, match="one layer, and 0 of"):
        partition_variance(benchmark, probed, layers=["0", "2"])
    with pytest.raises(MetricError, match="two feature spaces have one name"):
        partition_variance(benchmark, probed, layers=["0"], beside=[replace(length, name="0")])
    with pytest.raises(MetricError, match="ROI 'IT' of 's1' is a geometry"):
        partition_variance(image_benchmark(), probed, layers=["0", "1"])
    with pytest.raises(DataError, match="saw different stimuli"):
        partition_variance(replace(benchmark, own_stimuli=True), probed, layers=["0", "1"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"spaces": {"a": np.ones((30, 2))}}, "between 2 to 5 feature spaces, got 1"),
        ({"spaces": {c: np.ones((30, 2)) for c in "abcdef"}}, "between 2 to 5 feature spaces, got 6"),
        ({"spaces": {"a": np.ones((30, 2)), "b": np.ones((29, 2))}}, r"b: expected 30 stimuli .* got \(29, 2\)"),
        ({"spaces": {"a": np.ones((30, 2)), "b": np.full((30, 2), np.nan)}}, "b: NaN or infinity"),
        ({"y": np.ones((30, 2))}, r"2 voxel\(s\) are constant"),
        ({"y": np.ones(30)}, r"the responses: expected 30 stimuli x columns.* got \(30,\)"),
    ],
)
def test_what_cannot_be_partitioned_is_refused(change, match, rng):
    spaces = change.get("spaces", {"a": rng.standard_normal((30, 2)), "b": rng.standard_normal((30, 2))})
    with pytest.raises(MetricError, match=match):
        variance_partition(spaces, change.get("y", rng.standard_normal((30, 1))), folds=make_folds(30, n_folds=2))


def test_a_part_of_no_such_space_is_refused(rng):
    spaces, y = planted(rng, n=30)
    found = variance_partition(spaces, y, folds=make_folds(30, n_folds=2), n_iter=1, alphas=(1.0,))
    with pytest.raises(MetricError, match="spaces are 'first', 'second', got"):
        found.part(("third",))


def test_without_himalaya_the_error_has_the_line_to_type(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "himalaya.kernel_ridge", None)
    with pytest.raises(MissingExtraError, match=r"'himalaya', which is not installed.*pip install '\.\[encoding\]'"):
        banded_ridge({"a": 1, "b": None})
