"""CSV: one reader of files with a line of names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ontogeny.errors import DataError

__all__ = ["csv_rows", "row_numbers"]

_FEW = 8


def csv_rows(file: Path) -> list[dict[str, str | None]]:
    """Rows of a CSV file with a line of names; its cells as text, None where they are blank or missing.

    Raises:
        DataError: it cannot be read, two columns have one name, it is separated by another mark than commas, or a row
            is longer than the names.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            names = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV: {error}") from error
    named = [name for name in names if name]
    for name in (name for name in named if named.count(name) > 1):
        raise DataError(f"{file} has {named.count(name)} columns called {name!r}; give each its own name")
    other = next((mark for mark in (";", "\t") if len(names) == 1 and mark in names[0]), "")
    if other:
        raise DataError(f"{file} is separated by {other!r}, expected commas; write it anew with commas")
    long = [i for i, row in enumerate(rows, 1) if None in row]
    if long:
        raise DataError(f"{file}: {row_numbers(long)} of {len(rows)} have more cells than the {len(names)} names")
    return [{name: text if text and text.strip() else None for name, text in row.items()} for row in rows]


def row_numbers(rows: Sequence[int]) -> str:
    """Rows by number for a message, a few of them."""
    shown = ", ".join(str(row) for row in rows[:_FEW])
    more = f" and {len(rows) - _FEW} more" if len(rows) > _FEW else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
