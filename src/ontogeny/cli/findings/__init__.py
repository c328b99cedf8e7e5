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
