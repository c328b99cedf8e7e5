"""Plain tables and arrays as labs have them: CSV, TSV, Parquet, .npy, .safetensors, a folder of pictures."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from ontogeny._atomic_write import by_number
from ontogeny.datasets._lazy_images import KINDS, PictureFiles, read_picture
from ontogeny.datasets.folder._response_arrays import read_tensors
from ontogeny.datasets.folder._stimulus_tables import read_parquet
from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.bids_names import COLUMNS
from ontogeny.neuroimaging.table_files import Sheet, plain_column, read_sheet

__all__ = [
    "ResponseTable",
    "StimulusTable",
    "has_ids",
    "read_array",
    "read_picture",
    "read_responses",
    "read_stimulus_table",
    "read_table",
]

_TABLES = (".csv", ".tsv", ".parquet")
# Columns that stand beside voxels in tables of responses, as pandas, BIDS and labs call them.
_NO_VOXELS = frozenset(
    (
        *("index", "level_0", "row", "row_id", "id", "onset", "offset", "duration", "time", "timestamp", "tr"),
        *("vol", "volume", "repeat", "repetition", "rep", "presentation", "trial", "trial_id", "trial_number"),
        *("trial_type", "block", "condition", "cond", "category", "response", "response_time", "reaction_time"),
        *("rt", "accuracy", "correct", "button", "key", "file", "stim_file", "stim_id", "stimulus", "stim"),
        *("image", "picture", "text", "sentence", "word", "item", "fold", "group", "roi", "ceiling", "age"),
        *("sex", "gender"),
    )
).union(*COLUMNS.values())
_UNNAMED = re.compile(r"|unnamed.*|index_level_[0-9]+")
_CODE = re.compile(r"\s*[+-]?0[0-9]|.*_")
_PATTERN = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusTable:
    """Stimuli as a table has them.

    Args:
        modality: "text" or "image".
        ids: one per stimulus.
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
        ids: one per row, or None where the file has none: then rows are in the order of the stimuli.
        values: stimuli x voxels, or repeats x stimuli x voxels.
        voxels: their names, where the file has some.
        others: names of columns that were not taken for voxels.
    """

    ids: tuple[str, ...] | None
    values: Float[np.ndarray, "..."]
    voxels: tuple[str, ...] | None = None
    others: tuple[str, ...] = ()


def read_table(path: Path) -> Sheet:
    """A CSV, TSV or Parquet table. Of a text file, everything is text.

    Raises:
        DataError: no such file, another kind, no rows, a doubled column, or a row of another length; names the line.
    """
    _there(path, _TABLES)
    if path.suffix.lower() != ".parquet":
        return read_sheet(path)
    found = read_parquet(path).to_pydict()
    columns = {unicodedata.normalize("NFC", name.strip()): cells for name, cells in found.items()}
    if len(columns) < len(found):
        raise DataError(f"{path}: two columns have one name, got {list(found)}")
    sheet = Sheet(path=path, columns=columns)
    if not len(sheet):
        raise DataError(f"{path} has no rows")
    return sheet


def _there(path: Path, kinds: Sequence[str]) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not there; expected a file of kind {', '.join(kinds)}")
    if path.suffix.lower() not in kinds:
        raise DataError(f"{path}: expected a file of kind {', '.join(kinds)}, got {path.suffix!r}")


def typed(values: Sequence[Any]) -> Shaped[np.ndarray, " rows"]:
    """A column of any kind: whole numbers, numbers (an empty cell is NaN), or text, the first that fits all rows.

    Codes with zeros in front ("007") are text, since numbers would not have them.
    """
    if not any(isinstance(value, str) and _CODE.match(value) for value in values):
        try:
            return np.array([int(value) if isinstance(value, str) else operator.index(value) for value in values])
        except (TypeError, ValueError, OverflowError):
            pass
        try:
            return np.array([np.nan if value in ("", None) else float(value) for value in values])
        except (TypeError, ValueError):
            pass
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def read_stimulus_table(path: Path) -> StimulusTable:
    """A table with `stimulus_id` and `text` or `image` (a path beside the table); or a folder of pictures.

    Pictures of a folder are called by their file names without the ending, and ordered by
    `ontogeny._atomic_write.by_number`: 2.png before 10.png. Hidden files are none of them. They stay in their files;
    one that cannot be decoded is named when it is read.

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
            ids=tuple(unicodedata.normalize("NFC", file.stem) for file in files),
            inputs=PictureFiles(files),
            files=tuple(file.name for file in files),
        )
    sheet = read_table(path)
    ids = sheet.labels("stimulus_id")
    kinds = [kind for kind in ("text", "image") if kind in sheet.columns]
    if len(kinds) != 1:
        raise DataError(f"{path}: expected one of the columns 'text' and 'image', got {list(sheet.columns)[:12]}")
    cells = sheet.texts(kinds[0])
    more = {name: tuple(values) for name, values in sheet.columns.items() if name not in ("stimulus_id", kinds[0])}
    if kinds[0] == "text":
        return StimulusTable(modality="text", ids=ids, inputs=cells, columns=more)
    pictures = PictureFiles([_beside(path, cell) for cell in cells])
    return StimulusTable(modality="image", ids=ids, inputs=pictures, columns=more)


def _beside(table: Path, name: str) -> Path:
    forms = [table.parent / unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    path = next((form for form in forms if form.is_file()), table.parent / name)
    if not path.resolve().is_relative_to(table.parent.resolve()):
        raise DataError(f"{table}: picture {name!r} leads out of the table's folder; put the pictures beside the table")
    return path


def has_ids(path: Path) -> bool:
    """Whether a file of responses is of a kind that names its rows."""
    return path.suffix.lower() in _TABLES


def read_responses(path: Path, *, voxels: Collection[str] = ()) -> ResponseTable:
    """Responses from .npy, .safetensors (tensor `responses`) or a table with `stimulus_id` and one column per voxel.

    Args:
        path: of the file.
        voxels: names that are known to be voxels'. Without them columns are no voxels that have no name (an index of
            pandas), or one that tables use for something else (onset, run, repeat, ...).

    Raises:
        DataError: no such file, another kind, Python objects, cut short, no numbers, neither two nor three axes, or
            columns that look as if they were no voxels among others that do.
    """
    _there(path, (".npy", ".safetensors", *_TABLES))
    if path.suffix.lower() in _TABLES:
        return _table_of_responses(read_table(path), voxels)
    values = read_array(path)
    if values.ndim not in (2, 3):
        raise DataError(
            f"{path}: expected numbers, stimuli x voxels or repeats x stimuli x voxels, got {values.dtype} "
            f"{values.shape}"
        )
    return ResponseTable(ids=None, values=values)


def read_array(path: Path) -> Float[np.ndarray, "..."]:
    """Numbers from .npy or .safetensors (tensor `responses`), as floats.

    Raises:
        DataError: no such file, another kind, Python objects, cut short, or no numbers.
    """
    _there(path, (".npy", ".safetensors", *_TABLES))
    values = _npy(path) if path.suffix.lower() == ".npy" else _tensor(path)
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected numbers, got {values.dtype} {values.shape}")
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _table_of_responses(sheet: Sheet, named: Collection[str]) -> ResponseTable:
    ids = sheet.labels("stimulus_id")
    columns = [name for name in sheet.columns if name != "stimulus_id"]
    voxels = tuple(name for name in columns if name in named or not _no_voxel(name))
    if not voxels:
        raise DataError(
            f"{sheet.path} has no column but 'stimulus_id' that could be a voxel's, got {columns[:6]}; expected one "
            "a voxel"
        )
    if not named and (odd := _odd(voxels)):
        like = next(name for name in voxels if name not in odd)
        raise DataError(
            f"{sheet.path}: {len(voxels) - len(odd)} columns are called like {like!r}, but {list(odd)[:4]} are not: "
            "are these voxels? Take them out, or name all voxels in the column 'voxel' of a table of ROIs (--rois)"
        )
    return ResponseTable(
        ids=ids,
        values=np.stack([sheet.numbers_or_nan(name) for name in voxels], axis=1),
        voxels=voxels,
        others=tuple(name for name in columns if name not in voxels),
    )


def _no_voxel(name: str) -> bool:
    plain = plain_column(name)
    return plain in _NO_VOXELS or _UNNAMED.fullmatch(plain) is not None


def _odd(voxels: Sequence[str]) -> tuple[str, ...]:
    """Names that do not go like most of the others: one word and a number."""
    words = [re.sub("[0-9]+$", "", name) if name[-1:].isdigit() else None for name in voxels]
    word, count = Counter(words).most_common(1)[0]
    odd = tuple(name for name, one in zip(voxels, words, strict=True) if one != word)
    return odd if word is not None and _PATTERN * len(voxels) <= count < len(voxels) else ()


def _npy(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as .npy ({error}); it may be cut short or hold objects") from error


def _tensor(path: Path) -> np.ndarray:
    tensors, _ = read_tensors(path)
    if "responses" not in tensors:
        raise DataError(f"{path}: tensor 'responses' is missing. {nearest('responses', tensors)}")
    return tensors["responses"]
