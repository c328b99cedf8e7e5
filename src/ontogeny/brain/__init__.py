"""Brain: what the brain did.

assembly.py        Assembly and Geometry: one subject's responses to a stimulus set; Target: one ROI of one subject
noise_ceiling.py   how high a correlation the noise in the responses allows, from repeats
"""

from __future__ import annotations

from ontogeny.brain.assembly import (
    Assembly,
    Geometry,
    Target,
    targets,
)

__all__ = ["Assembly", "Geometry", "Target", "targets"]
