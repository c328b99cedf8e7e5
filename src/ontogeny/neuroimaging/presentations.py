"""Presentations: one subject's responses before repeats are averaged; what betas and blocks become first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import PerVoxel
from ontogeny._display import one_line
from ontogeny.brain import Assembly
from ontogeny.brain.noise_ceiling import ceiling_from_repeats
from ontogeny.errors import DataError
from ontogeny.neuroimaging.run_preprocessing import average_repeats, keep_repeats, rows_of, zscore_runs
from ontogeny.neuroimaging.voxel_masks import Space

__all__ = ["Presentations", "Unusable", "checked", "voxelwise"]

Unusable = Literal["refuse", "drop"]
Method = Literal["ncsnr", "split-half"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Presentations:
    """One subject's responses, one row per presentation.

    Args:
        subject: whose.
        stimulus_ids: one per row; a stimulus that was shown again appears again.
        runs: one per row.
        responses: presentations x voxels.
        space: which voxels these are.
        dropped: reason -> how many voxels were left out for it.
    """

    subject: str
    stimulus_ids: tuple[str, ...]
    runs: tuple[str, ...]
    responses: Float[np.ndarray, "presentations voxels"]
    space: Space
    dropped: Mapping[str, int] = field(default_factory=dict)

    __repr__ = one_line

    def __post_init__(self) -> None:
        shape = (len(self.stimulus_ids), len(self.space))
        if self.responses.shape != shape or len(self.runs) != shape[0]:
            raise DataError(
                f"subject {self.subject!r}: expected presentations x voxels = {shape} and a run per presentation, got "
                f"{self.responses.shape} and {len(self.runs)} runs"
            )

    def zscored(self) -> Presentations:
        """Each voxel z-scored within each run.

        Raises:
            DataError: see `zscore_runs`.
        """
        return replace(self, responses=zscore_runs(self.responses, self.runs))

    def assembly(
        self, name: str, *, ceiling: PerVoxel | Method | None = None, ceiling_source: str = "not known"
    ) -> Assembly:
        """The mean over repeats, one row per stimulus in the order in which they first appear.

        Args:
            name: data set and measure.
            ceiling: highest Pearson r that the noise allows, one per voxel; or "ncsnr" or "split-half": made from the
                repeats, see `ontogeny.brain.noise_ceiling`.
            ceiling_source: how it was made, where it is given.

        Raises:
            DataError: too few stimuli were shown twice for a ceiling from repeats.
        """
        ids, means = average_repeats(self.responses, self.stimulus_ids)
        if isinstance(ceiling, str):
            ceiling, ceiling_source = ceiling_from_repeats(self.by_repeat()[1], ceiling)
        return Assembly(
            name=name,
            subject=self.subject,
            stimulus_ids=ids,
            responses=means,
            roi=self.space.roi,
            ceiling=ceiling,
            ceiling_source=ceiling_source,
        )

    def by_repeat(self) -> tuple[tuple[str, ...], Float[np.ndarray, "stimuli repeats voxels"]]:
        """Ids, and stimuli x repeats x voxels (NaN where a stimulus has fewer repeats), for ceilings."""
        return keep_repeats(self.responses, self.stimulus_ids)


def voxelwise(assembly: Assembly, space: Space) -> Assembly:
    """The same responses with each voxel a ROI of its own, so that a record holds a curve per voxel.

    The price is a row per voxel, layer, metric and step. `score_map` reads such a record as it reads one of ROIs.

    Raises:
        DataError: the space has other voxels.
    """
    if assembly.roi != space.roi:
        raise DataError(
            f"assembly {assembly.name!r} has {len(assembly.roi)} voxels, the space {len(space)} or other ROIs; take "
            "the space of the presentations that the assembly was made of"
        )
    return replace(assembly, roi=space.names)


def checked(
    responses: Float[np.ndarray, "rows voxels"], space: Space, runs: Sequence[str], unusable: Unusable
) -> tuple[Float[np.ndarray, "rows kept"], Space, dict[str, int]]:
    """Refuse or drop voxels that no metric can use: NaN or infinite somewhere, or constant within a run.

    Returns:
        Responses and space of the voxels that are left, and reason -> how many were dropped.

    Raises:
        DataError: there are such voxels and they are not to be dropped; or none is left.
    """
    if unusable not in ("refuse", "drop"):
        raise DataError(f"unusable is 'refuse' or 'drop', got {unusable!r}")
    bad = ~np.isfinite(responses).all(axis=0)
    still = np.zeros_like(bad)
    for rows in rows_of(runs).values():
        if len(rows) > 1:
            still |= (responses[rows] == responses[rows[0]]).all(axis=0)
    reasons = {"NaN or infinite": bad, "constant within a run": still & ~bad}
    found = {reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()}
    if not found:
        return responses, space, {}
    if unusable == "refuse":
        reason = next(iter(found))
        where = int(np.flatnonzero(reasons[reason])[0])
        raise DataError(
            f"{found[reason]} of {len(space)} voxels are {reason}, e.g. {space.names[where]!r}; "
            "are they outside the measured brain? Say unusable='drop' (--drop-bad-voxels) to leave them out, by reason"
        )
    keep = ~(bad | still)
    if not keep.any():
        raise DataError(f"no voxel of {len(space)} is left: {found}; do atlas and responses belong together?")
    return responses[:, keep], space.keep(keep), found
