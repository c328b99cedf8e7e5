"""Parquet: how a table of scores lies in a file, and which rows of it are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny._atomic_write import atomic_write
from ontogeny.errors import RecordError
from ontogeny.record._storage.branches import WRITTEN
from ontogeny.record.arrow import arrow, to_list, to_table
from ontogeny.record.score import COLUMNS, TEXT

__all__ = ["Wanted", "rows_of", "with_order", "write_by_kind", "write_parquet"]

Wanted = Mapping[str, Collection[Any]]

_ROW_GROUP = 1 << 18
_PLAIN = {WRITTEN: "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}


def with_order(table: Any, start: int) -> Any:
    """The table with a column `written` before its own, counted from `start`."""
    return table.add_column(0, WRITTEN, arrow().array(np.arange(start, start + table.num_rows)))


def write_parquet(path: Path, tables: Iterable[Any]) -> None:
    """Write tables of scores one below the other, as they are.

    Raises:
        RecordError: the disk is full or the file cannot be written; `path` is as it was.
    """
    with atomic_write(path) as handle, _writer(handle, to_table([])) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=_ROW_GROUP)


def write_by_kind(handle: Any, table: Any) -> None:
    """Rows of each kind in row groups of their own, so that a question about one kind reads no other."""
    with _writer(handle, table) as writer:
        for kind in sorted(set(to_list(table.column("kind")))):
            writer.write_table(table.filter(arrow("pyarrow.compute").field("kind") == kind), row_group_size=_ROW_GROUP)


def _writer(handle: Any, like: Any) -> Any:
    plain = {name: how for name, how in _PLAIN.items() if name in like.column_names}
    coded = [name for name in like.column_names if name not in plain]
    options = {"compression": "zstd", "use_dictionary": coded, "column_encoding": plain, "store_schema": False}
    return arrow("pyarrow.parquet").ParquetWriter(handle, like.schema, **options)


def rows_of(path: Path, filters: Wanted, columns: Sequence[str]) -> Any:
    """The rows that are wanted, in the order of the file; row groups without any are not read.

    Args:
        path: the file.
        filters: column -> values, of the column's own type.
        columns: which are read.

    Raises:
        RecordError: a column is missing, or it is no file of this kind.
    """
    parquet, compute = arrow("pyarrow.parquet"), arrow("pyarrow.compute")
    try:
        schema = parquet.read_schema(path)
        if missing := {WRITTEN, *COLUMNS}.difference(schema.names):
            raise RecordError(f"{path} lacks the columns {sorted(missing)}; restore the file from a copy")
        wanted = [
            compute.field(name).isin(arrow().array(list(values), schema.field(name).type))
            for name, values in filters.items()
        ]
        options = {"read_dictionary": list(TEXT), "use_threads": False, "partitioning": None}
        return parquet.read_table(path, columns=list(columns), filters=_all(wanted), **options)
    except (arrow().ArrowException, OSError, TypeError) as error:
        raise RecordError(f"{path} cannot be read ({error}); restore the file from a copy") from error


def _all(conditions: Sequence[Any]) -> Any:
    """All of them; None where there are none."""
    return reduce(and_, conditions) if conditions else None
