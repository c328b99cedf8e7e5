"""Real data: the language network's 1000 sentences, against scikit-learn and the published ceiling."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from ontogeny.benchmarks import Benchmark
from ontogeny.datasets import data_folders, find_source, is_here, load
from ontogeny.datasets.data_paths import check_file, locate
from ontogeny.datasets.readers.tuckute import CEILING
from ontogeny.stimuli import surface_features

SOURCE = find_source("tuckute2024")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not is_here(SOURCE), reason="tuckute2024 is not on this machine (set ONTOGENY_DATA)"),
]


@pytest.fixture(scope="module")
def benchmark_b() -> Benchmark:
    return load("tuckute2024")


def test_the_file_is_the_pinned_one() -> None:
    path = locate(SOURCE.files[0])
    assert path is not None
    check_file(path, SOURCE.files[0])


def test_condition_b_has_a_thousand_sentences_and_one_voxel(benchmark_b: Benchmark) -> None:
    assert len(benchmark_b.stimuli) == 1000
    assert benchmark_b.assemblies[0].responses.shape == (1000, 1)  # type: ignore[union-attr]
    assert benchmark_b.stimuli.ids[:2] == ("B-c3cf0746c6a4", "B-fbfd5a2d3cd1")
    assert "left out" in benchmark_b.about
    assert np.bincount(benchmark_b.folds.held_out).tolist() == [200] * 5


@pytest.mark.parametrize("condition", ["D", "S"])
def test_chosen_sentences_have_another_name_and_no_ceiling(condition: str) -> None:
    chosen = load("tuckute2024", condition=condition)
    assert chosen.name == f"tuckute2024-{condition}"
    assert len(chosen.stimuli) == 500
    assert chosen.assemblies[0].ceiling is None  # type: ignore[union-attr]


def test_the_ceiling_is_the_published_one() -> None:
    tables = [t for folder in data_folders() if (t := folder / "tuckute2024" / "noise_ceilings.csv").is_file()]
    if not tables:
        pytest.skip("the table of published ceilings is not on this machine")
    with tables[0].open(newline="") as stream:
        published = {row["roi"]: float(row["nc_pearson"]) for row in csv.DictReader(stream)}
    assert pytest.approx(published["lang_LH_netw"]) == CEILING


def test_length_and_punctuation_predict_as_scikit_learn_says(benchmark_b: Benchmark) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    name, x = surface_features(benchmark_b.stimuli)
    y = benchmark_b.assemblies[0].responses[:, 0]  # type: ignore[union-attr]
    r = []
    for train, test in benchmark_b.folds:
        spread = x[train].std(axis=0)
        scaled = (x - x[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
        model = linear.RidgeCV(alphas=np.logspace(-3, 5, 17)).fit(scaled[train], y[train])
        r.append(np.corrcoef(model.predict(scaled[test]), y[test])[0, 1])
    assert name == "length and punctuation"
    assert 0.28 < np.mean(r) < 0.34
    constant = benchmark_b.prepare().constants(run="", n_features=64)
    ours = [s.value for s in constant if s.kind == "baseline" and s.metric == "ridge-gcv"]
    assert ours == [pytest.approx(np.mean(r), abs=0.02)]
