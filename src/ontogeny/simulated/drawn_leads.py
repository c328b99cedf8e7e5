"""Worlds with a lead in these stimuli only, in these subjects only, or in all there could be: features and responses.

A model learns what stimuli are made of; each stimulus has two halves of meaning, one learned early and one late. Groups
of stimuli differ in when they are learned, subjects in which half their responses follow, runs in their speed. So the
half point of alignment moves with the draw of each, round a value that belongs to the population alone, and performance
is half-way there, plus the lead that is planted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["DrawnWorld", "drawn_world"]

_MIDDLE, _WIDTH, _APART = 2.2, 0.2, 0.4
_NOISE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnWorld:
    """One draw of stimuli, subjects and runs.

    Args:
        steps: optimizer updates.
        features: one array per run.
        responses: one array per subject.
        groups: of the stimuli.
        pace: of each run: by how much it is later, log10 steps.
        rng: what performance is drawn with.
    """

    steps: Float[np.ndarray, " steps"]
    features: tuple[Float[np.ndarray, "steps stimuli features"], ...]
    responses: tuple[Float[np.ndarray, "stimuli voxels"], ...]
    groups: tuple[str, ...]
    pace: tuple[float, ...]
    rng: np.random.Generator

    def performance(self, run: int, half: float, own: float = 0.0) -> Float[np.ndarray, " steps"]:
        """A rise from 0 to 1 with noise.

        Args:
            run: whose pace it shares.
            half: log10(step + 1) at half of it, for a run of middle pace.
            own: standard deviation of what is this run's and performance's alone, log10 steps.
        """
        at = half + self.pace[run] + own * self.rng.standard_normal()
        noise = _NOISE * self.rng.standard_normal(len(self.steps))
        out: np.ndarray = 1 / (1 + np.exp(-(np.log10(self.steps + 1) - at) / _WIDTH)) + noise
        return out


def drawn_world(
    *,
    stimuli: float = 0.0,
    subjects: float = 0.0,
    runs: float = 0.0,
    size: tuple[int, int, int, int] = (1, 6, 12, 5),
    n_steps: int = 16,
    seed: int = 0,
) -> DrawnWorld:
    """Draw a world.

    Args:
        stimuli: standard deviation over groups of when they are learned, log10 steps.
        subjects: standard deviation over subjects of the share of the early half in their responses (mean .5).
        runs: standard deviation of the runs' pace, log10 steps.
        size: how many runs, subjects, groups, and stimuli in each group.
        n_steps: checkpoints, log-spaced from 0 to 10,000.
        seed: of everything.
    """
    n_runs, n_subjects, n_groups, each = size
    rng = np.random.default_rng(seed)
    n, u = n_groups * each, np.linspace(0.3, 4, n_steps)
    meaning = rng.standard_normal((n, 8))
    late = np.repeat(stimuli * rng.standard_normal(n_groups), each)
    halves = np.repeat([-_APART, _APART], 4)
    shares = np.clip(0.5 + subjects * rng.standard_normal(n_subjects), 0.05, 0.95)
    pace = runs * rng.standard_normal(n_runs)
    made = []
    for k in range(n_runs):
        at = _MIDDLE + pace[k] + late[:, None] + halves
        known = 1 / (1 + np.exp(-(u[:, None, None] - at) / _WIDTH))
        start = rng.standard_normal((n, 8))
        jitter = 0.25 * rng.standard_normal((n_steps, n, 8))
        made.append(np.sqrt(known) * meaning + np.sqrt(1 - known) * start + jitter)
    read = [np.sqrt(np.repeat([2 * share, 2 * (1 - share)], 4)) for share in shares]
    responses = [(meaning * w) @ rng.standard_normal((8, 24)) + 1.5 * rng.standard_normal((n, 24)) for w in read]
    return DrawnWorld(
        steps=10**u - 1,
        features=tuple(made),
        responses=tuple(responses),
        groups=tuple(f"group {i}" for i in np.repeat(np.arange(n_groups), each)),
        pace=tuple(pace.tolist()),
        rng=rng,
    )
