"""Small images of the public layouts, made anew for each test."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[-3.0, 0, 0, 60], [0, 3.5, 0, -35], [0, 0, 4.0, -10], [0, 0, 0, 1]])
SHAPE = (6, 5, 4)


def nifti(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(data, affine).to_filename(path)
    return path


def labels() -> np.ndarray:
    """Label 1 in the first plane, 2 in the second, 7 in two voxels of the last; the rest background."""
    out = np.zeros(SHAPE, dtype=np.int16)
    out[0], out[1], out[5, :2, 0] = 1, 2, 7
    return out


def atlas(folder: Path, affine: np.ndarray = AFFINE, data: np.ndarray | None = None) -> Path:
    path = nifti(folder / "atlas_dseg.nii.gz", labels() if data is None else data, affine)
    (folder / "atlas_dseg.tsv").write_text("index\tname\n0\tbackground\n1\tV1\n2\tIT\n7\tFFA\n9\tPPA\n")
    return path


def table(path: Path, rows: list[tuple[str, ...]], head: str = "stimulus_id\trun") -> Path:
    path.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n")
    return path


def grayordinates() -> nib.cifti2.BrainModelAxis:
    """Five vertices of the left cortex's ten, and three voxels of the left thalamus."""
    cortex = nib.cifti2.BrainModelAxis.from_surface([0, 2, 3, 5, 9], 10, "CIFTI_STRUCTURE_CORTEX_LEFT")
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2, 2, :3] = True
    return cortex + nib.cifti2.BrainModelAxis.from_mask(mask, "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)


def cifti(path: Path, data: np.ndarray, axis: nib.cifti2.BrainModelAxis) -> Path:
    scalars = nib.cifti2.ScalarAxis([f"map {i}" for i in range(len(data))])
    nib.Cifti2Image(data, (scalars, axis)).to_filename(path)
    return path


def gifti(path: Path, data: np.ndarray, structure: str = "CortexLeft") -> Path:
    arrays = [nib.gifti.GiftiDataArray(row.astype(np.float32), intent="NIFTI_INTENT_NONE") for row in data]
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    nib.gifti.GiftiImage(darrays=arrays, meta=meta).to_filename(path)
    return path
