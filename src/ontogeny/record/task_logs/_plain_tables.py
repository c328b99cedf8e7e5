"""Tables of nobody known: CSV, Parquet, a DataFrame. What is missing is None in their rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, require
from ontogeny.record.task_logs.log import row_numbers

__all__ = ["csv_rows", "frame_rows", "is_frame", "parquet_rows"]


def csv_rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file with a line of names; its cells as text, None where they are empty.

    Raises:
        DataError: it cannot be read, two columns have one name, or a row is longer than the names.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            names = list(reader.fieldnames or ())
            rows: list[dict[Any, Any]] = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV: {error}") from error
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{file} has {names.count(name)} columns called {name!r}; give each its own name")
    other = next((mark for mark in (";", "\t") if len(names) == 1 and mark in names[0]), "")
    if other:
        raise DataError(f"{file} is separated by {other!r}, expected commas; write it anew with commas")
    long = [i for i, row in enumerate(rows, 1) if None in row]
    if long:
        raise DataError(f"{file}: {row_numbers(long)} of {len(rows)} have more cells than the {len(names)} names")
    return [{name: text if text and text.strip() else None for name, text in row.items()} for row in rows]


def parquet_rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a Parquet file.

    Raises:
        DataError: it cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    module = require("pyarrow.parquet", "tables")
    try:
        rows = module.read_table(file).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as parquet: {error}") from error
    return _without_nan(rows)


def is_frame(source: Any) -> bool:
    """Whether it is a DataFrame of pandas or polars, or a table of pyarrow."""
    return any(callable(getattr(source, name, None)) for name in ("to_pylist", "to_dicts", "to_dict"))


def frame_rows(frame: Any) -> list[dict[str, Any]]:
    """Rows of a DataFrame; an index that has a name is a column too."""
    for name in ("to_pylist", "to_dicts"):
        if callable(rows := getattr(frame, name, None)):
            return _without_nan(rows())
    named = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    return _without_nan(named.to_dict("records"))


def _without_nan(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Tables of numbers write NaN where there is nothing."""

    def there(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{str(name): there(value) for name, value in row.items()} for row in rows]
