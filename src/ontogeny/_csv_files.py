"""CSV and TSV: one reader of files with a line of names, whose cells are text as they stand there; and one writer."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from ontogeny.errors import DataError

__all__ = ["csv_rows", "row_numbers", "text_table", "write_csv"]

_FEW = 8
_KINDS = {",": ("CSV", "a comma"), "\t": ("TSV", "a tab")}


def text_table(file: Path, mark: str = ",") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and each further line's number in the file and cells; empty lines at the end are left.

    Args:
        file: of UTF-8 text.
        mark: what is between two cells.

    Raises:
        DataError: it cannot be read, two columns have one name, or cells are apart by another mark.
    """
    kind, between = _KINDS[mark]
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=mark, strict=True)
            lines = [(reader.line_num, cells or [""]) for cells in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as {kind} of UTF-8 text: {error}") from error
    while lines and not any(cell.strip() for cell in lines[-1][1]):
        lines.pop()  # what spreadsheets leave at the end
    names = [unicodedata.normalize("NFC", cell.strip()) for cell in lines[0][1]] if lines else []
    other = next((one for one in (";", "\t", ",") if len(names) == 1 and one != mark and one in names[0]), "")
    if other:
        raise DataError(
            f"{file}: cells are apart by {other!r}; expected {between} in a {file.suffix} file, and a point in "
            "numbers; save it so"
        )
    for name in (name for name in names if name and names.count(name) > 1):
        raise DataError(f"{file} has {names.count(name)} columns called {name!r}; give each its own name")
    return names, lines[1:]


def csv_rows(file: Path) -> list[dict[str, str | None]]:
    """Rows of a CSV file with a line of names; its cells as text, None where they are blank or missing.

    Raises:
        DataError: as `text_table`, or a row is longer than the names.
    """
    names, lines = text_table(file)
    rows = [cells for _, cells in lines if cells != [""]]
    long = [i for i, cells in enumerate(rows, 1) if len(cells) > len(names)]
    if long:
        raise DataError(f"{file}: {row_numbers(long)} of {len(rows)} have more cells than the {len(names)} names")
    padded = [cells + [""] * (len(names) - len(cells)) for cells in rows]
    return [{name: text if text.strip() else None for name, text in zip(names, cells, strict=True)} for cells in padded]


def write_csv(rows: Sequence[Mapping[str, object]], file: Path) -> None:
    """Rows under the names of their columns, in the order of their first appearance; "" where a row has none."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def row_numbers(rows: Sequence[int]) -> str:
    """Rows by number for a message, a few of them."""
    shown = ", ".join(str(row) for row in rows[:_FEW])
    more = f" and {len(rows) - _FEW} more" if len(rows) > _FEW else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
