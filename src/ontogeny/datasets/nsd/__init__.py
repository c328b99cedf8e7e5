"""The Natural Scenes Dataset: photographs (or their captions) x voxels of up to 8 participants at 7 T.

design.py       which image each trial shows; sessions
responses.py    betas of chosen voxels, a session at a time; ceilings
stimuli.py      photographs that stay in their file; captions

Files lie as in the public bucket. The 1.8-mm preparation and the betas of version 3 (`betas_fithrf_GLMdenoise_RR`)
are read. Terms are those of the NSD data manual (cvnlab.slite.page).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ontogeny._arrays import PerVoxel
from ontogeny.assembly import Assembly
from ontogeny.benchmark import MIN_STIMULI, Benchmark
from ontogeny.datasets.elsewhere import find_elsewhere, folder_of
from ontogeny.datasets.nsd.design import Design, Images, Session, chosen_sessions, image_id, read_design, subject_names
from ontogeny.datasets.nsd.responses import Means, mean_responses, read_networks, read_rois, with_ceiling
from ontogeny.datasets.nsd.stimuli import Photographs, read_captions
from ontogeny.errors import DataError
from ontogeny.imaging.space import Space
from ontogeny.metrics import make_folds
from ontogeny.metrics.encoding import Ridge
from ontogeny.stimuli import Modality, StimulusSet

__all__ = ["load_nsd"]

Rois: TypeAlias = Sequence[str] | Mapping[str, str] | str | os.PathLike[str] | None

_BETAS = "betas_fithrf_GLMdenoise_RR"
_KNOWN = (
    "square root of the noise ceiling of the NSD data manual, ncsnr^2 / (ncsnr^2 + mean of 1 / repeats over these "
    "images): what the noise of a mean over an image's repeats allows"
)
_WHICH = {
    "all": "images, all that the participant saw",
    "shared": "images, those of the 1,000 shared ones that all of these participants saw",
    "unique": "images that no other participant saw (without the 1,000 shared ones)",
}
_WHAT = {"image": "photographs", "text": "captions, of each image that with COCO's lowest annotation id"}
_ABOUT = (
    "{n} {which}. Stimuli are {what}. Single-trial betas (1.8 mm, betas_fithrf_GLMdenoise_RR), {unit}, mean over an "
    "image's repeats. ROIs of {atlas}. {subjects}."
)


def load_nsd(
    *,
    folder: str | os.PathLike[str] | None = None,
    subjects: Sequence[str] = ("subj01",),
    sessions: str = "all",
    images: Images = "shared",
    atlas: str = "streams",
    rois: Rois = None,
    modality: Modality = "image",
    zscore: bool = True,
) -> Benchmark:
    """Photographs, or their captions, and the voxels of one or several subjects.

    A benchmark has one set of stimuli. So several subjects go together with images="shared" alone, which takes those
    that all of them saw; "all" and "unique" are for one subject. Fewer sessions have fewer images.

    Args:
        folder: of the set, as in the bucket; where not given, `nsd` in a data folder.
        subjects: "subj01" to "subj08".
        sessions: "all" from the first to the last that is there, or "1-37", "1,3,5-8": the same of every subject.
        images: "shared", "unique" or "all".
        atlas: a ROI file of the subject: "streams", "HCP_MMP1", "prf-visualrois", "floc-faces" and so on.
        rois: its labels; all where not given. Or ROI -> network, given or as the path of a table with the columns roi
            and network: then a network's ROIs are joined, and ROIs that it does not name are left out.
        modality: "image", or "text" for captions (of each image that with COCO's lowest annotation id).
        zscore: each voxel within each session, over all of its trials; or else percent signal change.

    Raises:
        DataError: a file or option that cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
        MissingExtraError: h5py or nibabel is not installed.
    """
    about = find_elsewhere("nsd")
    _check(images, modality, subjects)
    place = folder_of(about.name, folder)
    design = read_design(place)
    whose = {
        one: chosen_sessions(_betas(place, one), one, sessions, design)
        for one in subject_names(place, subjects, design)
    }
    shown = _common(whose, design, images)
    stimuli = _stimuli(place, shown, modality, _name(tuple(whose), images, modality))
    spaces = {one: _space(place, one, atlas, rois) for one in whose}
    found = {one: _means(place, one, of, spaces[one], shown, zscore=zscore) for one, of in whose.items()}
    return Benchmark(
        name=stimuli.name,
        version="1",
        citation=about.citation,
        licence=about.terms,
        about=_ABOUT.format(
            n=len(stimuli),
            which=_WHICH[images],
            what=_WHAT[modality],
            unit="z-scored within session" if zscore else "percent signal change",
            atlas=f"{atlas}{', joined by a table of the user' if _joins(rois) else ''}",
            subjects="; ".join(_said(one, whose[one], means) for one, (means, _) in found.items()),
        ),
        simulated=False,
        stimuli=stimuli,
        assemblies=tuple(_assembly(one, stimuli, *parts, zscore=zscore) for one, parts in found.items()),
        metrics=(Ridge(rule="gcv"),),
        folds=make_folds(len(stimuli), n_folds=5, seed=0),
    )


def _betas(folder: Path, subject: str) -> Path:
    return folder / "nsddata_betas" / "ppdata" / subject / "func1pt8mm" / _BETAS


def _check(images: str, modality: str, subjects: Sequence[str]) -> None:
    if isinstance(subjects, str):
        raise DataError(f"nsd: subjects should be a list, e.g. [{subjects!r}], got {subjects!r}")
    if images not in _WHICH:
        raise DataError(f"nsd: images should be 'all', 'shared' or 'unique', got {images!r}")
    if modality not in _WHAT:
        raise DataError(f"nsd: modality should be 'image' or 'text' (captions), got {modality!r}")
    if images != "shared" and len(subjects) > 1:
        raise DataError(
            f"nsd: {list(subjects)} saw different images, and a benchmark has one set of stimuli; say images='shared', "
            f"or load each subject on its own with images={images!r}"
        )


def _common(whose: Mapping[str, Sequence[Session]], design: Design, images: Images) -> tuple[int, ...]:
    """The images that all subjects saw in these sessions, rising."""
    seen = [
        design.wanted(images, set(np.concatenate([session.images for session in sessions]).tolist()))
        for sessions in whose.values()
    ]
    common = tuple(sorted(set.intersection(*seen)))
    if len(common) < MIN_STIMULI:
        raise DataError(
            f"nsd: {list(whose)} have {len(common)} {images} images in common in these sessions, fewer than "
            f"{MIN_STIMULI}; take more sessions or fewer subjects"
        )
    return common


def _name(subjects: tuple[str, ...], images: str, modality: str) -> str:
    whose = [] if images == "shared" else list(subjects)
    return "-".join(["nsd", *whose, images, *(["captions"] if modality == "text" else [])])


def _stimuli(folder: Path, shown: tuple[int, ...], modality: Modality, name: str) -> StimulusSet:
    inputs: Sequence[Any]
    if modality == "text":
        inputs = read_captions(folder, shown)
    else:
        inputs = Photographs(folder / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5", shown)
    return StimulusSet(name=name, modality=modality, ids=tuple(map(image_id, shown)), inputs=inputs)


def _joins(rois: Rois) -> bool:
    return isinstance(rois, str | os.PathLike | Mapping)


def _space(folder: Path, subject: str, atlas: str, rois: Rois) -> Space:
    if not isinstance(rois, str | os.PathLike | Mapping):
        return read_rois(folder, subject, atlas, rois)
    networks = read_networks(rois)
    space = read_rois(folder, subject, atlas, tuple(networks))
    return replace(space, roi=tuple(networks[roi] for roi in space.roi))


def _means(
    folder: Path, subject: str, sessions: Sequence[Session], space: Space, shown: Sequence[int], *, zscore: bool
) -> tuple[Means, PerVoxel]:
    means = mean_responses(sessions, space=space, images=set(shown), zscore=zscore, subject=subject)
    return with_ceiling(means, _betas(folder, subject) / "ncsnr.nii.gz")


def _said(subject: str, sessions: Sequence[Session], means: Means) -> str:
    times, images = np.unique(means.repeats, return_counts=True)
    repeats = ", ".join(f"{n} seen {time} x" for time, n in zip(times, images, strict=True))
    dropped = ", ".join(f"{n} {reason}" for reason, n in means.dropped.items()) or "none"
    return f"{subject} {len(sessions)} sessions, {repeats}; {len(means.space)} voxels, left out: {dropped}"


def _assembly(subject: str, stimuli: StimulusSet, means: Means, ceiling: PerVoxel, *, zscore: bool) -> Assembly:
    return Assembly(
        name=f"nsd, BOLD ({'z' if zscore else '% signal change'})",
        subject=subject,
        stimulus_ids=stimuli.ids,
        responses=means.responses,
        roi=means.space.roi,
        ceiling=ceiling,
        ceiling_source=_KNOWN,
    )
