"""Where voxels of a folder lie: from the space of their images to a folder's columns, and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.datasets.folder.benchmark_json import MANIFEST, read_manifest
from ontogeny.datasets.folder.read_folder import read_assembly, read_extra
from ontogeny.datasets.folder.voxel_extras import Extras, FolderSpace
from ontogeny.errors import DataError
from ontogeny.neuroimaging import voxel_masks as imaging
from ontogeny.neuroimaging.image_grids import Grayordinates, Surface, Volume

__all__ = ["as_places", "read_spaces"]


def as_places(spaces: Sequence[imaging.Space], name: str) -> tuple[dict[str, Any], FolderSpace | None]:
    """Voxel columns and space of one subject's voxels, as `Extras` takes them.

    Args:
        spaces: one of a volume or of CIFTI rows; or one a hemisphere, in the order of the voxels.
        name: of the space, e.g. "MNI152NLin2009cAsym".

    Returns:
        Of a volume the column `index`, of surfaces `hemisphere` and `vertex`, with their space. Of CIFTI rows
        `grayordinate` and no space: the way back is the atlas that they were read from.

    Raises:
        DataError: several spaces that are not hemispheres of different names.
    """
    grids = [space.grid for space in spaces]
    if isinstance(grids[0], Volume) and len(grids) == 1:
        volume = grids[0]
        return {"index": spaces[0].index}, FolderSpace(name=name, shape=volume.shape, affine=volume.affine)
    if isinstance(grids[0], Grayordinates) and len(grids) == 1:
        return {"grayordinate": spaces[0].index}, None
    sides = {grid.structure or "surface": grid.size for grid in grids if isinstance(grid, Surface)}
    if len(sides) < len(grids):
        raise DataError(
            f"{len(grids)} images of one subject should be one surface a hemisphere, each naming its structure "
            f"(AnatomicalStructurePrimary), got {sides or [type(grid).__name__ for grid in grids]}"
        )
    hemisphere = [side for side, space in zip(sides, spaces, strict=True) for _ in range(len(space))]
    return {
        "hemisphere": np.array(hemisphere, dtype=object),
        "vertex": np.concatenate([space.index for space in spaces]),
    }, FolderSpace(name=name, vertices=sides)


def read_spaces(folder: str | os.PathLike[str]) -> dict[str, tuple[imaging.Space, ...]]:
    """Subject -> the way back to the brain: one space of a volume, or one a hemisphere.

    Args:
        folder: with a benchmark.json.

    Raises:
        DataError: no subject has a space; or a file that is not as it should be.
    """
    manifest = read_manifest(Path(folder))
    found: dict[str, tuple[imaging.Space, ...]] = {}
    for entry in manifest.facts["assemblies"]:
        if isinstance(entry, dict) and entry.get("kind") == "voxels" and "space" in entry:
            assembly = read_assembly(manifest, entry, check=False)
            extras = read_extra(manifest, entry, check=False)
            found[assembly.subject] = _back(extras, getattr(assembly, "roi", ()))
    if not found:
        raise DataError(
            f"{Path(folder) / MANIFEST}: no subject has a space, so nothing leads back to the brain; build the folder "
            "from images (`ontogeny data build --betas`), or give the atlas as a label image"
        )
    return found


def in_mni(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder names the space of its voxels "MNI...".

    Args:
        folder: with a benchmark.json.
    """
    manifest = read_manifest(Path(folder))
    entries = [e for e in manifest.facts["assemblies"] if isinstance(e, dict) and "space" in e]
    spaces = [read_extra(manifest, entry, check=False).space for entry in entries[:1]]
    return any(space is not None and space.name.upper().startswith("MNI") for space in spaces)


def _back(extras: Extras, roi: Sequence[str]) -> tuple[imaging.Space, ...]:
    space, columns = extras.space, extras.columns
    if space is None:
        return ()
    if space.shape is not None and space.affine is not None:
        grid = Volume(shape=space.shape, affine=space.affine)
        return (imaging.Space(grid=grid, index=np.asarray(columns["index"], dtype=np.int64), roi=tuple(roi)),)
    sides = np.asarray([str(side) for side in columns["hemisphere"]])
    vertices, labels = np.asarray(columns["vertex"], dtype=np.int64), np.asarray(roi, dtype=object)
    return tuple(
        imaging.Space(
            grid=Surface(size=size, structure=side), index=vertices[sides == side], roi=tuple(labels[sides == side])
        )
        for side, size in (space.vertices or {}).items()
    )
