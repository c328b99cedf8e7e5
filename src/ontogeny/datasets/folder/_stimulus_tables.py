"""Stimuli and voxels on disk: Parquet without time stamps, pictures as PNG."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Shaped, UInt8
from tqdm import tqdm
from typing_extensions import override

from ontogeny.errors import DataError
from ontogeny.record.arrow import arrow
from ontogeny.stimuli import pixels_of

__all__ = [
    "Pictures",
    "as_png",
    "column",
    "pictures_of",
    "read_parquet",
    "strings",
    "write_parquet",
    "write_pictures",
]

_CHUNK = 2**26  # bytes of pictures in one row group, and in memory; Arrow counts those of one chunk in 31 bits


class Pictures(Sequence[Any]):
    """Pictures as their PNG bytes, decoded when they are read.

    Args:
        names: one per picture, for errors.
        encoded: PNG bytes, or a column of them as Arrow has it.
    """

    def __init__(self, names: Sequence[str], encoded: Sequence[bytes] | Any) -> None:
        self._names = tuple(names)
        self._encoded = encoded

    @override
    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> UInt8[np.ndarray, "..."]: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures: ...
    @override
    def __getitem__(self, index: int | slice) -> UInt8[np.ndarray, "..."] | Pictures:
        """One picture (uint8, height x width x 3, or height x width where it is grey)."""
        if isinstance(index, slice):
            return Pictures(self._names[index], self._encoded[index])
        from PIL import Image

        cell = self._encoded[index]
        png = cell if isinstance(cell, bytes) else cell.as_py()
        try:
            with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
                return pixels_of(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"the picture of stimulus {self._names[index]!r} cannot be decoded ({error})") from error


def as_png(image: Any, owner: str) -> bytes:
    """A picture as PNG; what is read back has the same pixels.

    Args:
        image: PIL image (turned as its EXIF says), or uint8 array (height x width x 3, or height x width).
        owner: for errors.

    Raises:
        DataError: other than 8-bit colour or grey.
    """
    from PIL import Image

    pixels = pixels_of(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise DataError(
            f"{owner}: a picture should be uint8, height x width x 3 (colour) or height x width (grey), got "
            f"{pixels.dtype} {pixels.shape}; convert it, and put transparent ones on the background that was seen"
        )
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def pictures_of(path: Path, table: Any, names: Sequence[str]) -> Pictures:
    """The column `image` of a table.

    Args:
        path: of the table, for errors.
        table: that was read.
        names: one per picture.

    Raises:
        DataError: it is missing, has empty cells, or holds something else than {bytes, path}.
    """
    column(path, table, "image")
    pa, cells = arrow(), table.column("image")
    if not pa.types.is_struct(cells.type) or cells.type.get_field_index("bytes") < 0:
        raise DataError(f"{path}: column 'image' should be {{bytes, path}}, got {cells.type}")
    parts = [chunk.field("bytes") for chunk in cells.chunks]
    return Pictures(names, pa.chunked_array(parts, cells.type.field("bytes").type))


def write_parquet(path: Path, columns: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None) -> None:
    """Arrow arrays, numpy arrays or lists, the same bytes each time.

    Raises:
        DataError: a column that is neither numbers, booleans nor text; or of another length.
    """
    table = _table(path, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow("pyarrow.parquet").write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _table(path: Path, columns: Mapping[str, Any]) -> Any:
    pa = arrow()
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"{path.name}: column {name!r} should be numbers, booleans or text ({error})") from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"{path.name}: columns should be of one length, got {lengths}")
    return pa.table(arrays)


def write_pictures(path: Path, columns: Mapping[str, Any], encoded: Iterable[bytes], names: Sequence[str]) -> None:
    """A table of pictures, written in pieces, so that few of them are in memory; the same bytes each time.

    Args:
        path: of the table.
        columns: all others.
        encoded: PNG bytes, one per picture, made when it is asked for; they become the second column, as Hugging Face
            `datasets` keeps images: {bytes, path}.
        names: one per picture.

    Raises:
        DataError: see `write_parquet`.
    """
    pa, rest = arrow(), _table(path, columns)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = rest.schema.insert(1, pa.field("image", kind))
    notes = {"huggingface": json.dumps({"info": {"features": _features(schema)}}, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with arrow("pyarrow.parquet").ParquetWriter(path, schema.with_metadata(notes), compression="zstd") as writer:
        for start, cells in _pieces(encoded, names):
            part = rest.slice(start, len(cells)).add_column(1, "image", pa.array(cells, kind))
            writer.write_table(part.replace_schema_metadata(notes), row_group_size=len(cells))


def _pieces(encoded: Iterable[bytes], names: Sequence[str]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Some pictures at a time, and where they begin."""
    cells: list[dict[str, Any]] = []
    start = size = 0
    for png, name in zip(encoded, tqdm(names, desc="pictures", unit="png", disable=None, leave=False), strict=True):
        if cells and size + len(png) > _CHUNK:
            yield start, cells
            start, cells, size = start + len(cells), [], 0
        cells.append({"bytes": png, "path": f"{name}.png"})
        size += len(png)
    yield start, cells


def _features(schema: Any) -> dict[str, Any]:
    """What Hugging Face `datasets` needs to know to decode pictures."""
    pa = arrow()
    names = {"double": "float64", "float": "float32"}
    return {
        field.name: {"_type": "Image"}
        if pa.types.is_struct(field.type)
        else {"_type": "Value", "dtype": names.get(str(field.type), str(field.type))}
        for field in schema
    }


def read_parquet(path: Path) -> Any:
    """A Parquet file as a `pyarrow.Table`.

    Raises:
        DataError: cut short, or not Parquet.
    """
    pa = arrow()
    try:
        with arrow("pyarrow.parquet").ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); it may be cut short") from error


def column(path: Path, table: Any, name: str) -> Shaped[np.ndarray, " rows"]:
    """One column as a numpy array.

    Raises:
        DataError: it is missing, or has empty cells.
    """
    if name not in table.column_names:
        raise DataError(f"{path}: column {name!r} is missing, got {table.column_names}")
    values = table.column(name)
    if values.null_count:
        raise DataError(f"{path}: column {name!r} is empty in {values.null_count} of {len(values)} rows")
    return np.asarray(values.to_numpy())


def strings(path: Path, table: Any, name: str) -> tuple[str, ...]:
    """One text column.

    Raises:
        DataError: it is missing, has empty cells, or is no text.
    """
    if name in table.column_names and not arrow().types.is_string(table.schema.field(name).type):
        raise DataError(f"{path}: column {name!r} should be text, got {table.schema.field(name).type}")
    return tuple(column(path, table, name).tolist())
