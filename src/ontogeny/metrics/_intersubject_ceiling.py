"""Ceilings from other subjects: what one subject's responses say about another's, in the metric's own unit.

For every subject and ROI (Nili et al. 2014, PLoS Comput Biol 10:e1003553, applied to any comparison):

    lower   compare(mean of the other subjects, this subject)
    upper   compare(mean of all subjects, this subject included, this subject)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import Square
from ontogeny.brain import Target

__all__ = ["Bounds", "bounds_of_cosines", "same_roi", "subject_bounds"]

Bounds = tuple[float | None, float | None]


def same_roi(targets: Sequence[Target]) -> list[list[int]]:
    """Places of the targets, region by region: all subjects who have it."""
    mates: dict[str, list[int]] = {}
    for index, target in enumerate(targets):
        mates.setdefault(target.roi, []).append(index)
    return list(mates.values())


def subject_bounds(
    targets: Sequence[Target],
    summaries: Sequence[Float[np.ndarray, "..."]],
    compare: Callable[[Float[np.ndarray, "..."], Float[np.ndarray, "..."]], float],
) -> list[Bounds]:
    """Lower and upper ceiling of each target, over the subjects who have its ROI.

    Args:
        targets: one ROI of one subject each.
        summaries: what the metric compares (ranked RDM, centred kernel, ...), one a target, on one scale so that
            their mean over subjects makes sense.
        compare: the metric on two summaries.

    Returns:
        (lower, upper) a target; (None, None) where only one subject has the ROI.
    """
    out: list[Bounds] = [(None, None)] * len(targets)
    for group in same_roi(targets):
        if len(group) < 2:
            continue
        total = reduce(np.add, (summaries[i] for i in group))
        for index in group:
            others = (total - summaries[index]) / (len(group) - 1)
            out[index] = compare(others, summaries[index]), compare(total / len(group), summaries[index])
    return out


def bounds_of_cosines(cosines: Square) -> list[Bounds]:
    """The same where the metric is the cosine of unit vectors, from their cosines alone (subjects x subjects)."""
    n = len(cosines)
    if n < 2:
        return [(None, None)] * n
    to_all, length = cosines.sum(axis=0), cosines.sum()
    to_others = to_all - cosines.diagonal()
    others = np.sqrt(length - 2 * to_all + cosines.diagonal())
    return list(zip((to_others / others).tolist(), (to_all / np.sqrt(length)).tolist(), strict=True))
