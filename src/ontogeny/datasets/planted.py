"""The embedded worlds as benchmarks: SIMULATED responses, known answers, no files."""

from __future__ import annotations

from ontogeny.benchmark import Benchmark
from ontogeny.datasets.catalogue import find_source
from ontogeny.metrics import Metric, make_folds
from ontogeny.metrics.cka import CKA
from ontogeny.metrics.encoding import Ridge
from ontogeny.metrics.rsa import RSA
from ontogeny.worlds.language import planted_language
from ontogeny.worlds.planting import PlantedWorld
from ontogeny.worlds.vision import planted_vision

__all__ = ["load_planted_language", "load_planted_vision"]


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
    metrics = (RSA(), CKA(debiased=True))
    return _benchmark("planted-vision", planted_vision(seed=seed, n_stimuli=n_stimuli), metrics, about)


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
