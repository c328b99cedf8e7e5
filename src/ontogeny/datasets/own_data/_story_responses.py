"""One subject's responses to stories: arrays or BOLD, a run a story and repeat, z-scored -> an assembly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets.folder.voxel_coordinates import as_places
from ontogeny.datasets.folder.voxel_extras import FolderSpace
from ontogeny.datasets.own_data._array_files import ResponseTable, read_array
from ontogeny.datasets.own_data._from_images import atlases_said, image_space, space_name
from ontogeny.datasets.own_data._subject_assembly import AssemblyRules, Subject, Voxels, subject_of, voxel_columns
from ontogeny.datasets.own_data._whose_files import rois_of
from ontogeny.datasets.own_data.image_files import Images, by_side
from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import RunKey
from ontogeny.neuroimaging.image_opening import open_image, repetition_time
from ontogeny.neuroimaging.run_preprocessing import detrend_runs, zscore_runs
from ontogeny.neuroimaging.story_words import Story
from ontogeny.neuroimaging.voxel_masks import Space, same_grid
from ontogeny.stimuli import StimulusSet

__all__ = ["Heard", "HeardRun", "heard_of", "read_heard"]

_ARRAYS = (".npy", ".safetensors")
_TR_APART = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardRun:
    """One hearing of one story: how many volumes, their TR where the file says it, and their values when needed."""

    path: Path
    n_volumes: int
    tr: float | None
    values: Callable[[], Float[np.ndarray, "volumes voxels"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One subject's runs: story -> one a repeat; and what is known of its voxels."""

    subject: str
    runs: Mapping[str, Sequence[HeardRun]]
    spaces: tuple[Space, ...] = ()
    images: Images | None = None

    def repeats(self) -> list[tuple[str, str]]:
        """Which files are taken for repeats of one story, to be said."""
        several = {story: runs for story, runs in self.runs.items() if len(runs) > 1}
        return [
            (
                "repeats",
                f"subject {self.subject}, {story}: {len(runs)} hearings of one story, "
                f"{', '.join(dict.fromkeys(run.path.name for run in runs))}",
            )
            for story, runs in several.items()
        ]


def read_heard(subject: str, files: Mapping[str, Sequence[Path]], images: Images | None) -> Heard:
    """Open one subject's files; values are read later, run by run.

    Args:
        subject: whose.
        files: story -> one a repeat; of surfaces one a hemisphere and repeat.
        images: atlas and options, where the files are BOLD.

    Raises:
        DataError: a file of another subject, of another kind, or on another grid.
    """
    own_key = RunKey.of({"sub": subject})
    every = [path for paths in files.values() for path in paths]
    for path in every:
        if own_key.against(RunKey.of_file(path)):
            raise DataError(f"{path.name} is given for subject {subject!r}, but its name says another one; which?")
        if (images is None) is not (path.suffix.lower() in _ARRAYS):
            raise DataError(
                f"{path}: responses to stories are .npy or .safetensors (--responses), or images with an atlas (--bold)"
            )
    doubled = [path for path in every if every.count(path) > 1]
    if doubled:
        raise DataError(f"subject {subject!r}: {doubled[0].name} is given twice; each run is of one story")
    if images is None:
        return Heard(subject=subject, runs={story: _arrays(paths) for story, paths in files.items()})
    sides = by_side(subject, images, every)
    spaces = [image_space(images, prefix, betas, atlas) for prefix, betas, atlas in sides]
    hemispheres = [set(betas) for _, betas, _ in sides]
    runs = {story: _bold(paths, spaces, hemispheres, story) for story, paths in files.items()}
    return Heard(subject=subject, runs=runs, spaces=tuple(spaces), images=images)


def _arrays(paths: Sequence[Path]) -> list[HeardRun]:
    runs = []
    for path in paths:
        values = read_array(path)
        if values.ndim not in (2, 3):
            raise DataError(f"{path}: expected volumes x voxels or repeats x volumes x voxels, got {values.shape}")
        parts = values if values.ndim == 3 else [values]
        runs += [HeardRun(path=path, n_volumes=len(one), tr=None, values=partial(np.asarray, one)) for one in parts]
    return runs


def _bold(paths: Sequence[Path], spaces: Sequence[Space], sides: Sequence[set[Path]], story: str) -> list[HeardRun]:
    """Runs of one story; of surfaces the two hemispheres of each side by side."""
    columns = [[path for path in paths if path in side] for side in sides]
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"story {story!r}: the hemispheres have {[len(c) for c in columns]} files; give one of each")
    runs = []
    for files in zip(*columns, strict=True):
        opened = [open_image(path) for path in files]
        for image, space in zip(opened, spaces, strict=True):
            same_grid(image.grid, space.grid, str(image.path), "the atlas")
        if len({image.n_maps for image in opened}) > 1:
            raise DataError(f"{files[0].name} and {files[1].name} have other numbers of volumes; are they of one run?")

        def values(opened: Sequence[Any] = opened) -> np.ndarray:
            return np.concatenate([o.read(s.index) for o, s in zip(opened, spaces, strict=True)], axis=1)

        runs.append(HeardRun(path=files[0], n_volumes=opened[0].n_maps, tr=repetition_time(opened[0]), values=values))
    return runs


def heard_of(
    heard: Heard,
    stories: Sequence[Story],
    stimuli: StimulusSet,
    *,
    drift: int | None,
    rois: Mapping[str, Path] | None,
    rules: AssemblyRules,
) -> Subject:
    """The subject's assembly: runs z-scored within story over the volumes that are left, repeats averaged and kept.

    Args:
        heard: its runs.
        stories: in the order of the stimuli.
        stimuli: the volumes that are left.
        drift: order of the polynomial that is taken out of each run first; None: nothing is.
        rois: subject -> table with `roi`, one row per voxel, of arrays.
        rules: of all subjects.

    Raises:
        DataError: another TR, other numbers of voxels, or bad voxels.
    """
    _check_tr(heard, stories)
    n = max(len(heard.runs[story.name]) for story in stories)
    blocks = []
    for story in stories:
        cleaned = [_cleaned(run, story, drift) for run in heard.runs[story.name]]
        if len({one.shape[1] for one in cleaned}) > 1:
            raise DataError(f"story {story.name!r} of subject {heard.subject!r}: runs have other numbers of voxels")
        missing = np.full_like(cleaned[0], np.nan)
        blocks.append(np.stack([*cleaned, *[missing] * (n - len(cleaned))]))
    if len({block.shape[2] for block in blocks}) > 1:
        raise DataError(f"subject {heard.subject!r}: stories have {[b.shape[2] for b in blocks]} voxels; give the same")
    values = np.concatenate(blocks, axis=1)
    voxels = _voxels(heard, values, (rois or {}).get(heard.subject), drift)
    return subject_of(
        heard.subject,
        values[0] if n == 1 else values,
        voxels,
        ids=stimuli.ids,
        rules=rules,
    )


def _check_tr(heard: Heard, stories: Sequence[Story]) -> None:
    for story in stories:
        tr = float(np.diff(story.volume_times).mean())
        for run in heard.runs[story.name]:
            if run.tr is not None and abs(run.tr - tr) > _TR_APART * tr:
                raise DataError(f"{run.path.name} has a TR of {run.tr:g} s, but {tr:g} s is given; which is right?")


def _cleaned(run: HeardRun, story: Story, drift: int | None) -> Float[np.ndarray, "volumes voxels"]:
    """The volumes that are left, z-scored within story (within block); NaN where a voxel is constant or not finite."""
    values = np.asarray(run.values()[: len(story.volume_times)], dtype=np.float64)
    whole = [story.name] * len(values)
    if drift is not None:
        values = detrend_runs(np.where(np.isfinite(values), values, np.nan), whole, order=drift)
    cuts = story.blocks()
    out = np.full((sum(map(len, cuts.values())), values.shape[1]), np.nan, dtype=np.float32)
    start = 0
    for group, volumes in cuts.items():
        part = values[volumes]
        good = usable_voxels(part)
        out[start : start + len(part), good] = zscore_runs(part[:, good], [group] * len(part))
        start += len(part)
    return out


def _voxels(heard: Heard, values: np.ndarray, rois: Path | None, drift: int | None) -> Voxels:
    """What is known of the voxels, and how responses were made of their files."""
    count = sum(len(runs) for runs in heard.runs.values())
    cleaned = "" if drift is None else f"polynomials up to order {drift} taken out of each run, "
    made = f"{count} runs of {len(heard.runs)} stories; {cleaned}z-scored within story"
    made += f"; mean of up to {len(values)} repeats" * (len(values) > 1)
    path = next(iter(heard.runs.values()))[0].path
    if heard.images is None:
        table = rois_of(heard.subject, rois)
        read = ResponseTable(ids=None, values=values)
        return Voxels(path=path, columns=voxel_columns(path, read, table), table=table, made_by=made)
    if rois is not None:
        raise DataError(f"ROIs are given for {heard.subject!r}, which has images; their ROIs are those of the atlas")
    made = "; ".join([made, *atlases_said(heard.images, heard.spaces, [path])])
    columns: dict[str, Any]
    place: FolderSpace | None
    columns, place = as_places(heard.spaces, space_name(heard.images))
    own = [label for space in heard.spaces for label in space.roi]
    named = [name for space in heard.spaces for name in space.names]
    columns |= {"roi": named, "region": np.array(own, dtype=object)} if heard.images.voxelwise else {"roi": own}
    return Voxels(path=path, columns=columns, space=place, made_by=made)
