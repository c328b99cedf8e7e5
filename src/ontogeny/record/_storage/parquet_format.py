"""Parquet: how a table of scores lies in a file, and which rows of it are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny._atomic_write import atomic_write
from ontogeny.errors import RecordError
from ontogeny.record._storage.branches import WRITTEN
from ontogeny.record.arrow import arrow, to_list, to_table
from ontogeny.record.score import COLUMNS, TEXT

__all__ = ["Wanted", "groups_of", "matching", "with_order", "write_by_kind", "write_parquet"]

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
            writer.write_table(matching(table, {"kind": [kind]}), row_group_size=_ROW_GROUP)


def _writer(handle: Any, like: Any) -> Any:
    plain = {name: how for name, how in _PLAIN.items() if name in like.column_names}
    coded = [name for name in like.column_names if name not in plain]
    options = {"compression": "zstd", "use_dictionary": coded, "column_encoding": plain, "store_schema": False}
    return arrow("pyarrow.parquet").ParquetWriter(handle, like.schema, **options)


def groups_of(path: Path, filters: Wanted, columns: Sequence[str]) -> list[Any]:
    """The tables, a row group each, that may hold rows of what is wanted; those of others are not read.

    Args:
        path: the file.
        filters: column -> values, of the column's own type.
        columns: which are read.

    Raises:
        RecordError: a column is missing, or it is no file of this kind.
    """
    try:
        with arrow("pyarrow.parquet").ParquetFile(path, read_dictionary=list(TEXT)) as file:
            missing = {WRITTEN, *COLUMNS}.difference(file.schema_arrow.names)
            if missing:
                raise RecordError(f"{path} lacks the columns {sorted(missing)}; restore the file from a copy")
            groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), filters)]
            return [matching(file.read_row_group(i, columns=list(columns)), filters) for i in groups]
    except (arrow().ArrowException, OSError, TypeError) as error:
        raise RecordError(f"{path} cannot be read ({error}); restore the file from a copy") from error


def _may_hold(group: Any, filters: Wanted) -> bool:
    """Whether a row group's smallest and largest values leave room for what is wanted."""
    for name, values in filters.items():
        known = group.column(1 + COLUMNS.index(name)).statistics
        if known is None or not known.has_min_max:
            continue
        if not any(known.min <= value <= known.max for value in values):
            return False
    return True


def matching(table: Any, filters: Wanted) -> Any:
    """The rows whose columns have one of the values wanted."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    for name, values in filters.items():
        column = table.column(name)
        if name in TEXT:
            column = table.select([name]).unify_dictionaries().column(0).combine_chunks()
            among = compute.is_in(column.dictionary, value_set=pa.array(list(values), pa.string()))
            if compute.all(among).as_py():
                continue
            mask = among.take(column.indices)
        else:
            mask = compute.is_in(column, value_set=pa.array(list(values), column.type))
        table = table.filter(mask)
    return table
