"""Findings: the study's other questions, asked of records and of published tables.

across.py       do better models align better, and what is left given their size?
modality.py     does one modality align more than another?
regions.py      which regions a model resembles, how sure their order is, whether subjects agree
hierarchy.py    whether higher regions resemble deeper layers
depth.py        alignment over relative depth, and whether deep layers converge across modalities
scale.py        how the regional profile shifts with the kernel's width, or another scale
when.py         which region and layer comes first in training, and in which order

    cells.py        Cells: alignment by model, step, subject, ROI, layer and metric, out of records or tables
    tables.py       published tables as cells
    estimates.py    Estimate and Finding: a number with its interval, its null and what else would explain it
    subjects.py     intervals and exact sign-flip tests over subjects, false discovery rate
    atlases.py      names, networks and orders of areas
    correlation.py  correlation over models that come in families: partial, intervals over families
    model_columns.py, own_models.py    Models: finished models as columns, out of tables or records
    chosen_layer.py, modality_pairs.py    one value a model, subject and region, of two modalities that can be paired
    cubes.py        cells of one model as subjects x ROIs x layers
    profiles.py     profiles over regions or networks, above chance; subjects summed up as estimates
    convergence.py  distances between two modalities over depth, and their tests
    scales.py       a metric's scale out of its name; profiles at every scale
    halves.py       half points, made one a ROI and one a layer
    uncertain.py    rank correlation of what has errors
"""

from __future__ import annotations

from ontogeny.findings.across import across_models
from ontogeny.findings.atlases import HCP_MMP1, ORDERS, YEO_7, grouped, read_groups
from ontogeny.findings.cells import Cells
from ontogeny.findings.depth import depth
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.hierarchy import hierarchy
from ontogeny.findings.modality import modality_difference
from ontogeny.findings.model_columns import Models
from ontogeny.findings.own_models import models_of_records
from ontogeny.findings.regions import contrast, gradient, regions
from ontogeny.findings.scale import scale
from ontogeny.findings.tables import published_depth, published_regions
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
