"""Cells for a question: out of records' folders, or out of published tables; the options are the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

__all__ = ["add_choice", "chosen", "order_of"]

_COLUMNS = ("benchmark", "metric", "pooling")


def add_choice(parser: argparse.ArgumentParser, *, step: bool = True) -> None:
    """RECORD and what chooses among its scores."""
    parser.add_argument("record", nargs="?", type=Path, metavar="RECORD", help="a record's folder")
    choice = parser.add_argument_group("which scores of a record")
    for name in _COLUMNS:
        choice.add_argument(f"--{name}", default=None, help="as written in the record; needed where there are several")
    choice.add_argument("--rois", default=None, metavar="A,B,C", help="only these regions")
    if step:
        choice.add_argument("--step", type=int, default=None, help="optimizer updates (default: the last)")
    parser.add_argument(
        "--raw", action="store_true", help="values as they are, where the chance level is not known; the answer says so"
    )
    parser.add_argument("--seed", type=int, default=0, help="of permutations and draws (default: %(default)s)")


def chosen(arguments: argparse.Namespace, *, last: bool) -> Cells:
    """The record's alignment, narrowed to what the options say.

    Args:
        arguments: with the options of `add_choice`.
        last: only one step: the one asked for, or the last.

    Raises:
        ConfigError: no record was named.
        DataError: nothing matches.
    """
    from ontogeny.findings import Cells
    from ontogeny.series import Record

    if arguments.record is None:
        raise ConfigError("name a record's folder (or, where the question has it, --published shen2026)")
    cells = Cells.of_records([Record.open(arguments.record)], step=arguments.step if last else None)
    where: dict[str, Any] = {n: v for n in _COLUMNS if (v := getattr(arguments, n)) is not None}
    if arguments.rois is not None:
        where["roi"] = arguments.rois.split(",")
    cells = cells.where(**where) if where else cells
    return cells.where(step=int(cells.step.max())) if last else cells


def order_of(text: str) -> str | Sequence[str]:
    """A named order, or ROIs by comma, lowest first."""
    return text.split(",") if "," in text else text
