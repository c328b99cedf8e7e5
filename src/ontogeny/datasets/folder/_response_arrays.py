"""Responses and RDMs on disk: safetensors, memory-mapped when read; or Parquet, one list per stimulus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ontogeny.datasets.folder._stimulus_tables import read_parquet, write_parquet
from ontogeny.datasets.folder.benchmark_json import fact
from ontogeny.errors import DataError, require
from ontogeny.record.arrow import arrow

__all__ = ["Arrays", "read_arrays", "read_tensors", "write_arrays", "write_tensors"]

Arrays = dict[str, Shaped[np.ndarray, "..."]]
_KEY = "ontogeny"


def write_arrays(
    path: Path,
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    *,
    name: str,
    subject: str,
    stimulus_ids: Sequence[str],
) -> None:
    """One subject's arrays, with what they are in the file's own header.

    Args:
        path: ends in .safetensors or .parquet.
        arrays: stimuli x n each, or repeats x stimuli x n.
        name: of the assembly.
        subject: whose they are.
        stimulus_ids: one per row.

    Raises:
        DataError: not float32 or float64.
    """
    for key, values in arrays.items():
        if values.dtype not in (np.float32, np.float64):
            raise DataError(
                f"subject {subject!r}, {key!r}: expected float32 or float64, got {values.dtype}; convert it"
            )
    about = json.dumps(
        {"name": name, "stimulus_ids": list(stimulus_ids), "subject": subject}, ensure_ascii=False, sort_keys=True
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        _write_lists(path, arrays, stimulus_ids, about)
        return
    write_tensors(path, arrays, metadata={_KEY: about})


def write_tensors(
    path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], *, metadata: dict[str, str] | None = None
) -> None:
    """Arrays as safetensors, the same bytes each time."""
    plain = {key: np.ascontiguousarray(values) for key, values in arrays.items()}
    require("safetensors.numpy", "hub").save_file(plain, path, metadata=metadata)


def read_arrays(path: Path, *, subject: str) -> tuple[Arrays, tuple[str, ...]]:
    """What `write_arrays` wrote: arrays (memory-mapped from safetensors), and the stimulus of each row.

    Raises:
        DataError: cut short, of another kind, another subject's, or rows that do not fit the ids.
    """
    arrays, header = _read_lists(path) if path.suffix == ".parquet" else read_tensors(path)
    try:
        about = json.loads(header.get(_KEY, ""))
    except ValueError as error:
        raise DataError(f"{path}: the header has no {_KEY!r} entry with the stimulus of each row ({error})") from error
    subject_name = fact(about, "subject", str, str(path))
    if subject_name != subject:
        raise DataError(
            f"{path} holds subject {subject_name!r}, but benchmark.json says {subject!r}; files were swapped"
        )
    ids = tuple(str(stimulus) for stimulus in fact(about, "stimulus_ids", list, str(path)))
    for key, values in arrays.items():
        if values.dtype not in (np.float32, np.float64):
            raise DataError(f"{path}: {key!r} should be float32 or float64, got {values.dtype}")
        if values.ndim not in (2, 3) or values.shape[-2] != len(ids):
            raise DataError(f"{path}: {key!r} has shape {values.shape}, but the header names {len(ids)} stimuli")
    return arrays, ids


def read_tensors(path: Path) -> tuple[Arrays, Mapping[str, str]]:
    """All tensors of a safetensors file as memory-mapped arrays, and its metadata.

    Raises:
        DataError: cut short, or not safetensors.
    """
    safetensors = require("safetensors", "hub")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key).numpy() for key in sorted(file.keys())}, file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as safetensors ({error}); it may be cut short") from error


def _write_lists(
    path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], stimulus_ids: Sequence[str], about: str
) -> None:
    pa = arrow()
    columns: dict[str, Any] = {"stimulus_id": pa.array(list(stimulus_ids), pa.string())}
    for key, values in arrays.items():
        flat = {key: values} if values.ndim == 2 else {f"{key}.{i}": part for i, part in enumerate(values)}
        for column, rows in flat.items():
            cells = pa.array(np.ascontiguousarray(rows).ravel())
            columns[column] = pa.FixedSizeListArray.from_arrays(cells, rows.shape[1])
    write_parquet(path, columns, metadata={_KEY: about})


def _read_lists(path: Path) -> tuple[Arrays, Mapping[str, str]]:
    table = read_parquet(path)
    flat: Arrays = {}
    for column in table.column_names:
        if column != "stimulus_id":
            flat[column] = _matrix(path, table, column)
    header = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    repeats = [flat.pop(f"repeats.{i}") for i in range(len(flat)) if f"repeats.{i}" in flat]
    if repeats:
        flat["repeats"] = np.stack(repeats)
    return flat, header


def _matrix(path: Path, table: Any, column: str) -> Shaped[np.ndarray, "stimuli values"]:
    pa = arrow()
    cells = table.column(column).combine_chunks()
    if not pa.types.is_fixed_size_list(cells.type) or cells.null_count:
        raise DataError(f"{path}: column {column!r} should be lists of one length, got {cells.type}")
    return np.asarray(cells.flatten().to_numpy(zero_copy_only=False)).reshape(len(cells), cells.type.list_size)
