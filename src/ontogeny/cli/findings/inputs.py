"""What depth and scale take in: records' folders or a published table, networks of regions, and what to choose."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

__all__ = ["add_inputs", "cells_of", "chosen", "groups_of"]

_CHOICES = ("benchmark", "model", "layer", "pooling", "subject")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The positional records, --published, --groups, and the options that choose rows."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="RECORD", help="records' folders, one a model")
    parser.add_argument("--published", choices=["shen2026"], default=None, help="tables of a publication instead")
    parser.add_argument(
        "--groups", type=Path, default=None, metavar="CSV", help="columns roi,network (default: each region by itself)"
    )
    parser.add_argument("--step", type=int, default=None, help="probed step (default: the last of each record)")
    for name in _CHOICES:
        parser.add_argument(f"--{name}", nargs="+", default=None, metavar="NAME", help="only these, as in the record")
    parser.add_argument(
        "--chance-unknown",
        action="store_true",
        help="take biased CKA without its chance level as it is; the answer says so (published tables: always)",
    )


def cells_of(arguments: argparse.Namespace) -> Cells:
    """The cells of the records, of one step each, with what was asked for.

    Raises:
        ConfigError: neither records nor a publication, or both.
        RecordError: no record there.
        DataError: no scores, or nothing of what was asked for.
    """
    from ontogeny.findings import Cells
    from ontogeny.series import Record

    if bool(arguments.paths) == bool(arguments.published):
        raise ConfigError("give records' folders, or --published shen2026, and not both")
    cells = Cells.of_records([Record.open(path) for path in arguments.paths], step=arguments.step)
    if arguments.step is None:
        last: dict[str, int] = {}
        for model, step in zip(cells.model.tolist(), cells.step.tolist(), strict=True):
            last[model] = max(step, last.get(model, step))
        cells = cells.only(cells.step == [last[model] for model in cells.model.tolist()])
    return chosen(cells, arguments)


def chosen(cells: Cells, arguments: argparse.Namespace) -> Cells:
    """The rows that the options ask for."""
    asked = {name: getattr(arguments, name) for name in _CHOICES if getattr(arguments, name)}
    return cells.where(**asked) if asked else cells


def groups_of(path: Path | None) -> dict[str, str] | None:
    """Region -> network out of a CSV file with columns roi and network.

    Raises:
        ConfigError: no such file, other columns, or a region twice.
    """
    if path is None:
        return None
    if not path.is_file():
        raise ConfigError(f"--groups: there is no file {path}; it is a CSV with columns roi,network")
    with path.open(newline="", encoding="utf-8") as handle:
        rows: Sequence[dict[str, Any]] = list(csv.DictReader(handle))
    if not rows or not {"roi", "network"} <= set(rows[0]):
        raise ConfigError(f"--groups {path}: expected columns roi,network, got {list(rows[0]) if rows else 'no rows'}")
    out: dict[str, str] = {}
    for row in rows:
        if out.setdefault(row["roi"], row["network"]) != row["network"]:
            raise ConfigError(
                f"--groups {path}: region {row['roi']!r} is in {out[row['roi']]!r} and {row['network']!r}"
            )
    return out
