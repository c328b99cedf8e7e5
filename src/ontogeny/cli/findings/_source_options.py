"""What questions take in: records' folders or a published table, and which of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ontogeny.cli._vocabulary import Selection
from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

__all__ = ["Groups", "Order", "Publication", "Published", "Raw", "Scores", "cells_of", "groups_of", "order_of"]

Published = Annotated[Literal["shen2026"] | None, Parameter(help="tables of a publication instead")]
Raw = Annotated[bool, Parameter(help="values as they are, where the chance level is not known; the answer says so")]
Groups = Annotated[
    Path | None, Parameter(metavar="CSV", help="columns roi,network: ask of networks; else each region by itself")
]
Order = Annotated[str, Parameter(help="of regions, lowest first, A,B=C,D; or a name: ventral, networks")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A published table.

    Args:
        published: tables of a publication instead of records.
        modality: with --published: of which models.
    """

    published: Published = None
    modality: Literal["language", "vision"] = "language"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How scores are taken.

    Args:
        step: optimizer updates; each record's last where not given.
    """

    step: int | None = None
    raw: Raw = False


def cells_of(
    paths: Sequence[Path],
    which: Selection,
    published: Callable[[], Cells] | None = None,
    *,
    named: str | None = None,
    scores: Scores | None = None,
) -> tuple[Cells, str]:
    """The scores that the options ask for, and of which data.

    Args:
        paths: records' folders.
        which: columns.
        published: reads the publication's table, where the question has one.
        named: the publication that was asked for.
        scores: of one step per record: the one asked for, or its last; None: all steps.

    Raises:
        ConfigError: neither records nor a publication, or both.
        RecordError: no record there.
        DataError: no scores, or nothing of what was asked for.
    """
    from ontogeny.findings import Cells
    from ontogeny.record import Record

    if bool(paths) == bool(named):
        also = ", or --published shen2026, and not both" if published is not None else ""
        raise ConfigError(f"name records' folders{also}")
    if published is not None and named:
        cells, source = published(), named
    else:
        cells = Cells.of_records([Record(path) for path in paths], step=scores.step if scores else None)
        cells, source = cells.at_last_step() if scores else cells, ", ".join(str(path) for path in paths)
    return (cells.where(**which.lists) if which.lists else cells), source


def groups_of(groups: Path | None) -> dict[str, str] | None:
    """Region -> network of the file of --groups; None where none was named."""
    from ontogeny.findings import read_groups

    return None if groups is None else read_groups(groups)


def order_of(order: str) -> str | Sequence[str]:
    """A named order, or regions."""
    return order.split(",") if "," in order else order
