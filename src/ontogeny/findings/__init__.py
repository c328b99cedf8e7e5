"""Findings: the study's other questions, asked of records and of published tables.

across_models.py   do better models align better, and what is left given their size?
modality.py        does one modality align more than another?
regions.py         which regions a model resembles, how sure their order is, whether subjects agree
hierarchy.py       whether higher regions resemble deeper layers
depth.py           alignment over relative depth, and whether deep layers converge across modalities
scale.py           how the regional profile shifts with the kernel's width, or another scale
rise_order.py      which region and layer comes first in training, and in which order
estimates.py       Estimate and Finding: a number with its interval, its null and what else would explain it
published/         published series and tables, with their source and caveats

data/   what they are asked of
    cells.py                 Cells: alignment by model, step, subject, ROI, layer and metric; chance taken off
                             (`levels`)
    published_cells.py       published tables as cells
    region_orders.py         names, networks and orders of areas
    model_columns.py         Models: finished models as columns, out of tables
    models_from_records.py   the same, out of records

statistics/   how they are answered
    subject_agreement.py    means over subjects with t intervals and exact sign flips, false discovery rate
    _score_array.py         cells as subjects x ROIs x layers; the layer that is best in the other subjects
    _model_correlation.py   correlation over models that come in families: partial, intervals over families
    _rank_tests.py          rank correlations and their permutations, also of what has errors
    _region_profiles.py     profiles over regions or networks: how alike they are
    _convergence.py         distances between two modalities over depth, and their tests
    metric_scales.py        a metric's scale out of its name; profiles at every scale
    _half_rises.py          half points, made one per ROI and one per layer
"""

from __future__ import annotations

from ontogeny.findings.across_models import across_models
from ontogeny.findings.data.cells import Cells
from ontogeny.findings.data.model_columns import Models
from ontogeny.findings.data.models_from_records import models_of_records
from ontogeny.findings.data.published_cells import published_depth, published_regions
from ontogeny.findings.data.region_orders import HCP_MMP1, ORDERS, YEO_7, grouped, read_groups
from ontogeny.findings.depth import depth
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.hierarchy import hierarchy
from ontogeny.findings.modality import modality_difference
from ontogeny.findings.regions import contrast, gradient, regions
from ontogeny.findings.rise_order import when
from ontogeny.findings.scale import scale

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
