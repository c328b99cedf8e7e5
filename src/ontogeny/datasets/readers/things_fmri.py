"""THINGS-fMRI (Hebart et al. 2023): photographs of objects x voxels of three participants, one response per trial.

Read are the tables of single-trial responses (`betas_csv`). The HDF5 file is one that pandas wrote: its blocks of
numbers are read as they are, voxels x trials, and nothing else of it; trials are in the order of StimulusMetadata.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from tqdm import tqdm

from ontogeny._atomic_write import by_number
from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets._lazy_images import PictureFiles
from ontogeny.datasets.manual_datasets import Elsewhere, find_elsewhere, folder_of
from ontogeny.errors import DataError, nearest
from ontogeny.metrics import RSA, Ridge, make_folds
from ontogeny.neuroimaging.hdf5_files import open_hdf5
from ontogeny.neuroimaging.run_preprocessing import average_repeats, rows_of, zscore_runs
from ontogeny.neuroimaging.table_files import is_missing
from ontogeny.stimuli import StimulusSet

__all__ = ["load_things_fmri"]

_KEY = "ResponseData"
_AT_ONCE = 256
_CEILING = {"train": "nc_singletrial", "test": "nc_testset"}
_WORDS = {"True": 1.0, "False": 0.0, "": np.nan}
_TRIALS = ("trial_type", "session", "stimulus", "concept")
_ABOUT = (
    "{n} photographs of the {split} set, {each}; responses {unit}; {dropped} voxels with NaN or without variance left "
    "out. A voxel in two ROIs is in both. Ceilings: the square root of the published {ceiling}. {order}"
)


def load_things_fmri(
    *,
    folder: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    split: str = "test",
    subjects: Sequence[str] | None = None,
    rois: Sequence[str] = ("V1", "V2", "V3", "hV4", "LOC", "EBA", "FFA", "PPA"),
    least: float = 0.0,
    zscore: bool = True,
) -> Benchmark:
    """Photographs of objects and the voxels of up to three subjects.

    Args:
        folder: with `betas_csv`; where not given, `things_fmri` in a data folder.
        images: the photographs, a folder per concept; where not given, `images` or `object_images` in the folder.
        split: "test": 100 photographs, the mean over the 12 showings of each; "train": 8,640, each seen once, whose
            folds keep concepts whole.
        subjects: "sub-01" and so on; all that are there where not given.
        rois: columns of VoxelMetadata ("V1", "lFFA", "glasser-V1"); "FFA" joins "lFFA" and "rFFA".
        least: only voxels whose published noise ceiling is this high or higher, in percent of the variance.
        zscore: each voxel to mean 0 and standard deviation 1 within each session, over trials of the split. The
            published ceilings are of responses so scaled.

    Raises:
        DataError: a file or option that cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
        MissingExtraError: h5py is not installed.
    """
    if split not in _CEILING:
        raise DataError(f"split is 'train' or 'test', got {split!r}")
    about = find_elsewhere("things_fmri")
    root = folder_of(about.name, folder)
    place = root / "betas_csv" if (root / "betas_csv").is_dir() else root
    read = [_subject(place, one, split, rois, least=least, zscore=zscore) for one in _subjects(place, subjects)]
    inside = root / "object_images" if (root / "object_images").is_dir() else root / "images"
    photos = Path(images).expanduser() if images is not None else inside
    text = _ABOUT.format(
        n=len(read[0].assembly.stimulus_ids),
        split=split,
        each="each seen once" if split == "train" else "the mean over the trials of each",
        unit="z-scored within session" if zscore else "in the published unit",
        dropped=sum(one.dropped for one in read),
        ceiling=_CEILING[split],
        order=" ".join(dict.fromkeys(one.order for one in read)),
    )
    return _benchmark(about, read, split, photos, text)


def _benchmark(about: Elsewhere, read: Sequence[_Read], split: str, photos: Path, text: str) -> Benchmark:
    concepts = {stimulus: concept for one in read for stimulus, concept in one.concepts.items()}
    ids = read[0].assembly.stimulus_ids
    labels = tuple(concepts[one] for one in ids) if split == "train" else None
    return Benchmark(
        name=f"{about.name}-{split}",
        version="1",
        citation=about.citation,
        licence=about.terms,
        about=text,
        simulated=False,
        stimuli=StimulusSet(
            name=f"{about.name}-{split}",
            modality="image",
            ids=ids,
            inputs=PictureFiles([photos / one.rsplit("_", 1)[0] / one for one in ids]),
            groups=labels,
        ),
        assemblies=tuple(one.assembly for one in read),
        metrics=(Ridge(rule="kfold"),) if split == "train" else (Ridge(rule="gcv"), RSA()),
        folds=make_folds(len(ids), n_folds=5, groups=labels, seed=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One subject: responses, stimulus -> concept, voxels left out, how voxels were matched."""

    assembly: Assembly
    concepts: dict[str, str]
    dropped: int
    order: str


def _subjects(place: Path, requested: Sequence[str] | None) -> tuple[str, ...]:
    here = [path.name.split("_")[0] for path in by_number(place.glob(f"sub-*_{_KEY}.h5"))]
    for one in requested or ():
        if one not in here:
            raise DataError(f"{place}: there is no {one}_{_KEY}.h5. {nearest(one, here)}")
    if not here:
        raise DataError(f"{place}: there is no sub-01_{_KEY}.h5; give the folder that holds betas_csv")
    return tuple(requested or here)


def _subject(place: Path, subject: str, split: str, rois: Sequence[str], *, least: float, zscore: bool) -> _Read:
    path = place / f"{subject}_StimulusMetadata.csv"
    trials = _columns(path, lambda head: _known(path, head, _TRIALS))
    rows = np.flatnonzero(np.array(trials["trial_type"]) == split)
    if not rows.size:
        raise DataError(f"{path}: no trial is of trial_type {split!r}, got {sorted(set(trials['trial_type']))}")
    seen, sessions = ([trials[name][row] for row in rows] for name in ("stimulus", "session"))
    if empty := [row for row, *cells in zip(rows, seen, sessions, strict=True) if any(map(is_missing, cells))]:
        raise DataError(
            f"{path}, row {empty[0] + 1}: stimulus or session is empty, as in {len(empty)} rows; fill it in"
        )
    columns, nc, ids = _voxels(place / f"{subject}_VoxelMetadata.csv", rois, _CEILING[split], least)
    labels = [(roi, voxel) for roi, voxels in columns.items() for voxel in voxels]
    chosen, back = np.unique([voxel for _, voxel in labels], return_inverse=True)
    values, order = _responses(place / f"{subject}_{_KEY}.h5", ids, len(trials["session"]), chosen, rows)
    usable = np.isfinite(nc[chosen])
    for some in rows_of(sessions).values() if zscore else [list(range(len(rows)))]:
        usable &= usable_voxels(values[some])
    kept = usable[back]
    for roi in columns:
        if not any(good for (label, _), good in zip(labels, kept, strict=True) if label == roi):
            raise DataError(
                f"things_fmri, {subject}: every voxel of ROI {roi!r} holds NaN or is constant; leave it out"
            )
    back = (np.cumsum(usable) - 1)[back[kept]]
    good = zscore_runs(values[:, usable], sessions) if zscore else values[:, usable]
    names, means = average_repeats(good, seen) if split == "test" else (tuple(seen), good)
    assembly = Assembly(
        name=f"things_fmri-{split}, BOLD" + (" (z)" if zscore else ""),
        subject=subject,
        stimulus_ids=names,
        responses=means[:, back],
        roi=tuple(roi for (roi, _), keep in zip(labels, kept, strict=True) if keep),
        ceiling=np.sqrt(nc[chosen][usable] / 100)[back],
        ceiling_source=f"square root of the published noise ceiling {_CEILING[split]}",
    )
    concepts = {trials["stimulus"][row]: trials["concept"][row] for row in rows}
    return _Read(assembly=assembly, concepts=concepts, dropped=int((~usable).sum()), order=order)


def _columns(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> dict[str, list[str]]:
    """Some columns of a CSV table, chosen by its header; the others are not kept, since there are many."""
    if not path.is_file():
        raise DataError(f"{path} is not there; it comes with betas_csv.zip")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream, strict=True)
            head = next(lines, [])
            requested = {name: head.index(name) for name in choose(head)}
            out: dict[str, list[str]] = {name: [] for name in requested}
            for row in lines:
                if len(row) != len(head):
                    raise DataError(f"{path}, line {lines.line_num}: {len(head)} columns but {len(row)} cells")
                for name, at in requested.items():
                    out[name].append(row[at])
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a CSV table ({error})") from error
    return out


def _known(path: Path, head: list[str], names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in head:
            raise DataError(f"{path}: there is no column {name!r}. {nearest(name, head)}")
    return names


def _parts(path: Path, head: list[str], roi: str) -> list[str]:
    if roi in head:
        return [roi]
    both = [side + roi for side in ("l", "r") if side + roi in head]
    if not both:
        joined = [name[1:] for name in head if name[:1] == "l" and "r" + name[1:] in head]
        raise DataError(f"{path}: there is no ROI {roi!r}. {nearest(roi, [*joined, *head])}")
    return both


def _voxels(
    path: Path, rois: Sequence[str], ceiling: str, least: float
) -> tuple[dict[str, Shaped[np.ndarray, " some"]], Float[np.ndarray, " voxels"], Shaped[np.ndarray, " voxels"]]:
    """Region -> its voxels' rows, the noise ceiling (percent) and the id of every voxel."""
    if isinstance(rois, str) or not rois:
        raise DataError(f"rois should be a list of regions, got {rois!r}")
    found: dict[str, list[str]] = {}

    def choose(head: list[str]) -> Sequence[str]:
        found.update({roi: _parts(path, head, roi) for roi in rois})
        _known(path, head, ("voxel_id", ceiling))
        return list(dict.fromkeys(["voxel_id", ceiling, *(part for parts in found.values() for part in parts)]))

    table = _columns(path, choose)
    numbers = {name: _numbers(path, name, cells) for name, cells in table.items()}
    inside = {roi: np.flatnonzero(sum(numbers[part] > 0 for part in parts)) for roi, parts in found.items()}
    nc = numbers[ceiling]
    inside = {roi: voxels[~(nc[voxels] < least)] for roi, voxels in inside.items()}
    if empty := [roi for roi, voxels in inside.items() if not voxels.size]:
        raise DataError(f"{path}: no voxel with a noise ceiling of {least:g} % or more lies in {empty}; leave them out")
    if (outside := (nc < 0) | (nc > 100)).any():
        raise DataError(f"{path}: {ceiling} should be percent, 0 to 100, got {nc[outside][0]:g}")
    return inside, nc, numbers["voxel_id"]


def _numbers(path: Path, name: str, cells: list[str]) -> Float[np.ndarray, " voxels"]:
    try:
        return np.array([_WORDS[cell] if cell in _WORDS else float(cell) for cell in cells])
    except ValueError as error:
        raise DataError(f"{path}: column {name!r} should hold numbers ({error})") from error


def _responses(
    path: Path, ids: np.ndarray, trials: int, voxels: np.ndarray, rows: np.ndarray
) -> tuple[Float[np.ndarray, "trials voxels"], str]:
    """Responses of some trials and voxels, and how voxels were matched."""
    with open_hdf5(path) as file:
        if _KEY not in file:
            raise DataError(f"{path}: there is no {_KEY!r}, got {sorted(file)[:4]}")
        group = file[_KEY]
        blocks = {m[1]: group[name] for name in group if (m := re.fullmatch(r"block(\d+)_values", name))}
        fits = [number for number, one in blocks.items() if one.dtype.kind == "f" and one.shape == (len(ids), trials)]
        if len(fits) != 1:
            raise DataError(
                f"{path}: expected one block of floats, voxels x trials = {len(ids)} x {trials} (as many as the rows "
                f"of VoxelMetadata and StimulusMetadata), got {[one.shape for one in blocks.values()]}"
            )
        order = _matched(path, [one for number, one in blocks.items() if number not in fits], ids)
        columns = _trial_columns(path, group.get(f"block{fits[0]}_items"), trials)[rows]
        parts = np.array_split(voxels, max(1, -(-len(voxels) // _AT_ONCE)))
        bar = tqdm(parts, desc=path.name.split("_")[0], unit="block", disable=None)
        whole = np.concatenate([blocks[fits[0]][part][:, columns].astype(np.float32) for part in bar])
        return whole.T, order


def _matched(path: Path, blocks: list[Any], ids: np.ndarray) -> str:
    for block in blocks:
        if block.dtype.kind in "iuf" and block.size == len(ids):
            if not np.array_equal(np.asarray(block[()]).ravel(), ids):
                raise DataError(f"{path}: its voxel_id are not those of VoxelMetadata in their order; get both anew")
            return "Voxels were matched by voxel_id."
    return "The file says no voxel_id in numbers: voxels are taken in the order of VoxelMetadata."


def _trial_columns(path: Path, items: Any, trials: int) -> Shaped[np.ndarray, " trials"]:
    """The column of each trial: by its number where the file has that in numbers, else in order."""
    if items is None or items.shape != (trials,) or items.dtype.kind not in "iuS":
        return np.arange(trials)
    try:
        numbers = np.asarray(items[()]).astype(np.int64)
    except ValueError:
        return np.arange(trials)
    if not np.array_equal(np.sort(numbers), np.arange(trials)):
        raise DataError(f"{path}: trials should be numbered 0 to {trials - 1}, got {numbers[:3]} ...")
    return np.argsort(numbers)
