"""Features on a GPU: products are made there, and what comes to the CPU is small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.pretend_gpu import OnGpu, moved

from ontogeny import Assembly, Benchmark, StimulusSet
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import (
    CCA,
    CKA,
    CKNNA,
    RSA,
    CycleKNN,
    LayerGeometry,
    MutualKNN,
    Procrustes,
    Ridge,
    UniqueVariance,
    make_folds,
)

N, WIDE, NARROW = 60, 300, 12
METRICS = (
    Ridge(),
    Ridge(rule="loo"),
    UniqueVariance(),
    RSA(),
    RSA(distance="euclidean"),
    RSA(distance="cosine"),
    CKA(),
    CKA(kind="rbf", standardise=True),
    CKNNA(),
    MutualKNN(),
    MutualKNN(likeness="inner", standardise=True),
    CycleKNN(),
    Procrustes(),
    CCA(components=3),
)


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    """Sixty sentences and random responses."""
    rng = np.random.default_rng(0)
    ids = tuple(f"s{i}" for i in range(N))
    texts = [" ".join(["word"] * int(n)) for n in rng.integers(2, 9, N)]
    stimuli = StimulusSet(name="sixty", ids=ids, inputs=texts, modality="text")
    assembly = Assembly(
        name="a", subject="1", stimulus_ids=ids, responses=rng.standard_normal((N, 20)), roi=("left",) * 20
    )
    return Benchmark(
        name="sixty",
        version="1",
        citation="none",
        licence="none",
        about="random",
        stimuli=stimuli,
        assemblies=(assembly,),
        metrics=METRICS,
        folds=make_folds(N),
        simulated=True,
    )


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_scores_are_the_same_to_rounding_wherever_features_are(benchmark: Benchmark, width: int, offset: float) -> None:
    x = torch.randn(N, width, generator=torch.Generator().manual_seed(1)) + offset
    site = Site("layer", "last")
    here, there = (
        benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values={site: values}, refused={}))
        for values in (x, OnGpu(x))
    )
    assert [s.key for s in here] == [s.key for s in there]
    assert not [s.note for s in here if s.kind == "refusal"]
    for ours, theirs in zip(here, there, strict=True):
        assert theirs.value == pytest.approx(ours.value, rel=1e-6, abs=1e-7), ours.metric


def test_autocast_and_fast_products_around_the_call_change_nothing(benchmark: Benchmark) -> None:
    site = Site("layer", "last")
    features = Features(stimulus_ids=benchmark.stimuli.ids, values={site: torch.randn(N, WIDE)}, refused={})
    plain, before = benchmark.score(features), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert benchmark.score(features) == plain
    finally:
        torch.set_float32_matmul_precision(before)


def test_of_wide_features_only_products_come_to_the_cpu() -> None:
    view = LayerGeometry(OnGpu(torch.randn(N, WIDE)))
    moved.clear()
    for found in (view.gram, view.squared_distances, view.correlations, view.cosines, view.inner):
        assert found.device.type == "cpu"
    assert max(np.prod(shape) for shape in moved) == N * N
    assert view.x.shape == (N, WIDE)
    assert moved[N, WIDE] == 1


def test_the_pretended_gpu_refuses_what_a_gpu_refuses() -> None:
    x = OnGpu(torch.randn(3, 2))
    with pytest.raises(RuntimeError, match="expected all tensors on cuda:0"):
        x + torch.randn(3, 2)
    with pytest.raises((RuntimeError, TypeError)):
        x.numpy()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_real_gpu_gives_the_same_scores(benchmark: Benchmark) -> None:
    x = torch.randn(N, WIDE)
    site = Site("layer", "last")
    here, there = (
        benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values={site: values}, refused={}))
        for values in (x, x.cuda())
    )
    for ours, theirs in zip(here, there, strict=True):
        assert theirs.value == pytest.approx(ours.value, rel=1e-6, abs=1e-7), ours.metric
