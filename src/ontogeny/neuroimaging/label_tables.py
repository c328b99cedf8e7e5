"""Names of an atlas's labels: TSV or CSV, or a FreeSurfer-like LUT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ontogeny.errors import DataError
from ontogeny.neuroimaging.image_grids import inside
from ontogeny.neuroimaging.table_files import is_missing, read_sheet

__all__ = ["label_names"]


def label_names(path: str | Path, folder: Path | None) -> dict[int, str]:
    """Label number -> name, from TSV or CSV (`index`, `name`) or a FreeSurfer-like LUT (number name R G B A).

    Raises:
        DataError: neither; or a number that appears twice.
    """
    found = inside(folder, path)
    try:
        text = found.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{found} is not text in UTF-8 ({error}); save it anew") from error
    first = text.lstrip().split("\n", 1)[0]
    pairs = _columns(found) if "index" in first.lower() and not first.startswith("#") else _lut(found, text)
    names: dict[int, str] = {}
    for number, name in pairs:
        if number in names:
            raise DataError(f"{found}: label {number} appears twice, as {names[number]!r} and {name!r}")
        names[number] = name
    if not any(names.keys() - {0}):
        raise DataError(f"{found}: no label but 0, which is background")
    return names


def _columns(path: Path) -> list[tuple[int, str]]:
    """Numbers and names; a label without a name has none, which `read_space` refuses where a voxel has it."""
    sheet = read_sheet(path)
    names = zip(sheet.labels("index"), sheet.cells("name"), strict=True)
    return [(_whole(number, path), str(name).strip()) for number, name in names if not is_missing(name)]


def _lut(path: Path, text: str) -> list[tuple[int, str]]:
    lines = [line.split() for line in text.splitlines()]
    cells = [line for line in lines if line and not line[0].startswith("#")]
    if any(len(line) < 2 for line in cells):
        raise DataError(f"{path}: expected columns 'index' and 'name', or lines 'number name R G B A' (FreeSurfer LUT)")
    return [(_whole(line[0], path), _lut_name(line[1:])) for line in cells]


def _lut_name(words: Sequence[str]) -> str:
    """What stands between the number and the colour (R G B, or R G B A), in whole: names may have blanks in them."""
    for n in (4, 3):
        if len(words) > n and all(word.isdigit() for word in words[-n:]):
            return " ".join(words[:-n])
    return " ".join(words)


def _whole(text: str, path: Path) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"{path}: label numbers are whole numbers, got {text!r}; expected 'index' and 'name'"
        ) from error
