"""Latents -> simulated voxels of several subjects, with known noise, ceiling and subject differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ontogeny.brain import Assembly
from ontogeny.stimuli import StimulusSet

__all__ = ["PlantedWorld", "plant", "standardised"]

Latents = Float[np.ndarray, "stimuli dimensions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedWorld:
    """Stimuli with simulated responses whose origin is known.

    Args:
        stimuli: what a model reads.
        assemblies: one a simulated subject; each voxel's `ceiling` is the exact Pearson r between its noise-free
            signal and its response that the planted noise allows.
        truth: ROI -> the latents that its voxels follow, stimuli x dimensions, each column standardised.
        expected: ROI -> in words, which layers should come to resemble it, and when.
    """

    stimuli: StimulusSet
    assemblies: tuple[Assembly, ...]
    truth: Mapping[str, Latents]
    expected: Mapping[str, str]


def standardised(latents: Latents) -> Float[np.ndarray, "stimuli kept"]:
    """Columns with mean 0 and variance 1; constant columns are dropped."""
    centred = latents - latents.mean(axis=0)
    spread = centred.std(axis=0)
    out: Float[np.ndarray, "stimuli kept"] = centred[:, spread > 0] / spread[spread > 0]
    return out


def plant(
    name: str,
    stimulus_ids: tuple[str, ...],
    truth: Mapping[str, Latents],
    *,
    rng: np.random.Generator,
    n_subjects: int = 4,
    n_voxels: int = 40,
) -> tuple[Assembly, ...]:
    """Simulate subjects.

    A voxel is signal + noise. The signal is a random mix of its ROI's latents, which each subject weights in a way of
    its own (log-normal, sigma .3); its share of the variance is drawn between .3 and .7 for each voxel.

    Args:
        name: of the assemblies.
        stimulus_ids: one per row of every latent.
        truth: ROI -> latents, stimuli x dimensions, standardised.
        rng: all randomness.
        n_subjects: how many subjects.
        n_voxels: a ROI and subject.

    Returns:
        One assembly a subject, all ROIs side by side.
    """
    assemblies = []
    for subject in range(n_subjects):
        blocks, ceilings, labels = [], [], []
        for roi, latents in truth.items():
            responses, ceiling = _voxels(latents, rng, n_voxels)
            blocks.append(responses)
            ceilings.append(ceiling)
            labels += [roi] * n_voxels
        assemblies.append(
            Assembly(
                name=name,
                subject=f"simulated-{subject + 1}",
                stimulus_ids=stimulus_ids,
                responses=np.concatenate(blocks, axis=1),
                roi=tuple(labels),
                ceiling=np.concatenate(ceilings),
                ceiling_source="planted: square root of the signal's share of each voxel's variance",
            )
        )
    return tuple(assemblies)


def _voxels(
    latents: Latents, rng: np.random.Generator, n_voxels: int
) -> tuple[Float[np.ndarray, "stimuli voxels"], Float[np.ndarray, " voxels"]]:
    dimensions = latents.shape[1]
    own = latents * np.exp(0.3 * rng.standard_normal(dimensions))
    signal = standardised(own @ rng.standard_normal((dimensions, n_voxels)))
    share = rng.uniform(0.3, 0.7, size=n_voxels)
    noise = rng.standard_normal(signal.shape)
    return np.sqrt(share) * signal + np.sqrt(1 - share) * noise, np.sqrt(share)
