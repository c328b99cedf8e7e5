"""Findings: the study's other questions, asked of records and of published tables.

cells.py        Cells: alignment by model, step, subject, ROI, layer and metric, out of records or tables
estimates.py    Estimate and Finding: a number with its interval, its null and what else would explain it
subjects.py     intervals and exact sign-flip tests over subjects, false discovery rate
profiles.py     profiles over regions or networks, above chance; subjects summed up as estimates
depth.py        alignment over relative depth, and whether deep layers converge across modalities
convergence.py  distances between two modalities over depth, and their tests
scale.py        how the regional profile shifts with the kernel's width, or another scale
scales.py       a metric's scale out of its name; profiles at every scale
tables.py       published tables as cells
"""

from __future__ import annotations

from ontogeny.findings.cells import Cells
from ontogeny.findings.depth import depth
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.scale import scale
from ontogeny.findings.tables import published_depth, published_regions

__all__ = ["Cells", "Estimate", "Finding", "depth", "published_depth", "published_regions", "scale"]
