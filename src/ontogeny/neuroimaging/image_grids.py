"""Grids: where values of an image lie, and how an image is made of values again; nibabel stands behind this module.

A *place* is a voxel of a volume, a vertex of a surface, or a row of a CIFTI brain-model axis. Places of a volume are
numbered in C order of (i, j, k).
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import DataError, require

__all__ = [
    "AFFINE_TOLERANCE",
    "Grayordinates",
    "Grid",
    "Opened",
    "Surface",
    "Unplaced",
    "Volume",
    "inside",
    "nibabel",
]

# Two grids are one if no corner of theirs is further apart than this share of the smallest voxel edge.
AFFINE_TOLERANCE = 0.01

Maps: TypeAlias = Float[np.ndarray, "maps places"]
Places: TypeAlias = Int[np.ndarray, " places"] | slice
_ALL = slice(None)


def nibabel() -> Any:
    """The library behind all images."""
    return require("nibabel", "imaging")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """A grid of voxels.

    Args:
        shape: voxels along each axis.
        affine: voxel numbers -> mm.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def size(self) -> int:
        """Number of places."""
        return int(np.prod(self.shape))

    @property
    def orientation(self) -> str:
        """Where the axes point, e.g. "RAS"."""
        return "".join(str(code) for code in nibabel().aff2axcodes(self.affine))

    def differs(self, other: Grid) -> str:
        """What is not alike, in words; "" where nothing is (see `AFFINE_TOLERANCE`)."""
        if not isinstance(other, Volume):
            return f"one is of voxels, the other of {_KINDS[type(other)]}"
        if self.shape != other.shape:
            return f"shapes {self.shape} and {other.shape}"
        corners = np.array([(*c, 1) for c in itertools.product(*((0, n - 1) for n in self.shape))], dtype=float)
        apart = float(np.linalg.norm(corners @ (self.affine - other.affine).T, axis=1).max())
        edge = min(float(np.linalg.norm(g.affine[:3, :3], axis=0).min()) for g in (self, other))
        if apart <= AFFINE_TOLERANCE * edge:
            return ""
        turned = f"orientations {self.orientation} and {other.orientation}, " * (self.orientation != other.orientation)
        return f"{turned}affines that put a corner up to {apart:.3g} mm apart (allowed: {AFFINE_TOLERANCE * edge:.2g})"

    def name(self, place: int) -> str:
        """Voxel numbers "i-j-k"."""
        return "-".join(str(int(i)) for i in np.unravel_index(place, self.shape))

    def image(self, maps: Maps, names: Sequence[str]) -> Any:
        """A NIfTI image, 3-D of one map and 4-D of several (float32)."""
        data = maps.reshape(len(names), *self.shape)
        values = data[0] if len(names) == 1 else np.moveaxis(data, 0, -1)
        image = nibabel().Nifti1Image(values.astype(np.float32), self.affine)
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = ", ".join(names).encode("ascii", "replace")[:79]
        return image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grayordinates:
    """The rows of a CIFTI brain-model axis.

    Args:
        axis: `nibabel.cifti2.BrainModelAxis`.
    """

    axis: Any

    @property
    def size(self) -> int:
        """Number of places."""
        return len(self.axis)

    def differs(self, other: Grid) -> str:
        """What is not alike, in words; "" where nothing is."""
        if not isinstance(other, Grayordinates):
            return f"one is of grayordinates, the other of {_KINDS[type(other)]}"
        if self.size != other.size:
            return f"{self.size} and {other.size} grayordinates"
        return "" if self.axis == other.axis else "brain-model axes of other structures, vertices or voxels"

    def elements(self) -> list[tuple[str, tuple[int, ...]]]:
        """Structure and vertex, or voxel, of each place."""
        axis, surface = self.axis, self.axis.surface_mask
        return [
            (str(name), (int(vertex),) if cortex else tuple(int(i) for i in voxel))
            for name, cortex, vertex, voxel in zip(axis.name, surface, axis.vertex, axis.voxel, strict=True)
        ]

    def name(self, place: int) -> str:
        """The structure and its vertex or voxel, e.g. "CORTEX_LEFT-17"."""
        kind, where, structure = self.axis.get_element(place)
        numbers = [where] if kind == "CIFTI_MODEL_TYPE_SURFACE" else where
        return "-".join([structure.removeprefix("CIFTI_STRUCTURE_"), *(str(int(i)) for i in numbers)])

    def image(self, maps: Maps, names: Sequence[str]) -> Any:
        """A CIFTI dense scalar image (`.dscalar.nii`)."""
        scalars = nibabel().cifti2.ScalarAxis(list(names))
        image = nibabel().Cifti2Image(maps.astype(np.float32), (scalars, self.axis))
        image.update_headers()
        return image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """The vertices of one hemisphere.

    Args:
        size: number of vertices.
        structure: e.g. "CortexLeft"; "" where the file does not say.
    """

    size: int
    structure: str = ""

    def differs(self, other: Grid) -> str:
        """What is not alike, in words; "" where nothing is."""
        if not isinstance(other, Surface):
            return f"one is of vertices, the other of {_KINDS[type(other)]}"
        if self.size != other.size:
            return f"{self.size} and {other.size} vertices"
        differ = self.structure and other.structure and self.structure != other.structure
        return f"structures {self.structure} and {other.structure}" if differ else ""

    def name(self, place: int) -> str:
        """The vertex."""
        return str(place)

    def image(self, maps: Maps, names: Sequence[str]) -> Any:
        """A GIFTI image (`.func.gii`)."""
        gifti = nibabel().gifti
        arrays = [
            gifti.GiftiDataArray(values.astype(np.float32), intent="NIFTI_INTENT_NONE", meta={"Name": name})
            for values, name in zip(maps, names, strict=True)
        ]
        meta = gifti.GiftiMetaData({"AnatomicalStructurePrimary": self.structure} if self.structure else {})
        return gifti.GiftiImage(darrays=arrays, meta=meta)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unplaced:
    """Places of an array without an affine (GLMsingle); they are those of the atlas that has its shape.

    Args:
        shape: voxels along each axis; of a list of voxels, vertices or grayordinates (n, 1, 1).
    """

    shape: tuple[int, int, int]

    @property
    def size(self) -> int:
        """Number of places."""
        return int(np.prod(self.shape))

    def differs(self, other: Grid) -> str:
        """What is not alike, in words; "" where nothing is."""
        shape = other.shape if isinstance(other, Volume | Unplaced) else (other.size, 1, 1)
        return "" if shape == self.shape else f"shapes {self.shape} and {shape}"

    def name(self, place: int) -> str:
        """Its number."""
        return str(place)

    def image(self, maps: Maps, names: Sequence[str]) -> Any:
        """There is none.

        Raises:
            DataError: always.
        """
        del maps, names
        raise DataError("an array without an affine is no image; take the space of its atlas")


Grid: TypeAlias = Volume | Grayordinates | Surface | Unplaced
_KINDS = {Volume: "voxels", Grayordinates: "grayordinates", Surface: "vertices", Unplaced: "an array"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """An image whose header was read.

    Args:
        path: the file.
        grid: where its values lie.
        n_maps: volumes, or maps.
        names: label number -> name, where the file carries a table.
        map_names: one per map, where the file has them.
        tr: seconds from volume to volume, None where the file does not say.
        data: reads the values of some places, maps x places.
    """

    path: Path
    grid: Grid
    n_maps: int
    names: dict[int, str]
    data: Callable[[Places], Maps]
    tr: float | None = None
    map_names: tuple[str, ...] = ()

    def read(self, places: Places = _ALL) -> Maps:
        """The values of all places, or of some; maps x places (float32).

        Raises:
            DataError: the file is cut short or damaged.
        """
        try:
            return self.data(places)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"{self.path}: its values cannot be read ({error}); it may be cut short") from error


def inside(folder: Path | None, path: str | Path) -> Path:
    """A path, relative to a folder where one is given, which it must not leave.

    Raises:
        DataError: it leaves the folder, or is no file.
    """
    found = Path(path) if folder is None else folder / path
    if folder is not None and not found.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{str(path)!r} leaves the folder {folder}; name files inside it, without '..' or links out")
    if not found.is_file():
        raise DataError(f"there is no file {found}; check the path and its ending")
    return found
