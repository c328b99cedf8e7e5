"""Nuisance: features of the stimuli that no model made: what a layer is not credited with, or a space beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from ontogeny._arrays import digest
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.stimuli import StimulusSet, check_ids, nuisance_features

__all__ = ["Nuisance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nuisance:
    """Features of the stimuli that need no model, matched to stimuli by id.

    Args:
        name: short, part of the metric's name, e.g. "length".
        stimulus_ids: one id a row.
        values: stimuli x features, in any unit: each column is z-scored before use.

    Raises:
        DataError: sizes that do not fit, NaN, or no column that varies over the stimuli.
        AlignmentIdError: doubled ids.
    """

    name: str
    stimulus_ids: tuple[str, ...]
    values: Float[np.ndarray, "stimuli features"]

    def __post_init__(self) -> None:
        owner = f"nuisance {self.name!r}"
        check_ids(self.stimulus_ids, owner)
        if self.values.ndim != 2 or len(self.values) != len(self.stimulus_ids):
            raise DataError(
                f"{owner}: values should be stimuli x features with {len(self.stimulus_ids)} rows, one an id, "
                f"got {self.values.shape}"
            )
        if not np.isfinite(self.values).all():
            raise DataError(f"{owner}: the values hold NaN or infinity; fill them in or leave these columns out")
        if not (np.ptp(self.values, axis=0) > 0).any():
            raise DataError(f"{owner}: no column varies over the stimuli, so that there is nothing to account for")

    @override
    def __repr__(self) -> str:
        """Name and content, for this is part of a benchmark's fingerprint."""
        return f"Nuisance({self.name!r}, {digest(self.stimulus_ids, self.values)})"

    @classmethod
    def surface(cls, stimuli: StimulusSet) -> Nuisance:
        """The stimuli's own surface and position: see `ontogeny.stimuli.nuisance_features`."""
        return cls(name="surface", stimulus_ids=stimuli.ids, values=nuisance_features(stimuli))

    def about(self, stimuli: StimulusSet) -> Nuisance:
        """The rows of these stimuli, in their order.

        Raises:
            AlignmentIdError: a stimulus without a row.
            DataError: no column varies over these stimuli.
        """
        place = {stimulus: row for row, stimulus in enumerate(self.stimulus_ids)}
        missing = [s for s in stimuli.ids if s not in place]
        if missing:
            raise AlignmentIdError(
                f"nuisance {self.name!r} has no row for {len(missing)} of {len(stimuli)} stimuli of {stimuli.name!r}, "
                f"e.g. {missing[:3]}; leave these stimuli out or check how ids were made"
            )
        return replace(self, stimulus_ids=stimuli.ids, values=self.values[[place[s] for s in stimuli.ids]])

    def scaled(self) -> Float[np.ndarray, "stimuli varying"]:
        """Columns that vary, z-scored, over the root of their number: a mean sum of squares of 1 a stimulus."""
        values = self.values[:, np.ptp(self.values, axis=0) > 0].astype(np.float64)
        return np.asarray((values - values.mean(axis=0)) / values.std(axis=0) / np.sqrt(values.shape[1]))
