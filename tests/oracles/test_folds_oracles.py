"""Folds against scikit-learn's splitters; and the assignments that benchmarks froze."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from ontogeny._arrays import digest
from ontogeny.metrics import Folds, Splits, make_folds

pytestmark = pytest.mark.oracle

N = 61
GROUPS = [f"story {i // 5}" for i in range(N)]
STRATA = ["odd" if i % 3 else "even" for i in range(N)]


class Blocks:
    """Blocks in order, with `gap` stimuli on either side that are neither trained on nor held out."""

    def __init__(self, n, gap):
        self.n, self.gap = n, gap

    def split(self, X):
        for block in np.array_split(np.arange(len(X)), self.n):
            rows = np.arange(len(X))
            yield rows[(rows < block[0] - self.gap) | (rows > block[-1] + self.gap)], block


PARTITIONS = {
    "blocks": (KFold(4), {}),
    "shuffled": (KFold(4, shuffle=True, random_state=3), {}),
    "groups": (GroupKFold(4), {"groups": GROUPS}),
    "leave one group out": (LeaveOneGroupOut(), {"groups": ["a"] * 20 + ["b"] * 21 + ["c"] * 20}),
    "strata": (StratifiedKFold(4, shuffle=True, random_state=3), {"strata": STRATA}),
    "given": (PredefinedSplit(np.arange(N) % 5), {}),
}
OTHERS = {
    "ten 90/10 splits": (ShuffleSplit(10, train_size=0.9, random_state=1), {}),
    "ten 90/10 splits of strata": (StratifiedShuffleSplit(10, train_size=0.9, random_state=1), {"strata": STRATA}),
    "repeated": (RepeatedKFold(n_splits=3, n_repeats=2, random_state=1), {}),
    "forward in time": (TimeSeriesSplit(3, gap=4), {}),
    "blocks with a gap": (Blocks(4, 3), {}),
    "one split": ([(np.arange(40), np.arange(40, N))], {}),
}


def expected(cv, options):
    if isinstance(cv, list):
        return cv
    if isinstance(cv, Blocks):
        return list(cv.split(np.zeros((N, 1))))
    return list(cv.split(np.zeros((N, 1)), options.get("strata"), options.get("groups")))


@pytest.mark.parametrize("name", [*PARTITIONS, *OTHERS])
def test_rows_are_those_of_the_splitter(name):
    cv, options = {**PARTITIONS, **OTHERS}[name]
    made, theirs = make_folds(N, cv=cv, **options), expected(cv, options)
    assert isinstance(made, Folds if name in PARTITIONS else Splits)
    assert len(made) == len(theirs)
    assert made.n_stimuli == N
    for (train, test), (their_train, their_test) in zip(made, theirs, strict=True):
        assert np.array_equal(train, np.sort(their_train))
        assert np.array_equal(test, np.sort(their_test))


def test_folds_of_our_own_are_those_of_kfold_over_the_same_order():
    blocks = make_folds(N, n_folds=4, contiguous=True)
    assert blocks.held_out == make_folds(N, cv=KFold(4)).held_out
    order = np.random.default_rng(7).permutation(N)
    shuffled = list(make_folds(N, n_folds=4, seed=7))
    assert len(shuffled) == 4
    for (_, test), (_, theirs) in zip(shuffled, KFold(4).split(order), strict=True):
        assert np.array_equal(test, np.sort(order[theirs]))


def test_groups_fill_folds_as_evenly_as_group_k_fold_does():
    rng = np.random.default_rng(0)
    groups = [f"g{g}" for g in rng.integers(0, 12, 200)]
    ours = np.bincount(make_folds(200, n_folds=4, groups=groups).held_out)
    theirs = np.bincount(make_folds(200, cv=GroupKFold(4), groups=groups).held_out)
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({}, "7fdb46a080d670ea"),
        ({"contiguous": True}, "13670f727d30ffb3"),
        ({"groups": GROUPS}, "7465a651a60111a4"),
        ({"strata": STRATA, "seed": 2}, "a04fb82858b24471"),
    ],
    ids=["shuffled", "blocks", "groups", "strata"],
)
def test_folds_that_benchmarks_froze_stay_as_they_are(options, frozen):
    assert digest(make_folds(N, **options).held_out) == frozen
