"""Findings: the study's other questions, asked of records and of published tables.

cells.py        Cells: alignment by model, step, subject, ROI, layer and metric, out of records or tables
estimates.py    Estimate and Finding: a number with its interval, its null and what else would explain it
subjects.py     intervals and exact sign-flip tests over subjects, false discovery rate
"""

from __future__ import annotations

from ontogeny.findings.cells import Cells
from ontogeny.findings.estimates import Estimate, Finding

__all__ = ["Cells", "Estimate", "Finding"]
