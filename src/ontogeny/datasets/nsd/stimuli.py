"""The photographs, which stay in their file until they are read, and their captions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import UInt8
from typing_extensions import override

from ontogeny.datasets.hdf5 import open_hdf5
from ontogeny.datasets.nsd.design import image_id
from ontogeny.errors import DataError, nearest
from ontogeny.imaging.tables import read_table

__all__ = ["Photographs", "read_captions"]

_COLUMNS = ("nsdId", "cocoId", "cocoSplit")


class Photographs(Sequence[Any]):
    """Rows of `imgBrick` (uint8, images x height x width x 3), read one by one when they are asked for.

    Args:
        path: `nsd_stimuli.hdf5`.
        rows: which, from 0.

    Raises:
        DataError: a file that cannot be used, or that has no such row.
        MissingExtraError: h5py is not installed.
    """

    def __init__(self, path: Path, rows: Sequence[int]) -> None:
        self._path, self._rows = path, tuple(rows)
        with open_hdf5(path) as file:
            if "imgBrick" not in file:
                raise DataError(f"{path}: there is no 'imgBrick', got {list(file)}; is it another file?")
            shape, kind = file["imgBrick"].shape, file["imgBrick"].dtype
        if len(shape) != 4 or shape[3] != 3 or kind != np.uint8:
            raise DataError(f"{path}: imgBrick should be uint8, images x height x width x 3, got {kind} {shape}")
        absent = [row for row in self._rows if row >= shape[0]]
        if absent:
            raise DataError(
                f"{path} has {shape[0]} images, but {len(absent)} that were shown are not among them, e.g. "
                f"{image_id(absent[0])}, row {absent[0]}; get the whole file"
            )

    @override
    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]: ...
    @overload
    def __getitem__(self, index: slice) -> Photographs: ...
    @override
    def __getitem__(self, index: int | slice) -> UInt8[np.ndarray, "height width 3"] | Photographs:
        """One photograph."""
        if isinstance(index, slice):
            return Photographs(self._path, self._rows[index])
        with open_hdf5(self._path) as file:
            return np.asarray(file["imgBrick"][self._rows[index]])

    @override
    def __iter__(self) -> Iterator[Any]:
        with open_hdf5(self._path) as file:
            for row in self._rows:
                yield np.asarray(file["imgBrick"][row])


def read_captions(folder: Path, rows: Sequence[int]) -> tuple[str, ...]:
    """COCO's caption of each image: of its five or so the one with the lowest annotation id.

    Args:
        folder: of the whole set, with `nsd_stim_info_merged.csv` in its place, and COCO's `captions_train2017.json` and
            `captions_val2017.json` in it or in `annotations/`.
        rows: images, from 0.

    Raises:
        DataError: a file that is missing or not so, or an image without a caption; names it.
    """
    table = folder / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv"
    photos = _photos(table)
    absent = [row for row in rows if row not in photos]
    if absent:
        raise DataError(f"{table}: {len(absent)} images have no row, e.g. {image_id(absent[0])} (nsdId {absent[0]})")
    captions = {split: _captions(folder, split) for split in sorted({photos[row][1] for row in rows})}
    out = []
    for row in rows:
        photo, split = photos[row]
        if photo not in captions[split]:
            raise DataError(f"captions_{split}.json has no caption of COCO image {photo} ({image_id(row)})")
        out.append(captions[split][photo])
    return tuple(out)


def _photos(path: Path) -> dict[int, tuple[int, str]]:
    """Row of the stimulus file -> COCO image and split."""
    if not path.is_file():
        raise DataError(f"{path} is not there; it says which COCO image each photograph is of: get it")
    rows = read_table(path)
    for column in _COLUMNS:
        if column not in rows[0]:
            raise DataError(f"{path}: column {column!r} is missing. {nearest(column, rows[0])}")
    try:
        return {int(row["nsdId"]): (int(row["cocoId"]), row["cocoSplit"]) for row in rows}
    except ValueError as error:
        raise DataError(f"{path}: nsdId and cocoId should be whole numbers ({error})") from error


def _captions(folder: Path, split: str) -> dict[int, str]:
    """COCO image -> its caption with the lowest id."""
    name = f"captions_{split}.json"
    path = next((p for p in (folder / name, folder / "annotations" / name) if p.is_file()), None)
    if path is None:
        raise DataError(
            f"{folder}: there is no {name}, nor annotations/{name}; get annotations_trainval2017.zip from "
            "cocodataset.org and unpack it there"
        )
    try:
        found = [
            (int(one["id"]), int(one["image_id"]), " ".join(str(one["caption"]).split()))
            for one in json.loads(path.read_text(encoding="utf-8"))["annotations"]
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read as COCO's captions, annotations of id, image_id and caption ({error!r})"
        ) from error
    return {photo: caption for _, photo, caption in sorted(found, reverse=True) if caption}
