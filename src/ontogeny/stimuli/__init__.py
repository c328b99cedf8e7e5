"""Stimuli: what is shown.

stimulus_set.py   StimulusSet: ordered stimuli with stable ids; pictures as they are seen
confounds.py      what of the stimuli themselves may explain a score: position, surface, nuisance
"""

from __future__ import annotations

from ontogeny.stimuli.confounds import (
    nuisance_features,
    position_features,
    surface_features,
)
from ontogeny.stimuli.stimulus_set import (
    Chosen,
    Modality,
    StimulusSet,
    as_rgb,
    check_ids,
    pixels_of,
    upright,
)

__all__ = [
    "Chosen",
    "Modality",
    "StimulusSet",
    "as_rgb",
    "check_ids",
    "nuisance_features",
    "pixels_of",
    "position_features",
    "surface_features",
    "upright",
]
