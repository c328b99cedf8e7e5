"""Splitters in place of folds: what takes them, what refuses them, what is frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from tests.helpers.benchmarks import text_benchmark

from ontogeny import Assembly, Features
from ontogeny.benchmarks.diagnostics.split_leakage import split_leak
from ontogeny.brain import Target
from ontogeny.datasets.folder import read_benchmark, verify_folder, write_benchmark
from ontogeny.errors import DataError, MetricError
from ontogeny.extraction.features import Site
from ontogeny.metrics import CCA, CKA, RSA, Encoding, LayerGeometry, Ridge, Splits, UniqueVariance, make_folds

pytestmark = pytest.mark.usefixtures("unchecked")

TEN = ShuffleSplit(10, train_size=0.9, random_state=1)
LINEAR = Encoding(SklearnRidge())


def target(rng, n=40, voxels=3):
    return Target(subject="s", roi="IT", responses=rng.standard_normal((n, voxels)), n_voxels=voxels)


class Changing:
    """Splits otherwise at every call, which no attribute tells."""

    def __init__(self):
        self.calls = 0

    def split(self, X):
        self.calls += 1
        yield np.arange(10 + self.calls, len(X)), np.arange(10)


def benchmark(**options):
    made = text_benchmark()
    return replace(
        made, metrics=(LINEAR,), folds=make_folds(40, cv=ShuffleSplit(4, test_size=0.3, random_state=0)), **options
    )


def features(n=40, width=5, seed=1):
    x = torch.as_tensor(np.random.default_rng(seed).standard_normal((n, width)), dtype=torch.float32)
    return Features(stimulus_ids=text_benchmark().stimuli.ids[:n], values={Site("0", "mean"): x}, refused={})


@pytest.mark.parametrize("metric", [Ridge(), CCA(), UniqueVariance()], ids=lambda m: m.name)
def test_a_metric_that_needs_a_partition_refuses_repeated_splits_by_name(metric):
    made = replace(benchmark(), metrics=(metric,))
    with pytest.raises(MetricError, match=rf"{metric.name} needs folds .* ShuffleSplit\(.*use Encoding there"):
        made.prepare()
    if not isinstance(metric, UniqueVariance):
        with pytest.raises(MetricError, match="use Encoding there"):
            metric(np.eye(40)[:, :4], np.eye(40)[:, 3:9], folds=made.folds)


@pytest.mark.parametrize("metric", [RSA(), CKA()], ids=lambda m: m.name)
def test_a_metric_that_holds_nothing_out_does_not_mind(metric, rng):
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 4))
    assert float(metric(x, y, folds=make_folds(40, cv=TEN))) == float(metric(x, y))


def test_encoding_takes_the_splits_of_the_benchmark_as_its_own(rng):
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 4))
    given = LINEAR(x, y, folds=make_folds(40, cv=TEN))
    assert float(given) == float(Encoding(SklearnRidge(), cv=TEN)(x, y))
    assert given.folds == "ShuffleSplit(random_state=1, train_size=0.9)"
    assert Encoding(SklearnRidge(), cv=TEN)(x, y).folds == ""


def test_the_words_for_folds_are_the_splitter_s_parameters():
    words = [make_folds(40, cv=cv).how for cv in (TimeSeriesSplit(4, gap=2), RepeatedKFold(n_splits=4, random_state=0))]
    assert words[0] == "TimeSeriesSplit(gap=2, n_splits=4)"
    assert "n_splits: 4" in words[1]


def test_scores_fingerprint_halves_and_leak_of_a_benchmark_with_repeated_splits():
    made = benchmark()
    scores = [row for row in made.prepare(permutations=2).score(features()) if row.kind == "alignment"]
    assert len(scores) == 2
    other = replace(made, folds=make_folds(40, cv=ShuffleSplit(4, test_size=0.3, random_state=1)))
    assert made.folds.how != other.folds.how
    assert replace(made, folds=replace(other.folds, how=made.folds.how)).fingerprint() != made.fingerprint()
    assert [len(half.folds) for half in made.halves()] == [4, 4]
    whole = made.prepare()
    found = split_leak(made.stimuli, whole.targets, made.folds)
    assert found is not None
    assert 0 < found.p <= 1


def test_a_leak_is_found_under_repeated_splits_of_a_series(rng):
    made = text_benchmark()
    stimuli = replace(made.stimuli, contiguous=True)
    walk = np.cumsum(rng.standard_normal((40, 30)), axis=0)
    series = [Target(subject="s", roi="IT", responses=walk, n_voxels=30)]
    found = split_leak(stimuli, series, make_folds(40, cv=ShuffleSplit(5, test_size=0.2, random_state=0)))
    assert found.p == 0.01
    assert found.value > 0.3


def test_a_folder_keeps_splits_and_their_fingerprint(tmp_path):
    made = replace(benchmark(), metrics=(RSA(),))
    read = read_benchmark(write_benchmark(made, tmp_path / "folder"))
    assert read.folds == made.folds
    assert isinstance(read.folds, Splits)
    assert read.fingerprint() == made.fingerprint()
    assert verify_folder(tmp_path / "folder") == []


def test_a_column_of_splits_that_is_none_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write_benchmark(replace(benchmark(), metrics=(RSA(),)), tmp_path / "folder")
    table = pq.read_table(folder / "stimuli.parquet")
    place = table.column_names.index("splits")
    pq.write_table(table.set_column(place, "splits", pa.array([[2, 1]] * 40)), folder / "stimuli.parquet")
    with pytest.raises(DataError, match="stimuli.parquet"):
        read_benchmark(folder, check=False)
    assert verify_folder(folder)


def test_subjects_who_saw_different_stimuli_keep_the_sides_of_the_splits(rng):
    made = benchmark()
    ids = made.stimuli.ids
    seen = [
        Assembly(
            name="n", subject=f"s{i}", stimulus_ids=part, responses=rng.standard_normal((len(part), 3)), roi=("IT",) * 3
        )
        for i, part in enumerate((ids[:30], ids[10:]))
    ]
    parts = replace(made, assemblies=tuple(seen), own_stimuli=True).parts()
    assert len(parts) == 2
    for part, rows in zip(parts, (range(30), range(10, 40)), strict=True):
        for (_, test), (_, whole) in zip(part.folds, made.folds, strict=True):
            assert [rows[i] for i in test] == [i for i in whole if i in rows]


def test_a_splitter_that_asks_for_groups_gets_those_of_the_stimuli(rng):
    made = text_benchmark()
    groups = tuple(f"g{i // 4}" for i in range(40))
    made = replace(made, stimuli=replace(made.stimuli, groups=groups), folds=make_folds(40, groups=groups))
    by_hand = list(GroupKFold(5).split(np.zeros(40), groups=groups))
    grouped = [replace(made, metrics=(Encoding(SklearnRidge(), cv=cv),)) for cv in (GroupKFold(5), by_hand)]
    values = [[row.value for row in b.prepare().score(features()) if row.kind == "alignment"] for b in grouped]
    assert values[0] == values[1]
    one_out = replace(made, metrics=(Encoding(SklearnRidge(), cv=LeaveOneGroupOut()),)).prepare()
    assert len(one_out.prepared.families[0][1].prepared.splits) == 10
    shuffled = replace(made, metrics=(Encoding(SklearnRidge(), cv=TEN),))  # as published protocols do
    assert len(shuffled.prepare().score(features())) > 2


def test_the_splits_of_a_metric_are_part_of_the_fingerprint_and_not_only_their_name():
    class Blocks:
        def __init__(self):
            self.n = 3

        def split(self, X):
            for rows in np.array_split(np.arange(len(X)), BLOCKS):
                yield np.setdiff1d(np.arange(len(X)), rows), rows

    BLOCKS = 3
    made = replace(text_benchmark(), metrics=(Encoding(SklearnRidge(), cv=Blocks()),))
    before = made.fingerprint()
    BLOCKS = 4
    assert made.fingerprint() != before


@pytest.mark.parametrize(
    ("cv", "options", "match"),
    [
        (ShuffleSplit(3), {}, "ShuffleSplit splits otherwise each time; give it a number"),
        (KFold(3, shuffle=True, random_state=np.random.RandomState(0)), {}, "KFold splits otherwise each time"),
        (Changing(), {}, "Changing splits otherwise each time"),
        (3, {}, "cv is an object with split, or a list of index arrays .* got int"),
        (GroupKFold(3), {}, r"GroupKFold\(n_splits=3\) cannot split 40 stimuli: .*given no strata and no groups"),
        (StratifiedKFold(3), {"groups": ["a"] * 40}, r"StratifiedKFold\(n_splits=3\) cannot split .*given no strata"),
        (KFold(50), {}, r"KFold\(n_splits=50\) cannot split 40 stimuli"),
        (
            KFold(5),
            {"groups": [f"g{i % 9}" for i in range(40)]},
            "split 0 has group 'g0' on both sides; use GroupKFold",
        ),
        ([], {}, "makes no split of 40 stimuli"),
        ([(np.arange(20), np.arange(15, 40))], {}, "split 0 holds out stimuli that it trains on"),
        ([(np.arange(20), np.arange(20, 41))], {}, "split 0 does not fit the 40 stimuli"),
        ([(np.arange(20), np.array([-1, -2]))], {}, "split 0 does not fit the 40 stimuli"),
        ([(np.r_[0, 0, 1], np.arange(20, 40))], {}, "has one of them twice"),
        ([(np.arange(39), np.array([39]))], {}, "holds out fewer than 2"),
        ([(np.arange(30) / 2, np.arange(30, 40))], {}, "two arrays of row numbers, got float64"),
        (KFold(5), {"n_folds": 4}, "leave out n_folds, contiguous and seed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_splitters_that_do_not_fit_are_refused(cv, options, match):
    with pytest.raises(MetricError, match=match):
        make_folds(40, cv=cv, **options)


def test_a_mask_is_taken_for_its_rows():
    mask = np.arange(40) < 30
    assert make_folds(40, cv=[(mask, ~mask)]).rows == ((tuple(range(30)), tuple(range(30, 40))),)


def test_splits_of_other_stimuli_are_refused(rng):
    with pytest.raises(DataError, match="40 stimuli but folds for 30"):
        replace(text_benchmark(), metrics=(RSA(),), folds=make_folds(30, cv=TEN))
    with pytest.raises(MetricError, match="its splits are of 30 stimuli, not of 40"):
        Encoding(SklearnRidge(), cv=make_folds(30, cv=TEN)).prepare([target(rng)], make_folds(40))
    few = make_folds(40, cv=[(np.arange(20), np.arange(20, 40))])
    with pytest.raises(MetricError, match="a split trains on none of these stimuli"):
        few.only(np.arange(20, 40), "half 2")
    view = LayerGeometry(torch.as_tensor(rng.standard_normal((40, 3))))
    assert Encoding(SklearnRidge(), cv=few).prepare([target(rng)], make_folds(40)).score(view)[0].chance == 0
