"""NSD as a Benchmark: images that one or several subjects saw, z-scored betas, mean over repeats, ceilings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm
from typing_extensions import override

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.brain.noise_ceiling import noise_ceiling
from ontogeny.datasets.manual_datasets import find_elsewhere, folder_of
from ontogeny.datasets.readers.nsd._coco_captions import read_captions
from ontogeny.datasets.readers.nsd._nsd_betas import read_names, read_session, read_volume, roi_voxels
from ontogeny.datasets.readers.nsd._nsd_design import Design, image_id, read_design
from ontogeny.errors import DataError
from ontogeny.metrics import Ridge, make_folds
from ontogeny.neuroimaging.hdf5_files import open_hdf5
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
            kind, shape = file["imgBrick"].dtype, file["imgBrick"].shape
        if kind != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise DataError(f"{path}: imgBrick should be uint8, images x height x width x 3, got {kind} {shape}")
        n = shape[0]
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

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        with open_hdf5(self._path) as file:
            for row in self._rows:
                yield np.asarray(file["imgBrick"][row])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    rows: tuple[int, ...]
    counts: Int[np.ndarray, " images"]
    values: Float[np.ndarray, "images voxels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voxels:
    """Of one subject: places of the ROIs' voxels in a volume, each one's ROI and ncsnr."""

    subject: int
    betas: Path
    shape: tuple[int, ...]
    places: Int[np.ndarray, "voxels 3"]
    roi: tuple[str, ...]
    ncsnr: Float[np.ndarray, " voxels"]

    @property
    def who(self) -> str:
        return f"subj{self.subject:02d}"


def load_nsd(
    *,
    folder: str | os.PathLike[str] | None = None,
    subject: int | Sequence[int] = 1,
    images: str = "own",
    sessions: Sequence[int] = tuple(range(1, 38)),
    atlas: str = "HCP_MMP1",
    labels: str | os.PathLike[str] | None = None,
    rois: Sequence[str] | Mapping[str, str] | None = None,
    captions: Sequence[str | os.PathLike[str]] | None = None,
) -> Benchmark:
    """Betas of the 1.8 mm preparation, z-scored within session, averaged over repeats.

    Args:
        folder: laid out as the public bucket is; None: `nsd2022` in a data folder.
        subject: 1 to 8, or several. With images="shared" the stimuli are those that each of them saw in these sessions;
            else each is scored on the images that it saw itself (`Benchmark.own_stimuli`).
        images: "own" (seen by this subject only), "shared" (meant for all subjects) or "all".
        sessions: from 1; the same of every subject (3 and 6 have 32, 4 and 8 have 30, the others 40).
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
    subject_numbers = (subject,) if isinstance(subject, int) else tuple(subject)
    _check(subject_numbers, images, sessions)
    root = folder_of("nsd2022", folder)
    design = read_design(root / _DESIGN)
    for one in subject_numbers:
        design.shown(one, max(sessions), _N_TRIALS)
    seen = _seen(design, subject_numbers, images, sessions)
    rows = tuple(sorted(set().union(*seen)))
    found = [
        _assembly(_voxels(root, one, atlas, labels, rois), design, own_ids, sessions)
        for one, own_ids in zip(subject_numbers, seen, strict=True)
    ]
    assemblies = tuple(assembly for assembly, _ in found)
    dropped = ", ".join(f"{one.subject}: {n} voxels dropped" for one, n in found)
    how = f"{images} images, {len(sessions)} sessions; {dropped} (constant in a session or NaN)"
    kind = f"{'-'.join(one.subject for one in assemblies)}-{images}"
    if captions is None:
        return _benchmark(kind, assemblies, "image", (rows, ImageBrick(root / _STIMULI, rows)), how)
    read = read_captions(root / _INFO, [Path(path) for path in captions], rows)
    return _benchmark(
        f"{kind}-captions", assemblies, "text", (rows, read), f"{how}; the first caption of each image is read"
    )


def _check(subject_numbers: Sequence[int], images: str, sessions: Sequence[int]) -> None:
    if images not in ("own", "shared", "all") or not sessions or len(set(sessions)) < len(sessions):
        raise DataError(f"nsd2022: images is 'own', 'shared' or 'all', sessions differ; got {images!r}, {sessions}")
    if not subject_numbers or len(set(subject_numbers)) < len(subject_numbers):
        raise DataError(f"nsd2022: subject is one of 1 to 8 or several, each once, got {list(subject_numbers)}")


def _seen(
    design: Design, subject_numbers: Sequence[int], images: str, sessions: Sequence[int]
) -> list[tuple[int, ...]]:
    """Images of the kind asked for that each subject saw in these sessions, rising; of shared ones, that all saw."""
    seen = [{row for session in sessions for row in design.shown(one, session, _N_TRIALS)} for one in subject_numbers]
    if images == "shared":
        seen = [set.intersection(*seen)] * len(seen)
    kind = [
        rows if images == "all" else {r for r in rows if (r in design.shared) == (images == "shared")} for rows in seen
    ]
    if not all(kind):
        raise DataError(
            f"nsd2022: no image of the kind {images!r} was shown to "
            f"{' and '.join(f'subject {one}' for one in subject_numbers)} in these sessions; take more of them"
        )
    return [tuple(sorted(rows)) for rows in kind]


def _voxels(
    root: Path,
    subject: int,
    atlas: str,
    labels: str | os.PathLike[str] | None,
    rois: Sequence[str] | Mapping[str, str] | None,
) -> _Voxels:
    who = f"subj{subject:02d}"
    volume = read_volume(root / f"nsddata/ppdata/{who}/{_SPACE}/roi/{atlas}.nii.gz")
    table = root / f"nsddata/freesurfer/{who}/label/{atlas}.mgz.ctab" if labels is None else Path(labels)
    places, areas = roi_voxels(volume, read_names(table), None if rois is None else tuple(rois))
    betas = root / f"nsddata_betas/ppdata/{who}/{_SPACE}/{_BETAS}"
    ncsnr = read_volume(betas / "ncsnr.nii.gz")
    if ncsnr.shape != volume.shape:
        raise DataError(f"{betas / 'ncsnr.nii.gz'}: expected {volume.shape} as the ROI volume, got {ncsnr.shape}")
    return _Voxels(
        subject=subject,
        betas=betas,
        shape=volume.shape,
        places=places,
        roi=tuple(rois[area] for area in areas) if isinstance(rois, Mapping) else areas,
        ncsnr=ncsnr[tuple(places.T)],
    )


def _assembly(voxels: _Voxels, design: Design, rows: tuple[int, ...], sessions: Sequence[int]) -> tuple[Assembly, int]:
    """Responses and ceilings of the voxels that can be used, and how many cannot."""
    means = _average(voxels, design, rows, sessions)
    good = np.isfinite(means.values).all(axis=0) & np.isfinite(voxels.ncsnr) & (np.ptp(means.values, axis=0) > 0)
    if not good.any():
        raise DataError(
            f"nsd2022, {voxels.who}: all {good.size} voxels are constant or NaN in one of the sessions or in ncsnr"
        )
    assembly = Assembly(
        name="nsd2022, betas (z)",
        subject=voxels.who,
        stimulus_ids=tuple(map(image_id, rows)),
        responses=means.values[:, good],
        roi=tuple(np.asarray(voxels.roi)[good].tolist()),
        ceiling=noise_ceiling(voxels.ncsnr[good], means.counts),
        ceiling_source="ncsnr of all sessions of the data set: sqrt(ncsnr^2 / (ncsnr^2 + mean of 1/n repeats))",
    )
    return assembly, int((~good).sum())


def _average(voxels: _Voxels, design: Design, rows: tuple[int, ...], sessions: Sequence[int]) -> _Means:
    """Z-scored over all of a session's trials, then summed image by image: one session in memory at a time."""
    place = {image: row for row, image in enumerate(rows)}
    sums, counts = np.zeros((len(rows), len(voxels.places)), dtype=np.float32), np.zeros(len(rows), dtype=np.int64)
    for session in tqdm(sorted(sessions), desc=f"nsd2022 {voxels.who}", unit="session"):
        shown = design.shown(voxels.subject, session, _N_TRIALS)
        values = read_session(voxels.betas, session, voxels.places, voxels.shape)
        if len(values) != len(shown):
            raise DataError(
                f"nsd2022, {voxels.who}: session {session} should have {len(shown)} trials, its betas have "
                f"{len(values)}; get betas_session{session:02d} anew"
            )
        spread = values.std(axis=0, dtype=np.float64)
        spread[np.ptp(values, axis=0) == 0] = np.nan
        values = ((values - values.mean(axis=0, dtype=np.float64)) / spread).astype(np.float32)
        trials = [trial for trial, image in enumerate(shown) if image in place]
        to = np.array([place[shown[trial]] for trial in trials], dtype=np.int64)
        np.add.at(sums, to, values[trials])
        np.add.at(counts, to, 1)
    sums /= counts[:, None].astype(np.float32)
    return _Means(rows=rows, counts=counts, values=sums)


def _benchmark(
    kind: str,
    assemblies: tuple[Assembly, ...],
    modality: Modality,
    shown: tuple[Sequence[int], Sequence[Any]],
    how: str,
) -> Benchmark:
    known = find_elsewhere("nsd2022")
    ids, own = tuple(map(image_id, shown[0])), len({a.stimulus_ids for a in assemblies}) > 1
    saw = [frozenset(a.stimulus_ids) for a in assemblies]
    strata = ["".join("01"[name in own_ids] for own_ids in saw) for name in ids] if own else None
    return Benchmark(
        name=f"nsd2022-{kind}",
        version="1",
        citation=known.citation,
        licence=known.terms,
        about=f"{known.title}: {how}.",
        simulated=False,
        stimuli=StimulusSet(name="nsd2022", modality=modality, ids=ids, inputs=shown[1]),
        assemblies=assemblies,
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(ids), n_folds=5, strata=strata, seed=0),
        own_stimuli=own,
    )
