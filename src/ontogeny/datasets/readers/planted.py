"""The embedded worlds as benchmarks: SIMULATED responses, known answers, no files."""

from __future__ import annotations

from ontogeny.benchmarks import Benchmark
from ontogeny.datasets.pinned_datasets import find_source
from ontogeny.metrics import CKA, RSA, Metric, Ridge, make_folds
from ontogeny.simulated.language_world import planted_language
from ontogeny.simulated.vision_world import planted_vision
from ontogeny.simulated.voxel_responses import PlantedWorld

__all__ = ["load_planted_captions", "load_planted_language", "load_planted_vision"]

_GEOMETRY: tuple[Metric, ...] = (RSA(), CKA(debiased=True))


def load_planted_language(*, seed: int = 0, n_stimuli: int = 288) -> Benchmark:
    """Sentences of a small grammar; simulated voxels that follow surface form, word class, meaning.

    Args:
        seed: of the whole world.
        n_stimuli: sentences.
    """
    about = (
        "SIMULATED. Sentences of a small grammar with meaning; simulated voxels in three ROIs that follow surface "
        f"form, word class and meaning, with known noise and ceiling; seed {seed}. Folds keep words apart, since with "
        "shared words an untrained bag of tokens already predicts meaning."
    )
    return _benchmark("planted-language", planted_language(seed=seed, n_stimuli=n_stimuli), (Ridge(rule="gcv"),), about)


def load_planted_vision(*, seed: int = 0, n_stimuli: int = 120) -> Benchmark:
    """Rendered shapes; simulated voxels that follow contrast energy, shape, category.

    Args:
        seed: of the whole world.
        n_stimuli: pictures.
    """
    about = (
        "SIMULATED. Rendered scenes of shapes; simulated voxels in ROIs that follow contrast energy, shape and "
        f"category, with known noise and ceiling; seed {seed}."
    )
    return _benchmark("planted-vision", planted_vision(seed=seed, n_stimuli=n_stimuli), _GEOMETRY, about)


def load_planted_captions(*, seed: int = 0, n_stimuli: int = 120) -> Benchmark:
    """Captions of the pictures of planted-vision, with the very same simulated responses.

    So a model of texts and one of pictures can be compared: `findings modality TEXT PICTURES --pair-benchmarks`.

    Args:
        seed: of the whole world; that of the pictures' one.
        n_stimuli: captions; as many as pictures.
    """
    about = (
        "SIMULATED. Captions of the scenes of planted-vision, which name shape, size, shade, place and turn; the same "
        f"simulated voxels in ROIs that follow contrast energy, shape and category of the pictures; seed {seed}."
    )
    world = planted_vision(seed=seed, n_stimuli=n_stimuli, captions=True)
    return _benchmark("planted-captions", world, _GEOMETRY, about)


def _benchmark(name: str, world: PlantedWorld, metrics: tuple[Metric, ...], about: str) -> Benchmark:
    source = find_source(name)
    stimuli = world.stimuli
    known = "; ".join(f"{roi}: {answer}" for roi, answer in world.expected.items())
    return Benchmark(
        name=name,
        version="1",
        citation=source.citation,
        licence=source.licence,
        about=f"{about} Known answer. {known}.",
        simulated=True,
        stimuli=stimuli,
        assemblies=world.assemblies,
        metrics=metrics,
        folds=make_folds(len(stimuli), n_folds=5, groups=stimuli.groups, contiguous=stimuli.contiguous, seed=0),
    )
