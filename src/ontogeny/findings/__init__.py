"""Findings: the study's other questions, asked of records and of published tables.

cells.py           Cells: alignment by model, step, subject, ROI, layer and metric, out of records or tables
estimates.py       Estimate and Finding: a number with its interval, its null and what else would explain it
subjects.py        intervals and exact sign-flip tests over subjects, false discovery rate
correlation.py     correlation over models that come in families: partial, intervals over families
model_columns.py   Models: finished models as columns, one row a model
own_models.py      records of one's own as models
across.py          do better models align better?
chosen_layer.py    one value a model, subject and region, of a layer that others chose
modality_pairs.py  cells of two modalities that can be paired
modality.py        does one modality align more than another?
"""

from __future__ import annotations

from ontogeny.findings.across import across_models
from ontogeny.findings.cells import Cells
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.modality import modality_difference
from ontogeny.findings.modality_pairs import published_regions
from ontogeny.findings.model_columns import Models
from ontogeny.findings.own_models import models_of_records

__all__ = [
    "Cells",
    "Estimate",
    "Finding",
    "Models",
    "across_models",
    "modality_difference",
    "models_of_records",
    "published_regions",
]
