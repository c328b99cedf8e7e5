"""How many independent stimuli there are, and from which value on an effect can be seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ontogeny import StimulusSet
from ontogeny.benchmarks.diagnostics.power import detectability, effective_stimuli, least_correlation
from ontogeny.brain import Target
from ontogeny.datasets import load
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site

N = 400


def stimuli(groups=None, *, contiguous=False) -> StimulusSet:
    return StimulusSet(
        name="w",
        ids=tuple(str(i) for i in range(N)),
        inputs=["a"] * N,
        modality="text",
        groups=groups,
        contiguous=contiguous,
    )


def target(y: np.ndarray) -> Target:
    return Target(subject="s", roi="r", responses=y, n_voxels=y.shape[1])


def ar1(rng: np.random.Generator, phi: float, voxels: int) -> np.ndarray:
    out = rng.standard_normal((N + 50, voxels))
    for t in range(1, len(out)):
        out[t] += phi * out[t - 1]
    return out[50:]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_autocorrelated_responses_are_worth_what_correlations_of_such_series_vary(phi):
    """Of two independent series of one autocorrelation, 1 / variance of r is the number of stimuli they are worth."""
    rng = np.random.default_rng(0)
    a, b = ar1(rng, phi, 2000), ar1(rng, phi, 2000)
    a, b = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (a, b))
    worth = 1 / np.var((a * b).mean(axis=0))
    found = effective_stimuli(stimuli(contiguous=True), [target(a[:, :200])])
    assert found == pytest.approx(worth, rel=0.12)
    assert worth == pytest.approx(N * (1 - phi**2) / (1 + phi**2), rel=0.12)


@pytest.mark.parametrize("icc", [0.0, 0.5])
def test_groups_are_worth_what_correlations_of_such_groups_vary(icc):
    rng = np.random.default_rng(1)
    label = np.repeat(np.arange(40), 10)

    def grouped() -> np.ndarray:
        within = rng.standard_normal((N, 2000)) * math.sqrt(1 - icc)
        return rng.standard_normal((40, 2000))[label] * math.sqrt(icc) + within

    a, b = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (grouped(), grouped()))
    worth = 1 / np.var((a * b).mean(axis=0))
    found = effective_stimuli(stimuli(tuple(map(str, label))), [target(a[:, :200])])
    assert found == pytest.approx(worth, rel=0.15)


def test_independent_stimuli_and_geometries_count_as_they_are():
    y = ar1(np.random.default_rng(0), 0.8, 5)
    assert effective_stimuli(stimuli(), [target(y)]) == N
    assert effective_stimuli(stimuli(contiguous=True), [Target(subject="s", roi="r", rdm=np.ones((N, N)))]) == N


def test_the_least_correlation_is_seen_in_four_of_five_cases():
    r, rng = least_correlation(100.0), np.random.default_rng(2)
    x = rng.standard_normal((4000, 100))
    y = r * x + math.sqrt(1 - r**2) * rng.standard_normal(x.shape)
    found = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)])
    critical = math.tanh(1.645 / math.sqrt(97))
    assert np.mean(found > critical) == pytest.approx(0.8, abs=0.02)


def test_what_can_be_seen_is_seen_and_chance_is_not():
    prepared = load("planted-language").prepare()
    seen = {(one.roi, one.metric): one for one in detectability(prepared)}
    meaning, surface = seen["meaning", "ridge-gcv"], seen["surface form", "ridge-gcv"]
    assert surface.surface_name == "length and punctuation"
    assert surface.surface is not None
    assert surface.surface > surface.least
    assert meaning.surface is not None
    assert meaning.surface < meaning.least
    assert abs(meaning.chance) < 0.02
    assert meaning.ceiling is not None
    assert meaning.ceiling == pytest.approx(
        np.mean([np.mean(t.ceiling) for t in prepared.targets if t.roi == "meaning" and t.ceiling is not None])
    )
    noise = torch.randn(len(prepared.benchmark.stimuli), 64, generator=torch.Generator().manual_seed(3))
    site = Site("noise", "none")
    rows = prepared.score(Features(stimulus_ids=prepared.benchmark.stimuli.ids, values={site: noise}, refused={}))
    for (roi, _), one in seen.items():
        value = np.mean([r.value for r in rows if r.kind == "alignment" and r.roi == roi])
        assert value < one.chance + 3.5 * one.spread
