"""Findings: the study's other questions, asked of records and of published tables.

across.py       do better models align better, and what is left given their size?
modality.py     does one modality align more than another?
regions.py      which regions a model resembles, how sure their order is, whether subjects agree
hierarchy.py    whether higher regions resemble deeper layers
depth.py        alignment over relative depth, and whether deep layers converge across modalities
scale.py        how the regional profile shifts with the kernel's width, or another scale
when.py         which region and layer comes first in training, and in which order
estimates.py    Estimate and Finding: a number with its interval, its null and what else would explain it

data/           what they are asked of
    cells.py        Cells: alignment by model, step, subject, ROI, layer and metric; chance taken off (`levels`)
    tables.py       published tables as cells
    atlases.py      names, networks and orders of areas
    model_columns.py, own_models.py    Models: finished models as columns, out of tables or records

statistics/     how they are answered
    subjects.py     means over subjects with t intervals and exact sign flips, false discovery rate
    cubes.py        cells as subjects x ROIs x layers; the layer that is best in the other subjects, and its jackknife
    correlation.py  correlation over models that come in families: partial, intervals over families
    uncertain.py    rank correlations and their permutations, also of what has errors
    profiles.py     profiles over regions or networks: how alike they are
    convergence.py  distances between two modalities over depth, and their tests
    scales.py       a metric's scale out of its name; profiles at every scale
    halves.py       half points, made one a ROI and one a layer
"""

from __future__ import annotations

from ontogeny.findings.across import across_models
from ontogeny.findings.data.atlases import HCP_MMP1, ORDERS, YEO_7, grouped, read_groups
from ontogeny.findings.data.cells import Cells
from ontogeny.findings.data.model_columns import Models
from ontogeny.findings.data.own_models import models_of_records
from ontogeny.findings.data.tables import published_depth, published_regions
from ontogeny.findings.depth import depth
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.hierarchy import hierarchy
from ontogeny.findings.modality import modality_difference
from ontogeny.findings.regions import contrast, gradient, regions
from ontogeny.findings.scale import scale
from ontogeny.findings.when import when

__all__ = [
    "HCP_MMP1",
    "ORDERS",
    "YEO_7",
    "Cells",
    "Estimate",
    "Finding",
    "Models",
    "across_models",
    "contrast",
    "depth",
    "gradient",
    "grouped",
    "hierarchy",
    "modality_difference",
    "models_of_records",
    "published_depth",
    "published_regions",
    "read_groups",
    "regions",
    "scale",
    "when",
]
