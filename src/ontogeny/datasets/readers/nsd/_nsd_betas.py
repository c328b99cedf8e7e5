"""One session's betas of some voxels, and the labels of an ROI volume; places are x, y, z as in the NIfTI files."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ontogeny.errors import DataError, nearest, require
from ontogeny.neuroimaging.hdf5_files import open_hdf5

__all__ = ["read_names", "read_session", "read_volume", "roi_voxels"]

# NSD data manual, "File format issues for betas": int16, percent signal change times 300.
_SCALE = np.float32(300)


def read_volume(path: Path) -> Float[np.ndarray, "x y z"]:
    """A 3-D NIfTI file.

    Raises:
        DataError: missing, or not one volume.
    """
    image = _nifti(path)
    if len(image.shape) != 3:
        raise DataError(f"{path}: expected one volume x, y, z, got shape {image.shape}")
    return np.asarray(image.dataobj, dtype=np.float64)


def read_names(path: Path) -> dict[int, str]:
    """Label -> name, of lines `1 V1v` (a FreeSurfer colour table's further columns are passed over).

    Raises:
        DataError: missing, or a line of another form.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; it names the labels of the ROI volume")
    names: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) < 2 or not parts[0].isdigit():
            raise DataError(f"{path}, line {number}: expected a label and its name, got {line!r}")
        names[int(parts[0])] = parts[1]
    return names


def roi_voxels(
    labels: Float[np.ndarray, "x y z"], names: dict[int, str], rois: tuple[str, ...] | None
) -> tuple[Int[np.ndarray, "voxels 3"], tuple[str, ...]]:
    """Places (x, y, z) of the voxels with a label above 0 (-1: not cortex, 0: no ROI), and each one's ROI.

    Raises:
        DataError: an unknown ROI, a label without a name, or no voxel.
    """
    known = [name for label, name in names.items() if label > 0]
    for roi in rois or ():
        if roi not in known:
            raise DataError(f"nsd2022: no ROI is called {roi!r}. {nearest(roi, known)}")
    unnamed = sorted({int(label) for label in np.unique(labels) if label > 0} - names.keys())
    if unnamed:
        raise DataError(f"nsd2022: labels {unnamed[:5]} of the ROI volume have no name; is it another volume's table?")
    places = np.argwhere(labels > 0)
    of = [names[int(labels[x, y, z])] for x, y, z in places]
    keep = [rois is None or name in rois for name in of]
    if not any(keep):
        raise DataError("nsd2022: no voxel is in the ROIs asked for")
    return places[keep], tuple(name for name, kept in zip(of, keep, strict=True) if kept)


def read_session(
    folder: Path, session: int, places: Int[np.ndarray, "voxels 3"], shape: tuple[int, ...]
) -> Float[np.ndarray, "trials voxels"]:
    """Percent signal change (float32) of some voxels in a session, counted from 1: `betas_session01.hdf5` or `.nii.gz`.

    Raises:
        DataError: neither file is there, or its shape is not that of the ROI volume.
    """
    hdf5, nifti = (folder / f"betas_session{session:02d}{ending}" for ending in (".hdf5", ".nii.gz"))
    if hdf5.is_file():
        return _from_hdf5(hdf5, places, shape) / _SCALE
    if nifti.is_file():
        return _from_nifti(nifti, places, shape) / _SCALE
    raise DataError(f"nsd2022: session {session} is missing: neither {hdf5} nor {nifti.name} is there")


def _from_hdf5(
    path: Path, places: Int[np.ndarray, "voxels 3"], shape: tuple[int, ...]
) -> Float[np.ndarray, "trials voxels"]:
    """MATLAB's x, y, z, trials is trials, z, y, x here; one slice at a time, only the rows and columns needed."""
    with open_hdf5(path) as file:
        if "betas" not in file:
            raise DataError(f"{path} should hold a data set 'betas', got {list(file)}")
        betas = file["betas"]
        _check(path, tuple(reversed(betas.shape)), shape)
        out = np.empty((betas.shape[0], len(places)), dtype=np.float32)
        (x0, y0, _), (x1, y1, _) = places.min(axis=0), places.max(axis=0) + 1
        for z in np.unique(places[:, 2]):
            rows = np.flatnonzero(places[:, 2] == z)
            out[:, rows] = betas[:, int(z), y0:y1, x0:x1][:, places[rows, 1] - y0, places[rows, 0] - x0]
    return out


def _from_nifti(
    path: Path, places: Int[np.ndarray, "voxels 3"], shape: tuple[int, ...]
) -> Float[np.ndarray, "trials voxels"]:
    image = _nifti(path)
    _check(path, image.shape, shape)
    x, y, z = places.T
    try:
        # Whole, as int16: each block of a compressed file would be unpacked from its beginning.
        whole = np.asarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: its values cannot be read ({error}); it may be cut short, get it anew") from error
    return np.asarray(whole[x, y, z].T, dtype=np.float32, order="C")


def _check(path: Path, found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(found) != 4 or found[:3] != shape:
        raise DataError(f"{path}: expected x, y, z of the ROI volume, {shape}, and trials, got {found}")


def _nifti(path: Path) -> Any:
    nibabel = require("nibabel", "imaging")
    if not path.is_file():
        raise DataError(f"{path} is not there")
    try:
        return nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as NIfTI ({error}); get it anew") from error
