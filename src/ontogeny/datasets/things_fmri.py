"""THINGS-fMRI (Hebart et al. 2023): photographs of 720 concepts x single-trial betas of 3 participants, the tables.

`betas_csv/sub-01_ResponseData.h5` was written by pandas: voxels x trials in `ResponseData/block0_values`, in the order
of the rows of `sub-01_VoxelMetadata.csv` and `sub-01_StimulusMetadata.csv`. It is read with h5py, for pandas would load
what it stored beside the numbers as Python objects.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from ontogeny.assembly import Assembly
from ontogeny.benchmark import Benchmark
from ontogeny.datasets.algonauts import ImageFiles
from ontogeny.datasets.elsewhere import find_elsewhere, folder_of
from ontogeny.datasets.hdf5 import open_hdf5
from ontogeny.datasets.plain import numbers, read_table, texts
from ontogeny.errors import DataError, nearest
from ontogeny.imaging.runs import rows_of
from ontogeny.metrics import make_folds
from ontogeny.metrics.encoding import Ridge
from ontogeny.stimuli import StimulusSet

__all__ = ["load_things"]

_AT_ONCE = 2000
_VISUAL = ("V1", "V2", "V3", "hV4")


def load_things(
    *,
    folder: str | os.PathLike[str] | None = None,
    subject: int = 1,
    images: str = "test",
    rois: Sequence[str] = _VISUAL,
    pictures: str | os.PathLike[str] | None = None,
) -> Benchmark:
    """One participant's betas, z-scored within session, averaged over repeats.

    Args:
        folder: holds `betas_csv`; None: `things2023` in a data folder.
        subject: 1 to 3.
        images: "test" (100 images, 12 repeats, with ceilings) or "train" (12 images each of 720 concepts, shown once;
            folds keep concepts whole).
        rois: columns of the voxel table that are 1 inside a region: V1, hV4, lFFA, glasser-FFC, ...; a voxel in several
            counts for the first.
        pictures: folder with one folder a concept (`dog/dog_12s.jpg`); None: `images` beside `betas_csv`.

    Raises:
        DataError: files or options that cannot be used; names them.
        DatasetNotFoundError: the folder is not on this machine; says where to get it.
    """
    if images not in ("test", "train"):
        raise DataError(f"things2023: images is 'test' or 'train', got {images!r}")
    root, who = folder_of("things2023", folder), f"sub-{subject:02d}"
    tables = root / "betas_csv"
    stimuli, trials = _trials(tables / f"{who}_StimulusMetadata.csv", images)
    voxels, labels, ceiling = _voxels(tables / f"{who}_VoxelMetadata.csv", rois, images)
    values = _responses(tables / f"{who}_ResponseData.h5", voxels, trials)
    names, means, dropped = _averaged(values, stimuli)
    keep = ~dropped
    if not keep.any():
        raise DataError(f"things2023: all {keep.size} voxels of {who} are NaN or constant within a session")
    shown = _pictures(Path(pictures) if pictures is not None else root / "images", names)
    known = find_elsewhere("things2023")
    concepts = tuple(path.parent.name for path in shown)
    assembly = Assembly(
        name="things2023, betas (z)",
        subject=who,
        stimulus_ids=names,
        responses=means[:, keep],
        roi=tuple(label for label, kept in zip(labels, keep, strict=True) if kept),
        ceiling=None if ceiling is None else ceiling[keep],
        ceiling_source="not known"
        if ceiling is None
        else "square root of the published nc_testset (share of variance)",
    )
    train = images == "train"
    return Benchmark(
        name=f"things2023-{who}-{images}",
        version="1",
        citation=known.citation,
        licence=known.terms,
        about=f"{known.title}: {len(names)} {images} images; {int(dropped.sum())} voxels dropped (NaN or constant).",
        simulated=False,
        stimuli=StimulusSet(
            name="things2023", modality="image", ids=names, inputs=ImageFiles(shown), groups=concepts if train else None
        ),
        assemblies=(assembly,),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(names), n_folds=5, groups=concepts if train else None, seed=0),
    )


def _trials(path: Path, images: str) -> tuple[tuple[tuple[str, str], ...], Int[np.ndarray, " trials"]]:
    """(Image, session) of each trial of the kind asked for, and which rows of the table these are."""
    table = read_table(path)
    kinds, files, sessions = (texts(path, table, name) for name in ("trial_type", "stimulus", "session"))
    rows = np.flatnonzero([kind == images for kind in kinds])
    if not rows.size:
        raise DataError(f"{path}: no trial of type {images!r}; there are {sorted(set(kinds))}")
    return tuple((Path(files[row]).stem, sessions[row]) for row in rows), rows


def _voxels(
    path: Path, rois: Sequence[str], images: str
) -> tuple[Int[np.ndarray, " voxels"], list[str], Float[np.ndarray, " voxels"] | None]:
    """Rows of the voxels in the ROIs, each one's ROI, and its ceiling as Pearson r (of the averaged test images)."""
    table = read_table(path)
    for roi in rois:
        if roi not in table:
            raise DataError(f"things2023: {path.name} has no ROI {roi!r}. {nearest(roi, table)}")
    inside: Mapping[str, Any] = {roi: numbers(path, roi, table[roi]) > 0 for roi in rois}
    labels = ["" for _ in table[rois[0]]]
    for roi in reversed(rois):
        for row in np.flatnonzero(inside[roi]):
            labels[row] = roi
    rows = np.flatnonzero([bool(label) for label in labels])
    if not rows.size:
        raise DataError(f"things2023: no voxel is in {list(rois)}")
    if images == "train":
        return rows, [labels[row] for row in rows], None
    share = numbers(path, "nc_testset", table.get("nc_testset", [])) / 100
    if len(share) != len(labels):
        raise DataError(f"{path}: column 'nc_testset' is missing; it holds the noise ceilings in percent")
    return rows, [labels[row] for row in rows], np.sqrt(np.clip(np.nan_to_num(share[rows]), 0, 1))


def _responses(
    path: Path, voxels: Int[np.ndarray, " voxels"], trials: Int[np.ndarray, " trials"]
) -> Float[np.ndarray, "trials voxels"]:
    """Betas of some voxels and trials; whole rows are read, a stretch of voxels at a time."""
    with open_hdf5(path) as file:
        if "ResponseData" not in file or "block0_values" not in file["ResponseData"]:
            raise DataError(f"{path} should hold ResponseData/block0_values (voxels x trials), got {list(file)}")
        block = file["ResponseData"]["block0_values"]
        if block.ndim != 2 or block.shape[0] <= voxels[-1] or block.shape[1] <= trials[-1]:
            raise DataError(
                f"{path}: expected voxels x trials of the two tables, more than {voxels[-1]} x {trials[-1]}, got "
                f"{block.shape}; are the files of one participant?"
            )
        out = np.empty((len(trials), len(voxels)), dtype=np.float32)
        for start in tqdm(range(0, len(voxels), _AT_ONCE), desc=path.name, unit="stretch", disable=None):
            some = voxels[start : start + _AT_ONCE]
            out[:, start : start + len(some)] = block[some][:, trials].T
    return out


def _averaged(
    values: Float[np.ndarray, "trials voxels"], stimuli: Sequence[tuple[str, str]]
) -> tuple[tuple[str, ...], Float[np.ndarray, "images voxels"], np.ndarray]:
    """Z-scored within session over the trials chosen, then the mean over an image's repeats; voxels that cannot be."""
    scored, bad = np.empty_like(values), ~np.isfinite(values).all(axis=0)
    for rows in rows_of([session for _, session in stimuli]).values():
        part = values[rows].astype(np.float64)
        still = np.ptp(part, axis=0) == 0
        bad |= still
        scored[rows] = (part - part.mean(axis=0)) / np.where(still, 1, part.std(axis=0))
    images = rows_of([image for image, _ in stimuli])
    names = tuple(sorted(images))
    means = np.stack([scored[images[name]].mean(axis=0, dtype=np.float64) for name in names])
    return names, means.astype(np.float32), bad


def _pictures(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """`concept/concept_12s.jpg`; what follows the last underscore is the picture's number."""
    found = tuple(folder / name.rpartition("_")[0] / f"{name}.jpg" for name in names)
    missing = [path for path in found if not path.is_file()]
    if missing:
        raise DataError(f"things2023: {len(missing)} of {len(found)} pictures are missing, e.g. {missing[0]}")
    return found
