"""The curves of several runs of one model as one group, with the run in the place of the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ontogeny.record.curve_groups import CurveGroup
from ontogeny.record.curve_means import Reference, mean_of, means_over

__all__ = ["over_runs"]


def over_runs(groups: Sequence[CurveGroup], names: Sequence[str]) -> CurveGroup | None:
    """Means over runs; None for a single run, and where the runs have other layers: models are not averaged.

    Args:
        groups: the same region of each run.
        names: of the runs, which stand in the place of subjects.
    """
    first = groups[0]
    if len(groups) < 2 or any(group.layers != first.layers for group in groups):
        return None
    steps = tuple(sorted({step for group in groups for step in group.steps}))
    each = np.stack([_at(group.means.value, group.steps, steps) for group in groups])
    stimuli = np.stack([_at(group.n_stimuli.astype(np.float64), group.steps, steps) for group in groups])
    fewest = np.where(np.isfinite(stimuli), stimuli, np.inf).min(axis=0)
    return replace(
        first,
        steps=steps,
        subjects=tuple(names),
        each=each,
        means=means_over(each),
        n_stimuli=np.where(np.isfinite(fewest), fewest, 0).astype(np.int64),
        stated=_stated(groups),
        chance=mean_of(group.chance for group in groups),
        ceiling=mean_of(group.ceiling for group in groups),
        ceiling_lower=mean_of(group.ceiling_lower for group in groups),
    )


def _at(
    values: Float[np.ndarray, "rows steps"], own: Sequence[int], steps: Sequence[int]
) -> Float[np.ndarray, "rows all_steps"]:
    """On the steps of all runs; NaN where this one has none."""
    out = np.full((len(values), len(steps)), np.nan)
    out[:, np.searchsorted(steps, own)] = values
    return out


def _stated(groups: Sequence[CurveGroup]) -> Mapping[str, Reference]:
    """Controls and baselines that all runs have."""
    out = {}
    for name in (name for name in groups[0].stated if all(name in group.stated for group in groups)):
        found = [group.stated[name] for group in groups]
        steps = tuple(sorted({step for one in found for step in one.steps}))
        each = np.concatenate([_at(one.mean[None], one.steps, steps) for one in found])
        out[name] = Reference(steps=steps, each=each)
    return out
