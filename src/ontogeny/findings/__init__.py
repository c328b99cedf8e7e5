"""Findings: the study's other questions, asked of records and of published tables.

cells.py        Cells: alignment by model, step, subject, ROI, layer and metric, out of records or tables
estimates.py    Estimate and Finding: a number with its interval, its null and what else would explain it
subjects.py     intervals and exact sign-flip tests over subjects, false discovery rate
regions.py      which regions a model resembles, how sure their order is, whether subjects agree
hierarchy.py    whether higher regions resemble deeper layers
when.py         which region and layer comes first in training, and in which order

    cubes.py      cells of one model as subjects x ROIs x layers     atlases.py    names, networks and orders of areas
    halves.py     half points, made one a ROI and one a layer        uncertain.py  rank correlation of what has errors
"""

from __future__ import annotations

from ontogeny.findings.atlases import HCP_MMP1, ORDERS, YEO_7, grouped, read_groups
from ontogeny.findings.cells import Cells
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.hierarchy import hierarchy
from ontogeny.findings.regions import contrast, gradient, of_published, regions
from ontogeny.findings.when import when

__all__ = [
    "HCP_MMP1",
    "ORDERS",
    "YEO_7",
    "Cells",
    "Estimate",
    "Finding",
    "contrast",
    "gradient",
    "grouped",
    "hierarchy",
    "of_published",
    "read_groups",
    "regions",
    "when",
]
