"""Scores of a record as a pandas frame or one Parquet file."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from ontogeny.errors import require
from ontogeny.record._storage.parquet_format import write_parquet
from ontogeny.record._storage.store import Store
from ontogeny.record.arrow import to_list, to_table
from ontogeny.record.row import to_row
from ontogeny.record.score import COLUMNS, COUNTS, NUMBERS

__all__ = ["as_frame", "as_parquet"]


def as_frame(store: Store) -> Any:
    """All scores as a `pandas.DataFrame`, one row per score."""
    pandas, types = require("pandas", "tables"), dict.fromkeys(COUNTS, "int64") | dict.fromkeys(NUMBERS, "float64")
    recent = [to_row(score) for score in store.recent_scores()]
    rows = [recent] if recent or not store.parts.rows else []
    parts = ({name: to_list(table.column(name)) for name in COLUMNS} for table in store.parts.tables({}, COLUMNS))
    frames = [pandas.DataFrame(one, columns=list(COLUMNS)).astype(types) for one in chain(parts, rows)]
    return pandas.concat(frames, ignore_index=True)


def as_parquet(store: Store, path: Path) -> Path:
    """Write all scores as one Parquet file."""
    write_parquet(path, chain(store.parts.tables({}, COLUMNS), [to_table(store.recent_scores())]))
    return path
