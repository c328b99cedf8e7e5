"""Space: which voxels responses are of, their ROIs, and the way back to an image.

A space is read from an atlas: a label image and the names of its labels, or one mask image a ROI. It can be written
again as a label image with its table, so that scores find their way back in another process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ontogeny._display import one_line
from ontogeny.errors import DataError, nearest, require
from ontogeny.neuroimaging.image_grids import Grayordinates, Grid, Opened, Unplaced, Volume, nibabel
from ontogeny.neuroimaging.image_opening import open_image
from ontogeny.neuroimaging.label_tables import label_names

__all__ = ["Space", "read_space"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """Voxels (or vertices, or grayordinates) of a grid, with their ROIs.

    Args:
        grid: all places of the image.
        index: which place each voxel is, rising.
        roi: a label per voxel.
    """

    grid: Grid
    index: Int[np.ndarray, " voxels"]
    roi: tuple[str, ...]

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.roi)

    @property
    def names(self) -> tuple[str, ...]:
        """A name per voxel: its ROI and place, e.g. "V1 12-30-7"."""
        return tuple(f"{roi} {self.grid.name(int(i))}" for roi, i in zip(self.roi, self.index, strict=True))

    def keep(self, voxels: Bool[np.ndarray, " voxels"]) -> Space:
        """These voxels alone."""
        roi = tuple(label for label, kept in zip(self.roi, voxels, strict=True) if kept)
        return replace(self, index=self.index[voxels], roi=roi)

    def image(
        self,
        values: Float[np.ndarray, " voxels"] | Float[np.ndarray, "maps voxels"],
        *,
        names: Sequence[str] = ("value",),
        fill: float = float("nan"),
    ) -> Any:
        """Values back in the brain.

        Args:
            values: one per voxel; or several maps of them.
            names: one per map.
            fill: what stands outside these voxels.

        Returns:
            A nibabel image of the grid's kind: NIfTI, CIFTI dense scalars, or GIFTI; `image.to_filename(path)` writes.

        Raises:
            DataError: another number of voxels or names.
        """
        maps = np.atleast_2d(values)
        if maps.shape != (len(names), len(self)):
            raise DataError(
                f"expected {len(names)} map(s) of {len(self)} voxels, one value per voxel and a name per map, "
                f"got {maps.shape}; were voxels dropped after this space was read?"
            )
        full = np.full((len(names), self.grid.size), fill, dtype=np.float32)
        full[:, self.index] = maps
        return self.grid.image(full, names)

    def write(self, path: str | Path) -> Path:
        """Write the label image and, beside it, its table (`.tsv`); `read_space` reads them."""
        target, order = Path(path), list(dict.fromkeys(self.roi))
        labels = np.asarray([order.index(roi) + 1 for roi in self.roi], dtype=np.float64)
        self.image(labels, names=("labels",), fill=0.0).to_filename(target)
        rows = [f"{number}\t{roi}\n" for number, roi in enumerate(order, 1)]
        table_beside(target).write_text("index\tname\n" + "".join(rows), encoding="utf-8")
        return target


def table_beside(image: Path) -> Path:
    """Where the table of a label image lies: the image's name with `.tsv`."""
    stem = image.name.removesuffix(".gz")
    for ending in (".dscalar.nii", ".dlabel.nii", ".func.gii", ".shape.gii", ".label.gii", ".nii", ".mgz", ".gii"):
        if stem.endswith(ending):
            return image.with_name(stem.removesuffix(ending) + ".tsv")
    return image.with_suffix(".tsv")


def read_space(
    atlas: str | Path | Mapping[str, str | Path],
    *,
    labels: str | Path | None = None,
    rois: Sequence[str] | None = None,
    folder: str | Path | None = None,
    like: str | Path | None = None,
    resample: bool = False,
    prefix: str = "",
) -> Space:
    """The voxels of an atlas.

    Args:
        atlas: a label image (0 is background, never a ROI); or ROI name -> mask image (nonzero is inside).
        labels: names of the labels: TSV or CSV with `index` and `name` (BIDS `dseg.tsv`), or a FreeSurfer LUT. Not
            needed where the image carries them (`.dlabel.nii`, `.label.gii`) or a `.tsv` lies beside it. Two labels of
            one name are one ROI.
        rois: ROIs to take; all that have voxels where not said.
        folder: what paths are relative to, and must not leave.
        like: an image of the betas; an atlas on another grid is refused.
        resample: put a volume on the grid of `like`, nearest neighbour; CIFTI labels on other grayordinates, by
            structure and vertex or voxel.
        prefix: put before every ROI's name. Surfaces have one file a hemisphere: read each with a prefix of its own
            ("L ", "R ") and give the benchmark two assemblies of the subject.

    Raises:
        DataError: no names, a label without a name, a ROI that is not there or has no voxel, masks that overlap,
            grids that differ.
    """
    root = None if folder is None else Path(folder)
    wanted_grid = None if like is None else open_image(like, root).grid
    unplaced = wanted_grid if isinstance(wanted_grid, Unplaced) else None
    wanted_grid = None if unplaced is not None else wanted_grid
    if isinstance(atlas, Mapping):
        names = dict(enumerate(atlas, 1))
        opened = [open_image(path, root) for path in atlas.values()]
        values = _join_masks([_on(o, wanted_grid or opened[0].grid, resample) for o in opened], opened)
        grid = wanted_grid or opened[0].grid
    else:
        image = open_image(atlas, root)
        names = _names(image, labels, root)
        grid = wanted_grid or image.grid
        values = _whole_numbers(_on(image, grid, resample), image.path)
    if unplaced is not None:
        same_grid(unplaced, grid, str(like), "the atlas")
    space = _space(grid, values, names, rois, owner=str(atlas if not isinstance(atlas, Mapping) else "the masks"))
    return replace(space, roi=tuple(prefix + roi for roi in space.roi))


def same_grid(grid: Grid, image_grid: Grid, grid_name: str, image_name: str) -> None:
    """Refuse grids that differ, by name.

    Raises:
        DataError: they do.
    """
    if difference := grid.differs(image_grid):
        volumes = any(isinstance(grid, kind) and isinstance(image_grid, kind) for kind in (Volume, Grayordinates))
        todo = "resample one explicitly (resample=True, --resample)" if volumes else "use files of one"
        raise DataError(f"{grid_name} and {image_name} are not on one grid: {difference}; {todo}")


def _on(image: Opened, grid: Grid, resample: bool) -> Float[np.ndarray, " places"]:
    """The first map of an atlas, on a grid."""
    if image.n_maps != 1:
        raise DataError(f"{image.path}: an atlas is one map of labels, got {image.n_maps} maps; split it")
    values: Float[np.ndarray, " places"] = image.read()[0]
    if resample and isinstance(grid, Grayordinates) and isinstance(image.grid, Grayordinates):
        return _by_vertex(image, values, grid)
    if not (resample and isinstance(grid, Volume) and isinstance(image.grid, Volume) and image.grid.differs(grid)):
        same_grid(image.grid, grid, str(image.path), "the images that it is for")
        return values
    source = nibabel().Nifti1Image(values.reshape(image.grid.shape), image.grid.affine)
    moved = require("nibabel.processing", "imaging").resample_from_to(source, (grid.shape, grid.affine), order=0)
    return np.asarray(moved.dataobj, dtype=np.float32).ravel()


def _by_vertex(
    image: Opened, values: Float[np.ndarray, " image_places"], grid: Grayordinates
) -> Float[np.ndarray, " places"]:
    """Labels of the same structures, vertices and voxels on other grayordinates; 0 where the atlas has none.

    Raises:
        DataError: meshes of other sizes, or no grayordinate of both.
    """
    image_grid, own_grid = image.grid, grid
    assert isinstance(image_grid, Grayordinates)  # noqa: S101 - the caller looked
    sizes = [{name: int(n) for name, n in one.axis.nvertices.items()} for one in (image_grid, own_grid)]
    for name in sizes[0].keys() & sizes[1].keys():
        if sizes[0][name] != sizes[1][name]:
            raise DataError(
                f"{image.path}: {name} has {sizes[0][name]} vertices, in the data {sizes[1][name]}: other meshes; "
                "resample the atlas with Connectome Workbench (wb_command -label-resample)"
            )
    known = dict(zip(image_grid.elements(), values, strict=True))
    found = np.array([known.get(key, np.nan) for key in own_grid.elements()], dtype=np.float32)
    if np.isnan(found).all():
        raise DataError(f"{image.path} and the data have no grayordinate in common; are they of one space?")
    return np.nan_to_num(found)


def _names(image: Opened, labels: str | Path | None, folder: Path | None) -> dict[int, str]:
    if labels is not None:
        return label_names(labels, folder)
    if any(image.names.keys() - {0}):
        return image.names
    beside = table_beside(image.path)
    if beside.is_file():
        return label_names(beside, None)
    raise DataError(
        f"{image.path}: its labels have no names; give labels= (--labels), a table with the columns index and name, "
        f"or put {beside.name} beside it. A mask without a table is given as {{'name': path}}"
    )


def _whole_numbers(values: Float[np.ndarray, " places"], path: Path) -> Int[np.ndarray, " places"]:
    known = np.nan_to_num(values, nan=0.0)
    whole = np.rint(known)
    if not np.array_equal(whole, known) or whole.min() < 0:
        raise DataError(
            f"{path}: labels should be whole numbers from 0, got e.g. {known[(whole != known) | (whole < 0)][0]:g}; "
            "was it interpolated? Resample label images by nearest neighbour"
        )
    return np.asarray(whole, dtype=np.int64)


def _join_masks(masks: Sequence[np.ndarray], opened: Sequence[Opened]) -> Int[np.ndarray, " places"]:
    inside = np.stack([np.nan_to_num(m) != 0 for m in masks])
    twice = np.flatnonzero(inside.sum(axis=0) > 1)
    if twice.size:
        owners = [o.path.name for o, m in zip(opened, inside, strict=True) if m[twice[0]]]
        raise DataError(
            f"{twice.size} voxels are in more than one mask, e.g. {opened[0].grid.name(int(twice[0]))} in {owners}; "
            "a voxel has one ROI: read them apart"
        )
    return np.asarray((inside * np.arange(1, len(masks) + 1)[:, None]).sum(axis=0), dtype=np.int64)


def _space(
    grid: Grid, values: Int[np.ndarray, " places"], names: dict[int, str], rois: Sequence[str] | None, *, owner: str
) -> Space:
    index = np.flatnonzero(values)
    present = set(np.unique(values[index]).tolist())
    if rois is None:
        unnamed = sorted(present - names.keys())
        if unnamed:
            raise DataError(
                f"{owner}: {len(unnamed)} labels have no name in the table, e.g. {unnamed[:3]}; name them, or choose "
                "rois= (--regions)"
            )
        chosen = present
    else:
        chosen = _chosen(rois, names, present, owner)
    index = index[np.isin(values[index], list(chosen))]
    if not index.size:
        raise DataError(f"{owner}: no voxel has a label; all is background (0)")
    return Space(grid=grid, index=index, roi=tuple(names[int(v)] for v in values[index]))


def _chosen(rois: Sequence[str], names: dict[int, str], present: set[int], owner: str) -> set[int]:
    chosen: set[int] = set()
    for roi in rois:
        numbers = {number for number, name in names.items() if name == roi}
        if not numbers:
            raise DataError(f"{owner}: no ROI is called {roi!r}. {nearest(roi, names.values())}")
        if numbers == {0}:
            raise DataError(f"{owner}: ROI {roi!r} is label 0, which is background; choose another")
        if not numbers & present:
            raise DataError(f"{owner}: ROI {roi!r} (label {sorted(numbers)}) has no voxel on this grid; leave it out")
        chosen |= numbers & present
    return chosen
