"""Captions of COCO for NSD's images: `nsd_stim_info_merged.csv` says which COCO image each row of the stimuli is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ontogeny.datasets.own_data._array_files import read_table
from ontogeny.datasets.readers.nsd._nsd_design import image_id
from ontogeny.errors import DataError

__all__ = ["read_captions"]


def read_captions(info: Path, annotations: Sequence[Path], images: Sequence[int]) -> tuple[str, ...]:
    """The first caption (lowest annotation id) of each image, blanks trimmed.

    Args:
        info: `nsddata/experiments/nsd/nsd_stim_info_merged.csv`, columns nsdId (from 0) and cocoId.
        annotations: COCO's `captions_train2017.json` and `captions_val2017.json`.
        images: rows of `nsd_stimuli.hdf5`, from 0.

    Raises:
        DataError: a file that cannot be used, or an image without a caption; names it.
    """
    table = read_table(info)
    coco = dict(zip(table.labels("nsdId"), table.labels("cocoId"), strict=True))
    first: dict[str, tuple[int, str]] = {}
    for path in annotations:
        for image, number, caption in _annotations(path):
            if image not in first or number < first[image][0]:
                first[image] = (number, caption)
    lacking = [image for image in images if coco.get(str(image)) not in first]
    if lacking:
        raise DataError(
            f"nsd2022: {len(lacking)} of {len(images)} images have no caption, e.g. {image_id(lacking[0])} (COCO "
            f"{coco.get(str(lacking[0]), 'not in ' + info.name)}); give both captions_train2017.json and "
            "captions_val2017.json"
        )
    return tuple(first[coco[str(image)]][1] for image in images)


def _annotations(path: Path) -> list[tuple[str, int, str]]:
    """COCO image, annotation id and caption of each annotation."""
    if not path.is_file():
        raise DataError(f"{path} is not there; COCO's captions are in annotations_trainval2017.zip at cocodataset.org")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["annotations"]
        return [(str(one["image_id"]), int(one["id"]), str(one["caption"]).strip()) for one in found]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} should be COCO's captions, annotations with image_id, id and caption: {error}"
        ) from error
