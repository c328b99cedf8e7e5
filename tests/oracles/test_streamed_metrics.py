"""Pairwise metrics in tiles give the numbers of those that keep all pairs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from ontogeny.brain import Target
from ontogeny.errors import FeatureError, MetricError
from ontogeny.metrics import CKA, CKNNA, RSA, CycleKNN, LayerGeometry, MutualKNN, make_folds, memory_limits
from ontogeny.metrics._streamed import rsa as streamed_rsa
from ontogeny.metrics._streamed import tiles as streamed_tiles
from ontogeny.metrics._streamed.tiles import Rows
from ontogeny.metrics.batching import prepare_all
from ontogeny.metrics.permutations import Permutations

pytestmark = pytest.mark.oracle
METRICS = [
    *(RSA(distance=d, comparison="spearman") for d in ("correlation", "euclidean", "cosine")),
    *(RSA(comparison=c) for c in ("rho-a", "pearson", "cosine")),
    CKA(),
    CKA(debiased=False, damping=1e-3),
    CKA(standardise=True),
    *(MutualKNN(k=5, likeness=how) for how in ("cosine", "inner", "euclidean")),
    MutualKNN(k=9, standardise=True),
    CycleKNN(k=4),
    CKNNA(k=8),
    CKNNA(k=8, likeness="inner", damping=1e-2),
]


@pytest.fixture
def tiled(monkeypatch):
    """Nothing of stimuli x stimuli fits, and tiles are small."""
    monkeypatch.setattr(streamed_tiles, "TILE", 32)

    def switch(on):
        monkeypatch.setattr(memory_limits, "fits", lambda _: not on)

    return switch


def targets(rng, x, n_rois=2):
    made = [x @ rng.standard_normal((x.shape[1], 7)) + 2 * rng.standard_normal((len(x), 7)) for _ in range(n_rois)]
    return [Target(subject="s", roi=f"r{i}", responses=y + 1, n_voxels=7) for i, y in enumerate(made)]


def scored(metrics, some, x, permutations):
    found = prepare_all(metrics, some, make_folds(len(x)), permutations=permutations)
    return found, found.score([LayerGeometry(torch.as_tensor(x))])[0]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_tiles_give_the_numbers_of_all_pairs_at_once(tiled, metric):
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal((90, 6)) + 2
    some, permutations = targets(rng, x), Permutations(orders=(rng.permutation(90),), sampled=(True,))
    tiled(False)
    dense, expected = scored([metric], some, x, permutations)
    tiled(True)
    streamed, found = scored([metric], some, x, permutations)
    assert "streamed" in type(streamed.families[0][1]).__module__
    assert "streamed" not in type(dense.families[0][1]).__module__
    assert len(found[0]) == len(expected[0]) == 4
    for one, other in zip(found[0], expected[0], strict=True):
        levels = 2e-6 if metric.name.endswith(("spearman", "rho-a")) else 1e-8  # of 4005 pairs; less of more
        assert (one.value, one.chance) == pytest.approx((other.value, other.chance), abs=levels)
        assert one.ceiling is None


def test_several_metrics_of_a_family_and_ceilings_of_cka(tiled):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((80, 5))
    several = [*targets(rng, x, 1), *(Target(subject="t", roi="r0", responses=t.responses) for t in targets(rng, x, 1))]
    permutations = Permutations()
    tiled(False)
    _, expected = scored([CKA(), CKA(debiased=False)], several, x, permutations)
    tiled(True)
    _, found = scored([CKA(), CKA(debiased=False)], several, x, permutations)
    for mine, theirs in zip(found, expected, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert one.ceiling_lower == pytest.approx(other.ceiling_lower, abs=1e-9)
            assert one.ceiling == pytest.approx(other.ceiling, abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "subjects"),
    [(RSA(), 2), (MutualKNN(), 2), (RSA(comparison="whitened-cosine"), 1), (CKA(kind="rbf"), 1)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_what_needs_all_pairs_at_once_is_refused_as_before(tiled, monkeypatch, metric, subjects):
    rng = np.random.default_rng(2)
    n = 3000
    some = [
        Target(subject=f"s{i}", roi="V1", responses=rng.standard_normal((n, 4)), n_voxels=4) for i in range(subjects)
    ]
    monkeypatch.setattr("ontogeny._memory.available", lambda: 0.0)
    with pytest.raises(MetricError, match="3,000 stimuli and"):
        metric.prepare(some, make_folds(n))


def test_features_without_pairs_to_compare_are_refused_by_name(tiled):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 4))
    x[3] = 1.0
    tiled(True)
    _, found = scored([RSA(), RSA(distance="euclidean")], targets(rng, x), x, Permutations())
    assert isinstance(found[0], FeatureError)
    assert "vary within each" in str(found[0])
    assert len(found[1]) == 2
    same = np.repeat(np.eye(4), 10, axis=0)[:, :1] * 0 + rng.standard_normal((40, 1)) * 0 + 1
    with pytest.raises(MetricError, match="all equal"):
        streamed_rsa._summary(Rows.of(np.concatenate([same, same], axis=1), "euclidean"), "spearman")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-6, 6), st.sampled_from([0, 3]))
def test_counted_ranks_are_scipys_whatever_the_scale_and_outliers(seed, log_scale, n_outliers):
    """Outliers a thousand times as far, and class labels, whose distances are ties."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((60, 3))
    x[:n_outliers] *= 1000
    x[40:] = np.sign(x[40:])
    rows = Rows.of(x * 10**log_scale, "euclidean")
    exact = np.square(x[:, None] - x[None]).sum(axis=2)[np.triu_indices(60, 1)]
    ranks = rankdata(np.round(exact, 9))
    ranks = ranks - ranks.mean()
    found = streamed_rsa._summary(rows, "spearman").of(rows, (slice(0, 60), slice(0, 60)))
    assert found @ ranks / np.linalg.norm(ranks) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-12)


def test_many_stimuli_stay_within_their_memory(tiled):
    """A matrix of all pairs of 3,000 stimuli takes 69 MiB; all these take less than one."""
    rng, n = np.random.default_rng(4), 3000
    some = [Target(subject="s", roi="r", responses=rng.standard_normal((n, 4)), n_voxels=4)]
    view = LayerGeometry(torch.as_tensor(some[0].responses))
    tiled(True)
    streamed_tiles.TILE = 512
    tracemalloc.start()
    try:
        found = prepare_all([RSA(), CKA(), MutualKNN()], some, make_folds(n)).score([view])[0]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [values[0].value for values in found] == pytest.approx([1, 1, 1], abs=1e-6)
    assert peak < 56 * 2**20
