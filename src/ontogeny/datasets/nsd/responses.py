"""One subject's betas of chosen voxels, a session at a time, and what their noise allows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from ontogeny._arrays import PerVoxel
from ontogeny.assembly import usable_voxels
from ontogeny.datasets.hdf5 import open_hdf5
from ontogeny.datasets.nsd.design import TRIALS, Session
from ontogeny.errors import DataError, nearest
from ontogeny.imaging.betas import read_values
from ontogeny.imaging.grids import Volume, open_image
from ontogeny.imaging.runs import zscore_runs
from ontogeny.imaging.space import Space, read_space, same_grid
from ontogeny.imaging.tables import read_table

__all__ = ["Means", "mean_responses", "noise_ceiling", "read_networks", "read_rois", "read_session", "with_ceiling"]

# Betas are kept as int16: percent signal change times this.
_SCALE = 300
_OUTSIDE = -1

Trials = Float[np.ndarray, "trials voxels"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Means:
    """Responses of one subject, the mean over an image's repeats.

    Args:
        images: rows in the stimulus file, rising.
        repeats: how often each image was seen in these sessions.
        responses: images x voxels, z-scored within session, or percent signal change.
        space: which voxels.
        dropped: reason -> voxels left out.
    """

    images: tuple[int, ...]
    repeats: Int[np.ndarray, " images"]
    responses: Float[np.ndarray, "images voxels"]
    space: Space
    dropped: Mapping[str, int]


def read_rois(folder: Path, subject: str, atlas: str, rois: Sequence[str] | None) -> Space:
    """The voxels of one of the subject's ROI files, in the 1.8-mm preparation.

    Args:
        folder: of the whole set.
        subject: whose.
        atlas: the file's name without its ending: "HCP_MMP1", "streams", "prf-visualrois", "floc-faces".
        rois: labels to take; all where not given. 0 and -1 (outside cortex) are background.

    Raises:
        DataError: no such file or ROI; says the nearest.
    """
    place = folder / "nsddata" / "ppdata" / subject / "func1pt8mm" / "roi"
    here = sorted(path.name.removesuffix(".nii.gz") for path in place.glob("*.nii.gz"))
    if atlas not in here:
        raise DataError(f"{place}: there is no {atlas}.nii.gz. {nearest(atlas, here)}")
    tables = [folder / "nsddata" / "freesurfer" / who / "label" / f"{atlas}.mgz.ctab" for who in (subject, "fsaverage")]
    labels = next((path for path in tables if path.is_file()), None)
    if labels is None:
        raise DataError(f"{atlas}: the names of its labels are not there; get {tables[0]}")
    return read_space(place / f"{atlas}.nii.gz", labels=labels, rois=rois, outside=_OUTSIDE)


def read_networks(table: str | os.PathLike[str] | Mapping[str, str]) -> dict[str, str]:
    """ROI -> network, given or from a CSV or TSV file with the columns roi and network.

    Raises:
        DataError: no such columns, an empty cell, or a ROI in two networks.
    """
    if isinstance(table, Mapping):
        pairs, owner = list(table.items()), "rois"
    else:
        path = Path(table).expanduser()
        if not path.is_file():
            raise DataError(
                f"rois: there is no file {path}; give ROIs as a list, or a table with the columns roi and network"
            )
        rows, owner = read_table(path), str(path)
        for column in ("roi", "network"):
            if column not in rows[0]:
                raise DataError(f"{path}: column {column!r} is missing. {nearest(column, rows[0])}")
        pairs = [(row["roi"], row["network"]) for row in rows]
    found: dict[str, str] = {}
    for roi, network in pairs:
        if not roi or not network or found.get(roi, network) != network:
            raise DataError(f"{owner}: each ROI has one network, got {roi!r}: {network!r} beside {found.get(roi)!r}")
        found[roi] = network
    return found


def read_session(session: Session, space: Space) -> Trials:
    """Percent signal change of a session, trials x voxels (float32).

    Raises:
        DataError: a file that cannot be read, of another number of trials, or on another grid.
        MissingExtraError: h5py (or nibabel) is not installed.
    """
    path, shape = session.file, _shape(space)
    if path.suffix != ".hdf5":
        values, (trials,) = read_values(path, space=space)
        found: tuple[int, ...] = (trials, *shape[::-1])
    else:
        with open_hdf5(path) as file:
            if "betas" not in file:
                raise DataError(f"{path}: there is no 'betas', got {list(file)}; is it another file?")
            found = tuple(int(n) for n in file["betas"].shape)
            values = _rows(file["betas"], space) if found == (TRIALS, *shape[::-1]) else np.empty((0, 0), np.float32)
    if found[:1] != (TRIALS,):
        raise DataError(f"{path}: expected {TRIALS} trials a session, got {found[0]} (shape {found}); get it anew")
    if found[1:] != shape[::-1]:
        raise DataError(
            f"{path}: expected trials x z x y x x = {(TRIALS, *shape[::-1])}, as its ROIs are on, got {found}; "
            "are betas and ROIs of one subject and of the 1.8-mm preparation?"
        )
    return values / np.float32(_SCALE)


def _shape(space: Space) -> tuple[int, int, int]:
    if not isinstance(space.grid, Volume):
        raise DataError("nsd: ROIs should be of voxels, not of vertices")
    return space.grid.shape


def _rows(data: Any, space: Space) -> Trials:
    """Chosen voxels of `betas` (trials x z x y x x: MATLAB's x, y, z, trials), one line along x at a time.

    The published files have one chunk a voxel, so that this reads little more than what is chosen.
    """
    out = np.empty((TRIALS, len(space)), dtype=np.float32)
    x, y, z = np.unravel_index(space.index, _shape(space))
    lines = np.stack([z, y], axis=1)
    for line in np.unique(lines, axis=0):
        mine = np.flatnonzero((lines == line).all(axis=1))
        first, last = int(x[mine].min()), int(x[mine].max())
        out[:, mine] = data[:, int(line[0]), int(line[1]), first : last + 1][:, x[mine] - first]
    return out


def mean_responses(sessions: Sequence[Session], *, space: Space, images: set[int], zscore: bool, subject: str) -> Means:
    """The mean response to each image over its repeats; one session is in memory at a time.

    Args:
        sessions: of one subject.
        space: which voxels; those that are NaN, or constant within a session, are left out.
        images: rows in the stimulus file; trials of others count for the z-score alone.
        zscore: each voxel to mean 0 and standard deviation 1 within each session (all of its trials).
        subject: whose, for the progress bar.

    Raises:
        DataError: a file that cannot be used, or no voxel left.
    """
    rows = {image: row for row, image in enumerate(sorted(images))}
    sums, counts = np.zeros((len(rows), len(space)), dtype=np.float32), np.zeros(len(rows), dtype=np.int64)
    infinite, still = np.zeros(len(space), dtype=bool), np.zeros(len(space), dtype=bool)
    for session in tqdm(sessions, desc=f"nsd {subject}", unit="session"):
        values = read_session(session, space)
        bad = ~np.isfinite(values).all(axis=0)
        infinite |= bad
        still |= ~usable_voxels(values) & ~bad
        good = ~(infinite | still)
        if zscore and good.any():
            values[:, good] = zscore_runs(values[:, good], [str(session.number)] * len(values))
        trials = np.flatnonzero([image in rows for image in session.images.tolist()])
        to = np.array([rows[int(image)] for image in session.images[trials]], dtype=np.int64)
        np.add.at(sums, to, values[trials])
        np.add.at(counts, to, 1)
    reasons = {"NaN or infinite": infinite, "constant within a session": still & ~infinite}
    keep = ~(infinite | still)
    if not keep.any():
        raise DataError(f"nsd, {subject}: no voxel of {len(space)} is finite and varies in every session")
    return Means(
        images=tuple(rows),
        repeats=counts,
        responses=sums[:, keep] / counts[:, None].astype(np.float32),
        space=space.keep(keep),
        dropped={reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()},
    )


def noise_ceiling(ncsnr: PerVoxel, repeats: Int[np.ndarray, " images"]) -> PerVoxel:
    """Highest Pearson r with means over unequally many repeats: the square root of NSD's noise ceiling.

    ncsnr^2 / (ncsnr^2 + mean over images of 1 / repeats), the NSD data manual's formula for images of which some were
    seen three times, some twice and some once: (A/3 + B/2 + C/1) / (A + B + C).

    Args:
        ncsnr: standard deviation of the signal over that of the noise of one trial.
        repeats: how often each image was seen.
    """
    power = np.asarray(ncsnr, dtype=np.float64) ** 2
    return np.sqrt(power / (power + np.mean(1.0 / repeats)))


def with_ceiling(means: Means, path: Path) -> tuple[Means, PerVoxel]:
    """The voxels whose signal-to-noise ratio is known, and the ceiling of each.

    Args:
        means: of a subject.
        path: of the subject's `ncsnr.nii.gz`.

    Raises:
        DataError: no such file, one on another grid, or one without a number for any of the voxels.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; it gives the ceilings: get it from the bucket, it is small")
    image = open_image(path)
    same_grid(image.grid, means.space.grid, str(path), "the ROIs")
    ncsnr = np.asarray(image.read(means.space.index)[0], dtype=np.float64)
    known = np.isfinite(ncsnr) & (ncsnr >= 0)
    if not known.any():
        raise DataError(f"{path} has no number for any of {len(ncsnr)} voxels; is it of another subject?")
    dropped = dict(means.dropped) | ({} if known.all() else {"without ncsnr": int((~known).sum())})
    kept = replace(means, responses=means.responses[:, known], space=means.space.keep(known), dropped=dropped)
    return kept, noise_ceiling(ncsnr[known], means.repeats)
