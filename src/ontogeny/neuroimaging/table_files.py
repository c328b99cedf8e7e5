"""Tables as labs have them. A cell that is empty is missing: it is an error with its row, never a value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny._csv_files import row_numbers, text_table
from ontogeny._display import one_line
from ontogeny.errors import DataError, nearest

__all__ = ["Sheet", "is_missing", "plain_column", "read_sheet"]

# What BIDS, pandas, R and spreadsheets write where there is nothing.
_MISSING = frozenset({"", "n/a", "N/A", "#N/A", "NA", "<NA>", "nan", "NaN", "NaT", "None", "NULL", "null"})


def is_missing(value: Any) -> bool:
    """Whether a cell says that there is no value."""
    return value is None or value != value or (isinstance(value, str) and value.strip() in _MISSING)


def plain_column(name: str) -> str:
    """A column's name as it is compared: "Run Nr.", "run-nr" and "RUN_NR" are run_nr, "Run #" is run."""
    return re.sub(r"[\s.#_-]+", "_", name.casefold()).strip("_")


def _bare(cell: Any) -> str:
    """A cell without what BIDS puts before it, and without zeros in front: run-01 is 1."""
    return re.sub(r"^([A-Za-z]+-)?0*(?=[0-9])", "", str(cell).strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Columns of a table by name, all of one length; rows are counted from 1, without the header.

    Args:
        path: of the file, for errors.
        columns: name -> cells: text, or what a Parquet file has.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]

    __repr__ = one_line

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def find(self, *names: str) -> str | None:
        """The column that is called so, see `plain_column`; None where there is none.

        Of several the first, where the others have the same values (run 1, 2 and run_id run-01, run-02).

        Raises:
            DataError: several are, that differ.
        """
        found = [column for column in self.columns if plain_column(column) in names]
        if len({tuple(map(_bare, self.columns[column])) for column in found}) > 1:
            raise DataError(f"{self.path}: the columns {found} say the same thing, and differ; take all but one out")
        return found[0] if found else None

    def cells(self, column: str) -> Sequence[Any]:
        """The cells of one column.

        Raises:
            DataError: it is not there; says the nearest.
        """
        if column not in self.columns:
            raise DataError(
                f"{self.path}: column {column!r} is missing, got {list(self.columns)[:12]}. "
                f"{nearest(column, self.columns)}"
            )
        return self.columns[column]

    def labels(self, column: str, *, missing: str | None = None) -> tuple[str, ...]:
        """One column of ids, runs, file names: without blanks around them, é as one character.

        Args:
            column: its name.
            missing: what to call a missing cell, where missing cells are expected; otherwise it is refused.

        Raises:
            DataError: it is not there, or a cell is missing; names the rows.
        """
        cells: Sequence[Any] = [missing if is_missing(cell) else cell for cell in self.cells(column)]
        self._refuse(column, [row for row, cell in enumerate(cells, 1) if cell is None])
        return tuple(unicodedata.normalize("NFC", str(cell).strip()) for cell in cells)

    def texts(self, column: str) -> tuple[str, ...]:
        """One column of text as it stands there; "None" and "NA" are words.

        Raises:
            DataError: it is not there, or a cell is blank; names the rows.
        """
        cells = self.cells(column)
        blank = [row for row, c in enumerate(cells, 1) if c is None or c != c or str(c).strip() in ("", "n/a")]
        self._refuse(column, blank)
        return tuple(str(cell) for cell in cells)

    def numbers(self, column: str) -> tuple[float, ...]:
        """One column of numbers.

        Raises:
            DataError: it is not there, a cell is missing, or is no finite number; names the rows.
        """
        self._refuse(column, [row for row, cell in enumerate(self.cells(column), 1) if is_missing(cell)])
        values = self.numbers_or_nan(column)
        self._refuse(column, (np.flatnonzero(~np.isfinite(values)) + 1).tolist(), "is not finite")
        return tuple(float(value) for value in values)

    def numbers_or_nan(self, column: str) -> Float[np.ndarray, " rows"]:
        """One column of numbers; a missing cell is NaN.

        Raises:
            DataError: it is not there, or a cell is no number; names the row.
        """
        out = np.empty(len(self))
        for row, cell in enumerate(self.cells(column)):
            try:
                out[row] = np.nan if is_missing(cell) else float(cell)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{self.path}, row {row + 1}: column {column!r} should be a number, got {cell!r}"
                ) from error
        return out

    def _refuse(self, column: str, rows: Sequence[int], what: str = "is empty") -> None:
        if not rows:
            return
        known = f"; {len(self) - len(rows)} of {len(self)} rows have a value" * (len(rows) > 1)
        raise DataError(
            f"{self.path}, {row_numbers(rows)}: column {column!r} {what}{known}; fill it in, or take the column out"
        )


def read_sheet(path: Path) -> Sheet:
    """A TSV or CSV file with a header; cells are text as they stand there.

    Raises:
        DataError: not such a table, a column's name twice, no rows, or a line with more or fewer cells than the header
            or with none; names the line.
    """
    header, lines = text_table(path, "," if path.suffix.lower() == ".csv" else "\t")
    lines = [line for line in lines if line[1] != [""] or len(header) == 1]
    if not lines:
        raise DataError(f"{path} has no rows; expected a header and at least one row, got the header alone")
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(f"{path}, line {number}: expected {len(header)} cells, got {len(cells)}; is the line cut?")
        if not any(cell.strip() for cell in cells):
            raise DataError(f"{path}, line {number}: all cells are empty; fill them in, or take the line out")
    return Sheet(path=path, columns={name: [row[at] for _, row in lines] for at, name in enumerate(header)})
