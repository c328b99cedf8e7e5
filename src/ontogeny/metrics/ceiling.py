"""Ceilings from other subjects: what one subject's responses say about another's, in the metric's own unit.

For every subject and ROI (Nili et al. 2014, PLoS Comput Biol 10:e1003553, applied to any comparison):

    lower   compare(mean of the other subjects, this subject)
    upper   compare(mean of all subjects, this subject included, this subject)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from ontogeny.assembly import Target

__all__ = ["Bounds", "subject_bounds"]

Bounds = tuple[float | None, float | None]


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
    mates: dict[str, list[int]] = {}
    for index, target in enumerate(targets):
        mates.setdefault(target.roi, []).append(index)
    out: list[Bounds] = []
    for index, target in enumerate(targets):
        group = mates[target.roi]
        if len(group) < 2:
            out.append((None, None))
            continue
        total = np.sum([summaries[i] for i in group], axis=0)
        others = (total - summaries[index]) / (len(group) - 1)
        out.append((compare(others, summaries[index]), compare(total / len(group), summaries[index])))
    return out
