"""`ontogeny findings QUESTION`: the study's other questions; one file a question, each with `add_parser`."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

from ontogeny.cli.findings import across, depth, hierarchy, modality, regions, scale, when

__all__ = ["add_parser"]

_ABOUT = """\
The study's other questions, asked of records (or of tables): each answer states its estimate, its interval and what
else would explain it.

  ontogeny findings across --published shen2026                              do better models align better?
  ontogeny findings modality runs/gpt runs/vit --pair-benchmarks             does language align more than vision?
  ontogeny findings regions runs/a --metric ridge-gcv                        which regions does a model resemble most?
  ontogeny findings hierarchy runs/a --metric ridge-gcv --order V1,V2,V4,IT  do higher regions resemble deeper layers?
  ontogeny findings depth runs/gpt runs/vit --metric ridge-gcv               do deep layers of both modalities converge?
  ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68      where does alignment move with the scale?
  ontogeny findings when runs/a --metric ridge-gcv --order V1,V2,V4,IT       which region comes first in training?

--metric, --benchmark, --pooling, --layer, --subject, --rois and --step choose scores. Chance is taken off where it is
known; where it is not, a question is refused unless --raw is said. --out FOLDER writes tables and pictures.
"""
_QUESTIONS: tuple[ModuleType, ...] = (across, modality, regions, hierarchy, depth, scale, when)


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "findings",
        help="better models, modalities, regions, depth, scale, when",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")
    for question in _QUESTIONS:
        question.add_parser(questions)
