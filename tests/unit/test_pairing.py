"""A shuffled pairing of stimuli and responses is caught, and a right one is not called so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ontogeny import StimulusSet
from ontogeny.assembly import Target, targets
from ontogeny.benchmark.pairing import pairings
from ontogeny.datasets import load
from ontogeny.datasets.store import data_folders
from ontogeny.stimuli import surface_features

N, VOXELS = 80, 40


def needs(name: str) -> pytest.MarkDecorator:
    there = any((folder / name).is_dir() for folder in data_folders())
    return pytest.mark.skipif(not there, reason=f"{name} is not on this machine (set ONTOGENY_DATA)")


def world(seed: int, *, subjects: int = 4, signal: float = 0.5) -> tuple[StimulusSet, list[Target]]:
    """Subjects whose voxels mix the same eight dimensions of the stimuli, with noise of standard deviation 1."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((N, 8))
    words = [" ".join(["word"] * int(n)) for n in rng.integers(3, 9, N)]
    stimuli = StimulusSet(name="w", ids=tuple(f"s{i}" for i in range(N)), inputs=words, modality="text")
    found = []
    for subject in range(subjects):
        mixed = latent @ rng.standard_normal((8, VOXELS)) / np.sqrt(8)
        responses = signal * mixed + rng.standard_normal((N, VOXELS))
        found.append(Target(subject=str(subject), roi="a", responses=responses, n_voxels=VOXELS))
    return stimuli, found


def pairings_of(stimuli: StimulusSet, found, **options):
    return pairings(found, surface_features(stimuli)[1], **options)


def shuffled(target: Target, seed: int) -> Target:
    order = np.random.default_rng(seed).permutation(N)
    assert target.responses is not None
    return replace(target, responses=target.responses[order])


def test_a_shuffled_subject_is_caught_and_the_others_are_not():
    caught, wrong, n = 0, 0, 40
    for seed in range(n):
        stimuli, found = world(seed)
        found[seed % 4] = shuffled(found[seed % 4], seed)
        verdicts = [p.suspicious for p in pairings_of(stimuli, found, permutations=99)]
        caught += verdicts[seed % 4]
        wrong += sum(verdicts) - verdicts[seed % 4]
    assert caught >= 0.95 * n
    assert wrong <= 0.05 * 3 * n


@pytest.mark.parametrize("signal", [0.0, 0.15, 0.3, 0.6])
def test_a_right_pairing_is_rarely_called_suspicious(signal):
    n = 25
    wrong = sum(p.suspicious for seed in range(n) for p in pairings_of(*world(seed, signal=signal), permutations=99))
    assert wrong <= 0.05 * 4 * n


def test_of_two_subjects_none_is_blamed_and_it_says_that_it_cannot_tell():
    stimuli, (one, two) = world(1, subjects=2)
    assert all(p.line().startswith(f"subject {p.subject}: paired") for p in pairings_of(stimuli, [one, two]))
    for pairing in pairings_of(stimuli, [one, shuffled(two, 1)]):
        assert not pairing.suspicious
        assert "CANNOT BE TOLD" in pairing.line()


def test_one_subject_is_told_by_the_surface():
    stimuli, _ = world(1)
    length = np.array([[len(text.split())] for text in stimuli.inputs], dtype=np.float64)
    responses = length + np.random.default_rng(0).standard_normal((N, 5))
    right = Target(subject="g", roi="a", responses=responses, n_voxels=5)
    (found,) = pairings_of(stimuli, [right])
    assert found.others is None
    assert found.surface is not None
    assert found.surface.p <= 0.002
    (lost,) = pairings_of(stimuli, [shuffled(right, 3)])
    assert "CANNOT BE TOLD" in lost.line()


def test_fewer_than_ten_stimuli_are_not_tested():
    stimuli = StimulusSet(name="w", ids=("a", "b"), inputs=["x", "y"], modality="text")
    assert pairings_of(stimuli, [Target(subject="s", roi="r", responses=np.eye(2), n_voxels=2)]) == []


@needs("kriegeskorte2008")
def test_a_shuffled_subject_of_kriegeskorte_is_caught():
    benchmark = load("kriegeskorte2008")
    found = list(targets(benchmark.assemblies, benchmark.stimuli.ids))
    assert not any(p.suspicious for p in pairings_of(benchmark.stimuli, found))
    order = np.random.default_rng(5).permutation(len(benchmark.stimuli))
    for place, target in enumerate(found):
        assert target.rdm is not None
        swapped = replace(target, rdm=target.rdm[np.ix_(order, order)])
        verdicts = pairings_of(benchmark.stimuli, [*found[:place], swapped, *found[place + 1 :]])
        assert [p.subject for p in verdicts if p.suspicious] == [target.subject]
        assert "SUSPICIOUS" in verdicts[place].line()


@needs("tuckute2024")
def test_the_group_of_tuckute_is_paired_by_sentence_length():
    benchmark = load("tuckute2024")
    found = targets(benchmark.assemblies, benchmark.stimuli.ids)
    (pairing,) = pairings_of(benchmark.stimuli, found)
    assert pairing.surface is not None
    assert pairing.surface.p == 0.001
    assert "paired" in pairing.line()


@needs("pereira2018_concepts")
def test_weakly_reliable_subjects_of_pereira_are_not_blamed() -> None:
    benchmark = load("pereira2018_concepts")
    found = targets(benchmark.assemblies, benchmark.stimuli.ids)
    verdicts = pairings(found, benchmark.surface()[1], permutations=199)
    assert len(verdicts) == 15
    assert not any(p.suspicious for p in verdicts)
    assert sum("paired" in p.line() for p in verdicts) >= 12
