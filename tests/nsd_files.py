"""A small set that lies as the Natural Scenes Dataset does: MATLAB counts from 1, betas are int16, trials are 750."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.io import savemat

GRID, TRIALS, SESSIONS, EVERY = (5, 4, 3), 750, 4, 73_000
AFFINE = np.diag([1.8, 1.8, 1.8, 1.0])
BETAS = "nsddata_betas/ppdata/{}/func1pt8mm/betas_fithrf_GLMdenoise_RR"
# x, y, z -> label; two voxels of one line along x, lines along y and z, and one outside cortex.
LABELS = {
    (0, 0, 0): 1,
    (3, 0, 0): 1,
    (1, 2, 0): 5,
    (4, 3, 2): 5,
    (2, 1, 1): 5,
    (0, 3, 1): 2,
    (2, 2, 2): 1,
    (1, 1, 1): -1,
}


@dataclass(frozen=True, slots=True)
class Small:
    """What was written; MATLAB's numbers, from 1."""

    folder: Path
    order: np.ndarray
    shown: np.ndarray
    shared: np.ndarray
    betas: dict[tuple[str, int], np.ndarray]
    ncsnr: dict[str, np.ndarray]

    def images(self, subject: str, session: int) -> list[int]:
        """The image (from 0) of each trial, in plain loops."""
        row = self.shown[int(subject[-1]) - 1]
        return [int(row[self.order[(session - 1) * TRIALS + t] - 1]) - 1 for t in range(TRIALS)]

    def path(self, subject: str, session: int, ending: str) -> Path:
        return self.folder / BETAS.format(subject) / f"betas_session{session:02d}.{ending}"


def volume(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(values, AFFINE).to_filename(path)


def put_hdf5(path: Path, name: str, values: np.ndarray) -> None:
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=values)


def write(small: Small, subject: str, session: int, ending: str) -> None:
    """One session's betas (x, y, z, trials), in MATLAB's order of axes or as NIfTI."""
    values, path = small.betas[subject, session], small.path(subject, session, ending)
    if ending == "hdf5":
        put_hdf5(path, "betas", values.transpose(3, 2, 1, 0))
    else:
        volume(path, values)


def picture(row: int) -> np.ndarray:
    """The photograph of a row (from 0), 6 x 5."""
    return np.random.default_rng(row).integers(0, 256, size=(6, 5, 3), dtype=np.uint8)


def write_pictures(small: Small) -> None:
    import h5py

    path = small.folder / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = {image for subject, session in small.betas for image in small.images(subject, session)}
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", shape=(EVERY, 6, 5, 3), dtype=np.uint8, chunks=(1, 6, 5, 3))
        for row in seen:
            brick[row] = picture(row)


def make(folder: Path, held: dict[str, tuple[int, ...]]) -> Small:
    """Subject -> its sessions. 60 shared and 940 other images in 4 sessions, three times each, in random order."""
    rng = np.random.default_rng(1)
    every = rng.permutation(EVERY)[: 1000 + 8 * 9000] + 1
    shared, others = np.sort(every[:1000]), every[1000:].reshape(8, 9000)
    shown = np.concatenate([np.tile(shared, (8, 1)), others], axis=1)
    order = rng.permutation(np.repeat([*range(1, 61), *range(1001, 1941)], 3))
    savemat(
        _made(folder / "nsddata/experiments/nsd/nsd_expdesign.mat"),
        {"masterordering": order[None].astype(float), "subjectim": shown.astype(float), "sharedix": shared[None]},
    )
    small = Small(folder, order, shown, shared, {}, {})
    for subject, sessions in held.items():
        labels = np.zeros(GRID)
        for place, label in LABELS.items():
            labels[place] = label
        volume(folder / f"nsddata/ppdata/{subject}/func1pt8mm/roi/streams.nii.gz", labels)
        table = _made(folder / f"nsddata/freesurfer/{subject}/label/streams.mgz.ctab")
        table.write_text("0 Unknown\n1 early\n2 midventral\n5 ventral\n")
        small.ncsnr[subject] = rng.uniform(0.2, 1.5, size=GRID).astype(np.float32)
        volume(folder / BETAS.format(subject) / "ncsnr.nii.gz", small.ncsnr[subject])
        for session in sessions:
            small.betas[subject, session] = rng.integers(-900, 900, size=(*GRID, TRIALS), dtype=np.int16)
            write(small, subject, session, "hdf5")
    write_pictures(small)
    return small


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
