"""What questions take in: records' folders or a published table, and which of their scores; one set of options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

__all__ = [
    "add_groups",
    "add_modality",
    "add_order",
    "add_raw",
    "add_scores",
    "add_seed",
    "add_source",
    "cells_of",
    "groups_of",
]

_CHOICES = {
    "metric": "metric",
    "benchmark": "benchmark",
    "pooling": "pooling",
    "layer": "layer",
    "subject": "subject",
    "rois": "roi",
}


def add_source(parser: argparse.ArgumentParser, *, published: bool = True, what: str = "RECORD") -> None:
    """The positional records and --published."""
    words = "records' folders, each a model" if what == "RECORD" else "one CSV table, or records' folders"
    parser.add_argument("paths", nargs="*", type=Path, metavar=what, help=words)
    if published:
        parser.add_argument("--published", choices=["shen2026"], default=None, help="tables of a publication instead")


def add_scores(parser: argparse.ArgumentParser, *, step: bool = True) -> None:
    """What chooses among scores, --raw included."""
    choice = parser.add_argument_group("which scores")
    for name in _CHOICES:
        choice.add_argument(f"--{name}", nargs="+", default=None, metavar="NAME", help="only these, as in the record")
    if step:
        choice.add_argument("--step", type=int, default=None, help="optimizer updates (default: each record's last)")
    add_raw(parser)


def add_raw(parser: argparse.ArgumentParser) -> None:
    """--raw: chance left in where it is not known, which is refused otherwise."""
    parser.add_argument(
        "--raw", action="store_true", help="values as they are, where the chance level is not known; the answer says so"
    )


def add_groups(parser: argparse.ArgumentParser) -> None:
    """--groups: networks of regions."""
    words = "columns roi,network: ask of networks (default: each region by itself)"
    parser.add_argument("--groups", type=Path, default=None, metavar="CSV", help=words)


def add_modality(parser: argparse.ArgumentParser) -> None:
    """--modality: which of a publication's tables."""
    words = "with --published: of which models (default: %(default)s)"
    parser.add_argument("--modality", choices=("language", "vision"), default="language", help=words)


def add_order(parser: argparse.ArgumentParser, default: str | None) -> None:
    """--order: a named one, or regions by comma."""
    words = "of regions, lowest first, A,B=C,D; or a name: ventral, networks"
    parser.add_argument("--order", type=_order, default=default, help=f"{words} (default: {default or 'none'})")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed."""
    parser.add_argument("--seed", type=int, default=0, help="of permutations and draws (default: %(default)s)")


def cells_of(
    arguments: argparse.Namespace, published: Callable[[], Cells] | None = None, *, last: bool = True
) -> tuple[Cells, str]:
    """The scores that the options ask for, and of which data.

    Args:
        arguments: with the options of `add_source` and `add_scores`.
        published: reads the publication's table, where the question has one.
        last: of one step a record: the one asked for, or its last.

    Raises:
        ConfigError: neither records nor a publication, or both.
        RecordError: no record there.
        DataError: no scores, or nothing of what was asked for.
    """
    from ontogeny.findings import Cells
    from ontogeny.record import Record

    paths, asked = arguments.paths, published is not None and arguments.published
    if bool(paths) == bool(asked):
        also = ", or --published shen2026, and not both" if published is not None else ""
        raise ConfigError(f"name records' folders{also}")
    if published is not None and asked:
        cells, source = published(), str(arguments.published)
    else:
        cells = Cells.of_records([Record(path) for path in paths], step=arguments.step if last else None)
        cells, source = cells.at_last_step() if last else cells, ", ".join(str(path) for path in paths)
    wanted = {column: getattr(arguments, name) for name, column in _CHOICES.items() if getattr(arguments, name)}
    return (cells.where(**wanted) if wanted else cells), source


def groups_of(arguments: argparse.Namespace) -> dict[str, str] | None:
    """Region -> network of the file of --groups; None where none was named."""
    from ontogeny.findings import read_groups

    return None if arguments.groups is None else read_groups(arguments.groups)


def _order(text: str) -> str | Sequence[str]:
    return text.split(",") if "," in text else text
