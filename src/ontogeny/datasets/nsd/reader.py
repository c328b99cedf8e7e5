"""NSD as a Benchmark: one subject's images, z-scored betas averaged over repeats, ceilings from ncsnr."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Float
from tqdm import tqdm
from typing_extensions import override

from ontogeny.assembly import Assembly
from ontogeny.benchmark import Benchmark
from ontogeny.datasets.elsewhere import find_elsewhere, folder_of
from ontogeny.datasets.hdf5 import open_hdf5
from ontogeny.datasets.nsd.betas import read_names, read_session, read_volume, roi_voxels
from ontogeny.datasets.nsd.design import Design, image_id, read_design
from ontogeny.errors import DataError
from ontogeny.metrics import make_folds
from ontogeny.metrics.encoding import Ridge
from ontogeny.stimuli import StimulusSet

__all__ = ["ImageBrick", "ceilings", "load_nsd"]

_N_TRIALS = 750
_DESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
_STIMULI = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
_BETAS = "betas_fithrf_GLMdenoise_RR"
_SPACE = "func1pt8mm"


class ImageBrick(Sequence[np.ndarray]):
    """Rows of `imgBrick` (images x height x width x 3, uint8), each read when asked for."""

    def __init__(self, path: Path, rows: Sequence[int]) -> None:
        with open_hdf5(path) as file:
            if "imgBrick" not in file:
                raise DataError(f"{path} should hold a data set 'imgBrick', got {list(file)}")
            n = file["imgBrick"].shape[0]
        if max(rows) >= n:
            raise DataError(f"{path} has {n} images, but trials showed number {max(rows)} (from 0); is it cut short?")
        self._path, self._rows = path, tuple(rows)

    @override
    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> ImageBrick: ...
    @override
    def __getitem__(self, index: int | slice) -> np.ndarray | ImageBrick:
        if isinstance(index, slice):
            return ImageBrick(self._path, self._rows[index])
        with open_hdf5(self._path) as file:
            return np.asarray(file["imgBrick"][self._rows[index]])


def ceilings(ncsnr: Float[np.ndarray, " voxels"], counts: Sequence[int]) -> Float[np.ndarray, " voxels"]:
    """Highest Pearson r of means over repeats: sqrt(ncsnr^2 / (ncsnr^2 + mean of 1/n)), n repeats an image."""
    square = np.square(ncsnr)
    return np.asarray(np.sqrt(square / (square + np.mean(1 / np.asarray(counts, dtype=np.float64)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    rows: tuple[int, ...]
    counts: tuple[int, ...]
    values: Float[np.ndarray, "images voxels"]


def load_nsd(
    *,
    folder: str | os.PathLike[str] | None = None,
    subject: int = 1,
    images: str = "own",
    sessions: Sequence[int] = tuple(range(1, 38)),
    atlas: str = "HCP_MMP1",
    labels: str | os.PathLike[str] | None = None,
    rois: Sequence[str] | None = None,
    n_trials: int = _N_TRIALS,
) -> Benchmark:
    """One subject: betas of the 1.8 mm preparation, z-scored within session, averaged over repeats.

    Args:
        folder: laid out as the public bucket is; None: `nsd2022` in a data folder.
        subject: 1 to 8. Own images differ between subjects, so a benchmark is of one.
        images: "own" (seen by this subject only), "shared" (meant for all subjects) or "all".
        sessions: from 1.
        atlas: `roi/ATLAS.nii.gz`: HCP_MMP1, prf-visualrois, streams, ...
        labels: table of the atlas's names; None: `nsddata/freesurfer/subjNN/label/ATLAS.mgz.ctab`.
        rois: only these; only their voxels are read.
        n_trials: a session.

    Raises:
        DataError: files or options that cannot be used; names them.
        DatasetNotFoundError: the folder is not on this machine; says where to get it.
    """
    if images not in ("own", "shared", "all") or not sessions or len(set(sessions)) < len(sessions):
        raise DataError(f"nsd2022: images is 'own', 'shared' or 'all', sessions differ; got {images!r}, {sessions}")
    root, who = folder_of("nsd2022", folder), f"subj{subject:02d}"
    design = read_design(root / _DESIGN)
    design.shown(subject, max(sessions), n_trials)
    volume = read_volume(root / f"nsddata/ppdata/{who}/{_SPACE}/roi/{atlas}.nii.gz")
    table = root / f"nsddata/freesurfer/{who}/label/{atlas}.mgz.ctab" if labels is None else Path(labels)
    places, roi = roi_voxels(volume, read_names(table), None if rois is None else tuple(rois))
    betas = root / f"nsddata_betas/ppdata/{who}/{_SPACE}/{_BETAS}"
    ncsnr = read_volume(betas / "ncsnr.nii.gz")
    if ncsnr.shape != volume.shape:
        raise DataError(f"{betas / 'ncsnr.nii.gz'}: expected {volume.shape} as the ROI volume, got {ncsnr.shape}")
    trials = (
        (design.shown(subject, session, n_trials), read_session(betas, session, places, volume.shape))
        for session in tqdm(sorted(sessions), desc=f"nsd2022 {who}", unit="session")
    )
    means = _average(trials, design, images)
    noise = ncsnr[tuple(places.T)]
    good = np.isfinite(means.values).all(axis=0) & np.isfinite(noise) & (np.ptp(means.values, axis=0) > 0)
    if not good.any():
        raise DataError(f"nsd2022: all {good.size} voxels are constant or NaN in one of the sessions or in ncsnr")
    assembly = Assembly(
        name="nsd2022, betas (z)",
        subject=who,
        stimulus_ids=tuple(map(image_id, means.rows)),
        responses=means.values[:, good],
        roi=tuple(np.asarray(roi)[good].tolist()),
        ceiling=ceilings(noise[good], means.counts),
        ceiling_source="ncsnr of all sessions of the data set: sqrt(ncsnr^2 / (ncsnr^2 + mean of 1/n repeats))",
    )
    pictures = ImageBrick(root / _STIMULI, means.rows)
    return _benchmark(assembly, pictures, f"{images} images, {len(sessions)} sessions", int((~good).sum()))


def _average(
    trials: Iterator[tuple[Sequence[int], Float[np.ndarray, "trials voxels"]]], design: Design, images: str
) -> _Means:
    """Z-scored over all of a session's trials, then summed image by image: one session in memory at a time."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for shown, values in trials:
        if len(values) != len(shown):
            raise DataError(f"nsd2022: a session should have {len(shown)} trials, its betas have {len(values)}")
        spread = values.std(axis=0, dtype=np.float64)
        spread[np.ptp(values, axis=0) == 0] = np.nan
        scored = (values - values.mean(axis=0, dtype=np.float64)) / spread
        for image, row in zip(shown, scored, strict=True):
            if images == "all" or (image in design.shared) == (images == "shared"):
                sums[image] = sums[image] + row if image in sums else row.copy()
                counts[image] = counts.get(image, 0) + 1
    if not sums:
        raise DataError(f"nsd2022: no trial of these sessions showed an image of the kind {images!r}")
    rows = tuple(sorted(sums))
    values = np.stack([sums[row] / counts[row] for row in rows]).astype(np.float32)
    return _Means(rows=rows, counts=tuple(counts[row] for row in rows), values=values)


def _benchmark(assembly: Assembly, pictures: ImageBrick, chosen: str, dropped: int) -> Benchmark:
    known = find_elsewhere("nsd2022")
    ids = assembly.stimulus_ids
    return Benchmark(
        name=f"nsd2022-{assembly.subject}",
        version="1",
        citation=known.citation,
        licence=known.terms,
        about=f"{known.title}: {chosen}; {dropped} voxels dropped (constant in a session, or NaN).",
        simulated=False,
        stimuli=StimulusSet(name="nsd2022", modality="image", ids=ids, inputs=pictures),
        assemblies=(assembly,),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(ids), n_folds=5, seed=0),
    )
