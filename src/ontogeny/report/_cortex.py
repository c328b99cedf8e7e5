"""Cortex: a hemisphere's mesh and which voxel each of its vertices shows; nilearn stands behind this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import DataError, require
from ontogeny.neuroimaging.image_grids import Surface, Volume
from ontogeny.neuroimaging.voxel_masks import Space

__all__ = ["Cortex", "Hemisphere", "cortex_of"]

Hemisphere = Literal["left", "right"]
_FSAVERAGE5 = 10242  # vertices of the one mesh that nilearn brings along; others would be downloaded
_SIDES = (("left", "right"), ("hemi-L", "hemi-R"), ("lh", "rh"), (".L.", ".R."))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cortex:
    """One hemisphere.

    Args:
        side: which.
        points: of its vertices, in mm, x to the right, y to the front, z up.
        faces: triangles of vertices.
        folds: depth of the sulci, which is drawn where there is no score; zeros where not known.
        space: which of the spaces its values are of; -1 where there is none.
        voxel: of that space, one per vertex; -1 where a vertex shows none.
    """

    side: Hemisphere
    points: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    folds: Float[np.ndarray, " vertices"]
    space: int
    voxel: Int[np.ndarray, " vertices"]

    def full(self, values: Sequence[Float[np.ndarray, " voxels"]]) -> Float[np.ndarray, " vertices"]:
        """Values of the spaces on the vertices; NaN where there is none.

        Args:
            values: one array per space.
        """
        out = np.full(len(self.points), np.nan)
        if self.space >= 0:
            known = self.voxel >= 0
            out[known] = np.asarray(values[self.space], dtype=np.float64)[self.voxel[known]]
        return out


def cortex_of(spaces: Sequence[Space], *, mesh: str | Path | None = None, mni: bool = False) -> tuple[Cortex, Cortex]:
    """Both hemispheres, left first; one without a space shows its folds alone.

    Args:
        spaces: of one subject: vertices of one hemisphere or of both, or one volume.
        mesh: a `.surf.gii` of as many vertices as the spaces have, of the left hemisphere with "left", "hemi-L", "lh"
            or ".L." in its name where there is one of the right beside it; not needed for fsaverage5.
        mni: a volume is in MNI space, and is projected onto fsaverage5: each vertex shows the voxel that is most
            frequent between the inner and the outer surface.

    Raises:
        DataError: a volume of which that is not said, grayordinates, or there is no mesh of the surface's size.
        MissingExtraError: nilearn is not installed.
    """
    if not spaces or not all(isinstance(space.grid, Surface | Volume) for space in spaces):
        raise DataError("only vertices of a surface and volumes in MNI space are drawn on a mesh, no grayordinates")
    if isinstance(spaces[0].grid, Volume):
        if not mni:
            raise DataError("a volume is drawn on the cortex only where it is in MNI space: say so with --mni")
        return _projected(spaces[0], "left"), _projected(spaces[0], "right")
    by_side = {_side(space): place for place, space in enumerate(spaces)}
    return _drawn("left", spaces, by_side, mesh), _drawn("right", spaces, by_side, mesh)


def _side(space: Space) -> Hemisphere:
    said = space.grid.structure.casefold() if isinstance(space.grid, Surface) else ""
    return "right" if "right" in said or said in ("r", "rh") else "left"


def _drawn(side: Hemisphere, spaces: Sequence[Space], by_side: dict[Hemisphere, int], mesh: Any) -> Cortex:
    place = by_side.get(side, -1)
    size = spaces[max(place, 0)].grid.size
    if mesh is None and size != _FSAVERAGE5:
        raise DataError(
            f"a surface of {size} vertices needs a mesh of as many (--mesh FILE.surf.gii); only fsaverage5, "
            f"{_FSAVERAGE5} vertices, comes with nilearn"
        )
    points, faces, folds = _standard(side, "infl") if mesh is None else _own(side, Path(mesh))
    if len(points) != size:
        raise DataError(f"{mesh} has {len(points)} vertices, the {side} hemisphere has {size}: give its own mesh")
    voxel = np.full(size, -1)
    if place >= 0:
        voxel[spaces[place].index] = np.arange(len(spaces[place]))
    return Cortex(side=side, points=points, faces=faces, folds=folds, space=place, voxel=voxel)


def _standard(side: Hemisphere, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """fsaverage5, which nilearn brings along."""
    there = require("nilearn.datasets", "nilearn").fetch_surf_fsaverage("fsaverage5")
    surface = require("nilearn.surface", "nilearn")
    mesh = surface.load_surf_mesh(there[f"{kind}_{side}"])
    folds = surface.load_surf_data(there[f"sulc_{side}"])
    return (
        np.asarray(mesh.coordinates, dtype=np.float64),
        np.asarray(mesh.faces, dtype=np.int64),
        np.asarray(folds, float),
    )


def _own(side: Hemisphere, mesh: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A user's mesh, or the one beside it of the other hemisphere."""
    here = mesh
    for left, right in _SIDES:
        other = mesh.with_name(mesh.name.replace(left, right) if side == "right" else mesh.name.replace(right, left))
        here = other if other.is_file() else here
    found = require("nilearn.surface", "nilearn").load_surf_mesh(str(here))
    points = np.asarray(found.coordinates, dtype=np.float64)
    return points, np.asarray(found.faces, dtype=np.int64), np.zeros(len(points))


def _projected(space: Space, side: Hemisphere) -> Cortex:
    """Each vertex shows the voxel of the space that is most frequent between white and pial surface."""
    surface = require("nilearn.surface", "nilearn")
    there = require("nilearn.datasets", "nilearn").fetch_surf_fsaverage("fsaverage5")
    numbers = np.arange(1, len(space) + 1, dtype=np.float64)
    image = space.image(numbers, fill=0.0)
    how = {"interpolation": "nearest_most_frequent", "inner_mesh": there[f"white_{side}"]}
    found = surface.vol_to_surf(image, there[f"pial_{side}"], **how)
    voxel = np.nan_to_num(np.asarray(found, dtype=np.float64)).round().astype(np.int64).ravel() - 1
    points, faces, folds = _standard(side, "infl")
    return Cortex(side=side, points=points, faces=faces, folds=folds, space=0, voxel=voxel)
