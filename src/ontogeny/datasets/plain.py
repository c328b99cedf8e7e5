"""Plain tables and arrays as labs have them: CSV, TSV, Parquet, .npy, .safetensors, a folder of pictures."""

from __future__ import annotations

import csv
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from ontogeny.datasets.folder.arrays import safe_tensors
from ontogeny.datasets.folder.tables import read_parquet
from ontogeny.datasets.photos import KINDS, PictureFiles
from ontogeny.disk import by_number
from ontogeny.errors import DataError, nearest

__all__ = [
    "ResponseTable",
    "StimulusTable",
    "has_ids",
    "read_responses",
    "read_stimulus_table",
    "read_table",
]

_TABLES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusTable:
    """Stimuli as a table has them.

    Args:
        modality: "text" or "image".
        ids: one a stimulus.
        inputs: text, or pictures, decoded one by one when they are read (uint8, height x width x 3).
        columns: all other columns.
        files: names of the pictures of a folder, which has no other order than theirs; of a table none.
    """

    modality: Literal["text", "image"]
    ids: tuple[str, ...]
    inputs: Sequence[Any]
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTable:
    """One subject's responses as a file has them.

    Args:
        ids: one a row, or None where the file has none: then rows are in the order of the stimuli.
        values: stimuli x voxels, or repeats x stimuli x voxels.
        voxels: their names, where the file has some.
    """

    ids: tuple[str, ...] | None
    values: Float[np.ndarray, "..."]
    voxels: tuple[str, ...] | None = None


def read_table(path: Path) -> dict[str, list[Any]]:
    """Column -> values of a CSV, TSV or Parquet table. Of a text file, everything is text.

    Raises:
        DataError: no such file, another kind, no rows, a doubled column, or a row of another length; names the line.
    """
    _there(path, _TABLES)
    if path.suffix.lower() == ".parquet":
        columns: dict[str, list[Any]] = read_parquet(path).to_pydict()
        return columns
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            head = [name.strip() for name in next(rows, [])]
            if len(set(head)) < len(head):
                raise DataError(f"{path}: two columns have one name, got {head}")
            body = [_row(path, rows.line_num, row, head) for row in rows if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table of UTF-8 text ({error})") from error
    if not body:
        raise DataError(f"{path} has no rows")
    return {name: [row[place] for row in body] for place, name in enumerate(head)}


def _row(path: Path, line: int, row: list[str], head: list[str]) -> list[str]:
    if len(row) != len(head):
        raise DataError(f"{path}, line {line}: expected {len(head)} cells ({', '.join(head[:6])}), got {len(row)}")
    return row


def _there(path: Path, kinds: Sequence[str]) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not there; expected a file of kind {', '.join(kinds)}")
    if path.suffix.lower() not in kinds:
        raise DataError(f"{path}: expected a file of kind {', '.join(kinds)}, got {path.suffix!r}")


def texts(path: Path, columns: Mapping[str, Sequence[Any]], name: str) -> tuple[str, ...]:
    """One column as text.

    Raises:
        DataError: it is missing, or a cell is empty; names the row.
    """
    if name not in columns:
        raise DataError(f"{path}: column {name!r} is missing, got {list(columns)[:12]}. {nearest(name, columns)}")
    for row, value in enumerate(columns[name], 1):
        if value is None or value != value or not str(value).strip():
            raise DataError(f"{path}, row {row}: column {name!r} is empty")
    return tuple(str(value) for value in columns[name])


def numbers(path: Path, name: str, values: Sequence[Any]) -> Float[np.ndarray, " rows"]:
    """One column as numbers; "nan" and an empty cell are NaN.

    Raises:
        DataError: a cell that is no number; names the row.
    """
    out = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            out[row] = np.nan if value in ("", None) else float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, row {row + 1}: column {name!r} should be a number, got {value!r}") from error
    return out


def typed(values: Sequence[Any]) -> Shaped[np.ndarray, " rows"]:
    """A column of any kind: whole numbers, numbers (an empty cell is NaN), or text, the first that fits all rows."""
    try:
        return np.array([int(value) if isinstance(value, str) else operator.index(value) for value in values])
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return np.array([np.nan if value in ("", None) else float(value) for value in values])
    except (TypeError, ValueError):
        return np.array(["" if value is None else str(value) for value in values], dtype=object)


def read_stimulus_table(path: Path) -> StimulusTable:
    """A table with `stimulus_id` and `text` or `image` (a path beside the table); or a folder of pictures.

    Pictures of a folder are called by their file names without the ending, and ordered by `ontogeny.disk.by_number`:
    2.png before 10.png. Hidden files are none of them. They stay in their files; one that cannot be
    decoded is named when it is read.

    Raises:
        DataError: no such file or folder, no pictures, a column that is missing, an empty cell, a path that leads out
            of the table's folder, or a picture that is not there or of another kind.
    """
    if path.is_dir():
        files = by_number(p for p in path.iterdir() if p.suffix.lower() in KINDS and not p.is_dir())
        if not files:
            raise DataError(f"{path} has no pictures ({', '.join(KINDS)})")
        return StimulusTable(
            modality="image",
            ids=tuple(file.stem for file in files),
            inputs=PictureFiles(files),
            files=tuple(file.name for file in files),
        )
    columns = read_table(path)
    ids = texts(path, columns, "stimulus_id")
    kinds = [kind for kind in ("text", "image") if kind in columns]
    if len(kinds) != 1:
        raise DataError(f"{path}: expected one of the columns 'text' and 'image', got {list(columns)[:12]}")
    cells = texts(path, columns, kinds[0])
    more = {name: tuple(values) for name, values in columns.items() if name not in ("stimulus_id", kinds[0])}
    if kinds[0] == "text":
        return StimulusTable(modality="text", ids=ids, inputs=cells, columns=more)
    pictures = PictureFiles([_beside(path, cell) for cell in cells])
    return StimulusTable(modality="image", ids=ids, inputs=pictures, columns=more)


def _beside(table: Path, name: str) -> Path:
    path = table.parent / name
    if not path.resolve().is_relative_to(table.parent.resolve()):
        raise DataError(f"{table}: picture {name!r} leads out of the table's folder; put the pictures beside the table")
    return path


def has_ids(path: Path) -> bool:
    """Whether a file of responses is of a kind that names its rows."""
    return path.suffix.lower() in _TABLES


def read_responses(path: Path) -> ResponseTable:
    """Responses from .npy, .safetensors (tensor `responses`) or a table with `stimulus_id` and one column a voxel.

    Raises:
        DataError: no such file, another kind, Python objects, cut short, no numbers, or neither two nor three axes.
    """
    _there(path, (".npy", ".safetensors", *_TABLES))
    if path.suffix.lower() in _TABLES:
        columns = read_table(path)
        ids = texts(path, columns, "stimulus_id")
        voxels = tuple(name for name in columns if name != "stimulus_id")
        if not voxels:
            raise DataError(f"{path} has no column but 'stimulus_id'; expected one a voxel")
        return ResponseTable(
            ids=ids, values=np.stack([numbers(path, name, columns[name]) for name in voxels], axis=1), voxels=voxels
        )
    values = _npy(path) if path.suffix.lower() == ".npy" else _tensor(path)
    if values.dtype.kind not in "fiu" or values.ndim not in (2, 3):
        raise DataError(
            f"{path}: expected numbers, stimuli x voxels or repeats x stimuli x voxels, got {values.dtype} "
            f"{values.shape}"
        )
    return ResponseTable(ids=None, values=values if values.dtype.kind == "f" else values.astype(np.float64))


def _npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as .npy ({error}); it may be cut short or hold objects") from error


def _tensor(path: Path) -> np.ndarray:
    tensors, _ = safe_tensors(path)
    if "responses" not in tensors:
        raise DataError(f"{path}: tensor 'responses' is missing. {nearest('responses', tensors)}")
    return tensors["responses"]
