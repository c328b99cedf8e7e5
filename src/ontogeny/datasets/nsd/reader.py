"""NSD as a Benchmark: one subject's images, z-scored betas averaged over repeats, ceilings from ncsnr."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Float
from tqdm import tqdm
from typing_extensions import override

from ontogeny.assembly import Assembly
from ontogeny.benchmark import Benchmark
from ontogeny.ceilings import noise_ceiling
from ontogeny.datasets.elsewhere import find_elsewhere, folder_of
from ontogeny.datasets.hdf5 import open_hdf5
from ontogeny.datasets.nsd.betas import read_names, read_session, read_volume, roi_voxels
from ontogeny.datasets.nsd.captions import read_captions
from ontogeny.datasets.nsd.design import Design, image_id, read_design
from ontogeny.errors import DataError
from ontogeny.metrics import make_folds
from ontogeny.metrics.encoding import Ridge
from ontogeny.stimuli import Modality, StimulusSet

__all__ = ["ImageBrick", "load_nsd"]

_N_TRIALS = 750
_INFO = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
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
    rois: Sequence[str] | Mapping[str, str] | None = None,
    captions: Sequence[str | os.PathLike[str]] | None = None,
) -> Benchmark:
    """One subject: betas of the 1.8 mm preparation, z-scored within session, averaged over repeats.

    Args:
        folder: laid out as the public bucket is; None: `nsd2022` in a data folder.
        subject: 1 to 8. Own images differ between subjects, so a benchmark is of one.
        images: "own" (seen by this subject only), "shared" (meant for all subjects) or "all".
        sessions: from 1.
        atlas: `roi/ATLAS.nii.gz`: HCP_MMP1, prf-visualrois, streams, ...
        labels: table of the atlas's names; None: `nsddata/freesurfer/subjNN/label/ATLAS.mgz.ctab`.
        rois: only these; only their voxels are read. Or ROI -> what it is called here, its network for instance: no
            table from HCP_MMP1 to the networks of Yeo et al. 2011 comes with NSD; `ontogeny.findings.read_groups` reads
            yours.
        captions: COCO's captions_train2017.json and captions_val2017.json: models read each image's first caption
            in place of the image. None: images.

    Raises:
        DataError: files or options that cannot be used; names them.
        DatasetNotFoundError: the folder is not on this machine; says where to get it.
    """
    if images not in ("own", "shared", "all") or not sessions or len(set(sessions)) < len(sessions):
        raise DataError(f"nsd2022: images is 'own', 'shared' or 'all', sessions differ; got {images!r}, {sessions}")
    root, who = folder_of("nsd2022", folder), f"subj{subject:02d}"
    design = read_design(root / _DESIGN)
    design.shown(subject, max(sessions), _N_TRIALS)
    volume = read_volume(root / f"nsddata/ppdata/{who}/{_SPACE}/roi/{atlas}.nii.gz")
    table = root / f"nsddata/freesurfer/{who}/label/{atlas}.mgz.ctab" if labels is None else Path(labels)
    wanted = None if rois is None else tuple(rois)
    places, areas = roi_voxels(volume, read_names(table), wanted)
    roi = [rois[area] for area in areas] if isinstance(rois, Mapping) else list(areas)
    betas = root / f"nsddata_betas/ppdata/{who}/{_SPACE}/{_BETAS}"
    ncsnr = read_volume(betas / "ncsnr.nii.gz")
    if ncsnr.shape != volume.shape:
        raise DataError(f"{betas / 'ncsnr.nii.gz'}: expected {volume.shape} as the ROI volume, got {ncsnr.shape}")
    trials = (
        (design.shown(subject, session, _N_TRIALS), read_session(betas, session, places, volume.shape))
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
        ceiling=noise_ceiling(noise[good], np.asarray(means.counts)),
        ceiling_source="ncsnr of all sessions of the data set: sqrt(ncsnr^2 / (ncsnr^2 + mean of 1/n repeats))",
    )
    how = (
        f"{images} images, {len(sessions)} sessions; {int((~good).sum())} voxels dropped (constant in a session or NaN)"
    )
    if captions is None:
        return _benchmark(assembly, "image", ImageBrick(root / _STIMULI, means.rows), how)
    read = read_captions(root / _INFO, [Path(path) for path in captions], means.rows)
    return _benchmark(assembly, "text", read, f"{how}; the first caption of each image is read")


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


def _benchmark(assembly: Assembly, modality: Modality, inputs: Sequence[Any], how: str) -> Benchmark:
    known = find_elsewhere("nsd2022")
    ids = assembly.stimulus_ids
    return Benchmark(
        name=f"nsd2022-{assembly.subject}{'-captions' * (modality == 'text')}",
        version="1",
        citation=known.citation,
        licence=known.terms,
        about=f"{known.title}: {how}.",
        simulated=False,
        stimuli=StimulusSet(name="nsd2022", modality=modality, ids=ids, inputs=inputs),
        assemblies=(assembly,),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(ids), n_folds=5, seed=0),
    )
