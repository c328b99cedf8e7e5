"""Tables of unknown writers: Parquet, a DataFrame. What is missing is None in their rows, as in those of CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, require

__all__ = ["frame_rows", "is_frame", "parquet_rows"]


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
