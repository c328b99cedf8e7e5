"""The words that mean the same on every verb, declared once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

__all__ = ["AsJson", "Columns", "Names", "Out", "Pairs", "Record", "Records", "Seed", "Selection"]

_SEVERAL = Parameter(consume_multiple=1)
Names = Annotated[tuple[str, ...], _SEVERAL, Parameter(metavar="NAME")]
Columns = Annotated[tuple[str, ...], _SEVERAL, Parameter(metavar="COLUMN")]
Pairs = Annotated[tuple[str, ...], _SEVERAL, Parameter(metavar="KEY=VALUE")]
Record = Annotated[Path, Parameter(metavar="RECORD", help="a record's folder")]
Records = Annotated[tuple[Path, ...], Parameter(metavar="RECORD", help="records' folders, each a model")]
Out = Annotated[Path | None, Parameter(metavar="PATH")]
AsJson = Annotated[bool, Parameter(name="--json", help="print the result as JSON")]
Seed = Annotated[int, Parameter(help="of everything that is drawn")]


@Parameter(name="*", group="Which scores")
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which scores of a record, by its columns. Of several values each will do.

    Args:
        benchmark: only these benchmarks, as written in the record.
        metric: only these metrics.
        roi: only these regions.
        layer: only these layers.
        pooling: only these poolings.
        subject: only these subjects.
    """

    benchmark: Names = ()
    metric: Names = ()
    roi: Names = ()
    layer: Names = ()
    pooling: Names = ()
    subject: Names = ()

    @property
    def where(self) -> dict[str, Any]:
        """Column -> the one value, or a list of several, of the columns that were named."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values[0] if len(values) == 1 else list(values) for name, values in named.items() if values}

    @property
    def lists(self) -> dict[str, list[str]]:
        """The same, always a list."""
        return {name: [value] if isinstance(value, str) else value for name, value in self.where.items()}
