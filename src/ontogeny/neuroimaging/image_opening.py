"""Headers of images, and their values when they are asked for: NIfTI, CIFTI, GIFTI, FreeSurfer, GLMsingle."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np

from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import bids_name
from ontogeny.neuroimaging.glmsingle import ENDINGS, read_betasmd
from ontogeny.neuroimaging.image_grids import (
    Grayordinates,
    Maps,
    Opened,
    Places,
    Surface,
    Unplaced,
    Volume,
    inside,
    nibabel,
)

__all__ = ["hemisphere", "open_image", "repetition_time", "without_hemisphere"]

_VOLUMES_AT_ONCE = 32


def open_image(path: str | Path, folder: Path | None = None) -> Opened:
    """Read the header of a NIfTI (or other volume), CIFTI dense, GIFTI or FreeSurfer image, or GLMsingle's betas.

    Raises:
        DataError: not an image that nibabel reads, or one without places (a mesh, parcels).
    """
    found, nib = inside(folder, path), nibabel()
    if found.suffix.lower() in ENDINGS:
        return _open_betasmd(found)
    if found.suffix.lower() == ".annot":
        return _open_annot(found)
    try:
        image = nib.load(found)
    except (OSError, EOFError, ValueError, zlib.error, ExpatError, nib.filebasedimages.ImageFileError) as error:
        raise DataError(
            f"{found} cannot be read as an image ({error}); give NIfTI, CIFTI dense or GIFTI; it may be cut short"
        ) from error
    if isinstance(image, nib.Cifti2Image):
        return _open_cifti(found, image)
    if isinstance(image, nib.GiftiImage):
        return _open_gifti(found, image)
    return _open_volume(found, image)


def _open_volume(path: Path, image: Any) -> Opened:
    shape = tuple(int(n) for n in image.shape)
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) not in (3, 4):
        raise DataError(f"{path}: expected a 3-D or 4-D image, got shape {image.shape}")
    if isinstance(image, nibabel().MGHImage) and shape[1:3] == (1, 1):
        return _open_surface_mgh(path, image)
    n_maps = shape[3] if len(shape) == 4 else 1
    grid = Volume(shape=(shape[0], shape[1], shape[2]), affine=np.asarray(image.affine, dtype=np.float64))

    def data(places: Places) -> Maps:
        blocks = []
        at_once = n_maps if path.suffix in (".gz", ".mgz", ".bz2") else _VOLUMES_AT_ONCE
        for start in range(0, n_maps, at_once):
            some = image.dataobj[..., start : start + at_once] if len(shape) == 4 else image.dataobj[...]
            blocks.append(np.asarray(some, dtype=np.float32).reshape(grid.size, -1)[places].T)
        return np.ascontiguousarray(np.concatenate(blocks))

    return Opened(path=path, grid=grid, n_maps=n_maps, names={}, data=data, tr=_tr(image) if n_maps > 1 else None)


def _open_betasmd(path: Path) -> Opened:
    """GLMsingle's betas: a map per trial."""
    betas = read_betasmd(path)
    shape = betas.shape[:3]

    def data(places: Places) -> Maps:
        return np.ascontiguousarray(betas.reshape(-1, betas.shape[3])[places].T)

    grid = Unplaced(shape=(shape[0], shape[1], shape[2]))
    return Opened(path=path, grid=grid, n_maps=betas.shape[3], names={}, data=data)


def _open_surface_mgh(path: Path, image: Any) -> Opened:
    """FreeSurfer's surface data: vertices x 1 x 1 [x maps]."""
    n, n_maps = int(image.shape[0]), int(image.shape[3]) if len(image.shape) == 4 else 1

    def data(places: Places) -> Maps:
        return np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).reshape(n, n_maps)[places].T)

    tr = float(image.header["tr"]) / 1000 if n_maps > 1 else 0.0  # in milliseconds
    grid = Surface(size=n, structure=_structure(path))
    return Opened(path=path, grid=grid, n_maps=n_maps, names={}, data=data, tr=tr if tr > 0 else None)


def _open_annot(path: Path) -> Opened:
    """FreeSurfer's annotation: a label a vertex; "unknown", "???" and the medial wall are background."""
    try:
        labels, _, names = nibabel().freesurfer.read_annot(path)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a FreeSurfer annotation ({error}); it may be cut short") from error
    known = {number: name.decode("utf-8", "replace") for number, name in enumerate(names, 1)}
    outside = [0, *(number for number, name in known.items() if name.casefold() in _NO_REGION)]
    values = np.where(np.isin(labels + 1, outside), 0, labels + 1).astype(np.float32)

    def data(places: Places) -> Maps:
        return values[None, places]

    grid = Surface(size=len(values), structure=_structure(path))
    return Opened(path=path, grid=grid, n_maps=1, names={0: "background", **known}, data=data)


_NO_REGION = ("unknown", "???", "medial_wall", "medialwall", "freesurfer_defined_medial_wall", "corpuscallosum")


def hemisphere(path: str | Path) -> str:
    """L or R, as a file's name says: hemi-L (BIDS), lh. (FreeSurfer), .L. (HCP); "" where it does not."""
    found = _SIDE.search(Path(path).name)
    return "" if found is None else next(part for part in found.groups() if part).upper()


_SIDE = re.compile(r"(?:^|_)hemi-([LR])(?:_|\.)|(?:^|[._-])([lr])h(?:[._-])|\.([LR])\.")


def without_hemisphere(path: str | Path) -> str:
    """A file's name without what says its hemisphere: the same of both files of one run."""
    return _SIDE.sub("_", Path(path).name)


def _structure(path: Path) -> str:
    return {"L": "CortexLeft", "R": "CortexRight", "": ""}[hemisphere(path)]


_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_LONGEST_TR = 20.0  # seconds; a GIFTI time step above it is in milliseconds, as FreeSurfer writes it
_TR_APART = 1e-3


def _tr(image: Any) -> float | None:
    """Of a header without a unit of time nothing is known: 1 is what is written where none is known."""
    header = image.header
    unit = header.get_xyzt_units()[1] if hasattr(header, "get_xyzt_units") else ""
    zooms = header.get_zooms()
    tr = float(zooms[3]) * _SECONDS.get(unit, 0.0) if len(zooms) == 4 else 0.0
    return tr if tr > 0 else None


def repetition_time(image: Opened) -> float | None:
    """Seconds from volume to volume, of the header or the JSON file beside it (RepetitionTime); None: neither says it.

    Raises:
        DataError: the two contradict each other, or the JSON file cannot be read.
    """
    path = image.path
    beside = path.with_name(path.name.removesuffix(bids_name(path).extension) + ".json")
    header_value: Any = None
    if beside.is_file():
        try:
            facts = json.loads(beside.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise DataError(f"{beside} cannot be read as JSON ({error})") from error
        header_value = facts.get("RepetitionTime") if isinstance(facts, dict) else None
    if not isinstance(header_value, int | float) or header_value <= 0:
        return image.tr
    if image.tr is not None and abs(image.tr - header_value) > _TR_APART * header_value:
        raise DataError(
            f"{path.name} says that its TR is {image.tr:g} s, {beside.name} that it is {header_value:g} s; mend the "
            "wrong one"
        )
    return float(header_value)


def _open_cifti(path: Path, image: Any) -> Opened:
    axes = [image.header.get_axis(i) for i in range(image.ndim)]
    if len(axes) != 2 or not isinstance(axes[1], nibabel().cifti2.BrainModelAxis):
        raise DataError(f"{path}: expected a dense CIFTI file (.dscalar.nii, .dlabel.nii, .dtseries.nii), not parcels")
    names: dict[int, str] = {}
    if isinstance(axes[0], nibabel().cifti2.LabelAxis):
        names = {int(key): str(name) for key, (name, _) in axes[0].label[0].items()}

    def data(places: Places) -> Maps:
        return np.asarray(image.dataobj, dtype=np.float32)[:, places]

    series = isinstance(axes[0], nibabel().cifti2.SeriesAxis)
    return Opened(
        path=path,
        grid=Grayordinates(axis=axes[1]),
        n_maps=len(axes[0]),
        names=names,
        data=data,
        tr=float(axes[0].step) if series and axes[0].unit == "SECOND" and axes[0].step > 0 else None,
        map_names=tuple(map(str, getattr(axes[0], "name", ()))),
    )


def _open_gifti(path: Path, image: Any) -> Opened:
    arrays = [np.atleast_2d(d.data.T) for d in image.darrays]
    mesh = any(d.intent in (1008, 1009) for d in image.darrays)
    if not arrays or mesh or len({a.shape[1] for a in arrays}) != 1:
        raise DataError(f"{path}: expected one value a vertex and map (.func.gii, .shape.gii, .label.gii), not a mesh")
    headers = [dict(image.meta), *(dict(d.meta) for d in image.darrays)]
    structure = next((m["AnatomicalStructurePrimary"] for m in headers if "AnatomicalStructurePrimary" in m), "")
    names = {int(k): str(v) for k, v in image.labeltable.get_labels_as_dict().items()}

    def data(places: Places) -> Maps:
        return np.concatenate(arrays).astype(np.float32)[:, places]

    by_name = _structure(path)
    if structure and by_name and structure != by_name and structure in ("CortexLeft", "CortexRight"):
        raise DataError(f"{path}: its name says {by_name}, its metadata {structure}; which is right?")
    step = next((float(m["TimeStep"]) for m in headers if _is_number(m.get("TimeStep", ""))), 0.0)
    return Opened(
        path=path,
        grid=Surface(size=arrays[0].shape[1], structure=structure or by_name),
        n_maps=sum(len(a) for a in arrays),
        names=names,
        data=data,
        tr=(step / 1000 if step > _LONGEST_TR else step) if step > 0 else None,
        map_names=tuple(str(dict(d.meta).get("Name", "")) for d in image.darrays),
    )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
