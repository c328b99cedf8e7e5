"""A shuffled pairing of stimuli and responses is caught, and a right one is not called so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.worlds import worlds

from ontogeny import StimulusSet
from ontogeny.benchmarks.diagnostics.row_alignment import pairings, repeats_agree
from ontogeny.brain import Target, targets
from ontogeny.datasets import data_folders, load
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


@pytest.mark.parametrize("subjects", [3, 8])
def test_a_shuffled_subject_is_caught_and_the_others_are_not(subjects):
    caught, wrong, cleared, n = 0, 0, 0, len(worlds(60))
    for seed in range(n):
        stimuli, found = world(seed, subjects=subjects, signal=0.6)
        place = seed % subjects
        found[place] = shuffled(found[place], seed)
        verdicts = pairings_of(stimuli, found, permutations=99)
        caught += verdicts[place].suspicious
        cleared += ": paired" in verdicts[place].line()
        wrong += sum(v.suspicious for v in verdicts) - verdicts[place].suspicious
    assert caught >= 0.95 * n
    assert cleared <= 0.05 * n
    assert wrong <= 0.05 * (subjects - 1) * n


def test_a_noisier_subject_that_is_paired_is_rarely_blamed():
    wrong, n = 0, len(worlds(60))
    for seed in range(n):
        stimuli, found = world(seed, signal=0.8)
        found[0] = world(seed, signal=0.3)[1][0]
        wrong += sum(p.suspicious for p in pairings_of(stimuli, found, permutations=99))
    assert wrong <= 0.05 * n


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


def test_reliable_responses_of_one_subject_that_fit_nothing_are_pointed_at():
    stimuli, (target, *_) = world(3)
    reliable = replace(shuffled(target, 0), ceiling=np.full(VOXELS, 0.6))
    (pairing,) = pairings_of(stimuli, [reliable])
    assert "CANNOT BE TOLD" in pairing.line()
    assert "as noise alone does not explain it (ceiling r = 0.60)" in pairing.line()
    (pairing,) = pairings_of(stimuli, [replace(reliable, ceiling=np.full(VOXELS, 0.02))])
    assert "noise alone" not in pairing.line()


def repeated(seed: int, *, signal: float = 0.5, repeats: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return signal * rng.standard_normal((N, VOXELS)) + rng.standard_normal((repeats, N, VOXELS))


def test_repeats_agree_by_the_share_of_signal():
    found = repeats_agree(repeated(0, signal=1.0, repeats=2))
    assert found is not None
    assert found.r == pytest.approx(0.5, abs=0.04)
    assert found.p == 0.001
    values = repeated(1, repeats=2)
    voxels = [np.corrcoef(values[0, :, v], values[1, :, v])[0, 1] for v in range(VOXELS)]
    again = repeats_agree(values)
    assert again is not None
    assert again.r == pytest.approx(np.mean(voxels), abs=1e-12)


def test_a_shuffled_repeat_is_caught_and_mixed_numbers_of_repeats_are_read():
    missed, n = 0, 100
    for seed in range(n):
        values = repeated(seed, repeats=2)
        values[1] = values[1, np.random.default_rng(seed + n).permutation(N)]
        found = repeats_agree(values, permutations=199)
        assert found is not None
        missed += found.p <= 0.01
    assert missed <= 0.05 * n
    mixed = repeated(0)
    mixed[1:, 60:] = np.nan
    found = repeats_agree(mixed)
    assert found is not None
    assert found.p == 0.001
    mixed[1:, 9:] = np.nan
    assert repeats_agree(mixed) is None


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


@pytest.mark.long
@needs("tuckute2024")
def test_a_shuffled_group_of_tuckute_is_pointed_at():
    benchmark = load("tuckute2024")
    (target,) = targets(benchmark.assemblies, benchmark.stimuli.ids)
    assert target.responses is not None
    told, n = 0, 40
    for seed in range(n):
        order = np.random.default_rng(seed).permutation(len(benchmark.stimuli))
        lost = replace(target, responses=target.responses[order])
        (pairing,) = pairings_of(benchmark.stimuli, [lost], permutations=199)
        told += "CANNOT BE TOLD" in pairing.line() and "ceiling r = 0.56" in pairing.line()
    assert told >= 0.95 * n


@needs("pereira2018_concepts")
def test_weakly_reliable_subjects_of_pereira_are_not_blamed() -> None:
    benchmark = load("pereira2018_concepts")
    found = targets(benchmark.assemblies, benchmark.stimuli.ids)
    verdicts = pairings(found, benchmark.surface()[1], permutations=199)
    assert len(verdicts) == 15
    assert not any(p.suspicious for p in verdicts)
    assert sum(p.others is not None and p.others.p <= 0.05 for p in verdicts) >= 12
