"""What a folder keeps of a subject that scores do not need: more voxel columns, single repeats, places in the brain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from ontogeny.datasets.folder.benchmark_json import fact
from ontogeny.errors import DataError

__all__ = ["Extras", "FolderSpace", "space_from_json", "space_to_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSpace:
    """The volume or the surface that voxels are places of: `shape` and `affine`, or `vertices`.

    Args:
        name: e.g. "MNI152NLin2009cAsym", "func1pt8mm", "fsaverage".
        shape: of the volume; a voxel's column `index` is its place in it, C order (`numpy.unravel_index`).
        affine: voxel indices (i, j, k, 1) -> millimetres.
        vertices: hemisphere -> number of vertices; a voxel has columns `hemisphere` and `vertex`.

    Raises:
        DataError: neither or both, or an affine that is not 4 x 4, finite and invertible.
    """

    name: str
    shape: tuple[int, int, int] | None = None
    affine: Float[np.ndarray, "4 4"] | None = None
    vertices: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if (self.shape is None) is (self.vertices is None) or (self.shape is None) is not (self.affine is None):
            raise DataError(f"space {self.name!r}: give shape and affine (a volume), or vertices (a surface)")
        if self.affine is not None and (
            self.affine.shape != (4, 4) or not np.isfinite(self.affine).all() or np.linalg.det(self.affine) == 0
        ):
            raise DataError(
                f"space {self.name!r}: the affine should be 4 x 4, finite and invertible, got {self.affine}"
            )

    def check(self, columns: Mapping[str, Shaped[np.ndarray, " voxels"]], owner: str) -> None:
        """Refuse voxels without a place, outside, or two at one place.

        Raises:
            DataError: says which column is missing or wrong.
        """
        needed = ("index",) if self.vertices is None else ("hemisphere", "vertex")
        missing = [name for name in needed if name not in columns]
        if missing:
            raise DataError(
                f"{owner}: voxels in space {self.name!r} need the columns {list(needed)}, missing {missing}"
            )
        places = list(zip(*(columns[name].tolist() for name in needed), strict=True))
        if len(set(places)) < len(places):
            raise DataError(f"{owner}: {len(places) - len(set(places))} voxels share a place with another one")
        for place in places:
            if not self._holds(place):
                raise DataError(f"{owner}: {dict(zip(needed, place, strict=True))} is outside space {self.name!r}")

    def _holds(self, place: tuple[Any, ...]) -> bool:
        if self.shape is not None:
            return isinstance(place[0], int) and 0 <= place[0] < int(np.prod(self.shape))
        return isinstance(place[1], int) and 0 <= place[1] < (self.vertices or {}).get(place[0], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """Kept beside one subject's assembly.

    Args:
        columns: name -> one value per voxel (numbers, booleans or text), e.g. x, y, z in millimetres.
        repeats: repeats x stimuli x voxels, rows as in the assembly; NaN where a stimulus has fewer repeats.
        space: what the voxels are places of.
        made_by: how the responses came out of their files, one sentence.
    """

    columns: Mapping[str, Shaped[np.ndarray, " voxels"]] = field(default_factory=dict)
    repeats: Float[np.ndarray, "repeats stimuli voxels"] | None = None
    space: FolderSpace | None = None
    made_by: str = ""


def space_to_json(space: FolderSpace) -> dict[str, Any]:
    """As space/<subject>.json holds it."""
    if space.affine is None:
        return {"space": space.name, "vertices": dict(space.vertices or {})}
    return {"space": space.name, "shape": list(space.shape or ()), "affine": space.affine.tolist()}


def space_from_json(facts: Any, owner: str) -> FolderSpace:
    """What `space_to_json` wrote.

    Raises:
        DataError: names the file and the key.
    """
    name = fact(facts, "space", str, owner)
    if "vertices" in facts:
        vertices = fact(facts, "vertices", dict, owner)
        return FolderSpace(name=name, vertices={side: fact(vertices, side, int, owner) for side in vertices})
    shape, affine = fact(facts, "shape", list, owner), fact(facts, "affine", list, owner)
    if len(shape) != 3 or not all(type(n) is int and n > 0 for n in shape):
        raise DataError(f"{owner}: 'shape' should be three positive numbers, got {shape}")
    try:
        return FolderSpace(name=name, shape=(shape[0], shape[1], shape[2]), affine=np.array(affine, dtype=np.float64))
    except (ValueError, TypeError) as error:
        raise DataError(f"{owner}: the affine should be 4 x 4 numbers, got {affine} ({error})") from error
