"""LeBel et al. 2023: spoken stories x the cortex of 8 participants, volume by volume.

The conventions are those of the authors' code (github.com/HuthLab/deep-fMRI-dataset, `encoding/`): TR 2 s; the sound
begins 10 s after the first volume; `respdict.json` counts 5 volumes more than are used; of these the first 10 and the
last 5 have no rows in the files. One thing differs: delayed features see the words before the cut, not zeros.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny._atomic_write import by_number, natural_key
from ontogeny.benchmarks import Benchmark, StimulusMapping
from ontogeny.brain import Assembly
from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets.manual_datasets import find_elsewhere, folder_of
from ontogeny.datasets.readers._story_benchmark import story_benchmark
from ontogeny.datasets.readers._textgrid import spoken
from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.hdf5_files import open_hdf5
from ontogeny.neuroimaging.run_preprocessing import zscore_runs
from ontogeny.neuroimaging.story_words import Story

__all__ = ["TEST_STORY", "load_lebel", "read_story", "reliability"]

TEST_STORY = "wheretheressmoke"
ROI = "cortex"
_AT_ONCE = 10_000
_TR, _SOUND, _PAD, _START, _END = 2.0, 10.0, 5, 10, 5
_KNOWN = (
    "square root of the mean Pearson r between repeats of the story wheretheressmoke: what the noise of a response to "
    "one hearing allows"
)
_ABOUT = (
    "{n} stories told at The Moth; {how}. BOLD volumes, z-scored within story; per participant {voxels}. Folds keep "
    "stories whole."
)


def load_lebel(
    *,
    folder: str | os.PathLike[str] | None = None,
    subjects: Sequence[str] | None = None,
    stories: Sequence[str] | None = None,
    voxels: int | None = 2000,
    context: int = 20,
    delays: Sequence[int] = (1, 2, 3, 4),
) -> Benchmark:
    """Stories read word by word, their volumes and voxels.

    Args:
        folder: of the set; where not given, `lebel2023` in a data folder.
        subjects: "UTS01" and so on; all that are there where not given.
        stories: by name; where not given all that every subject has, but for the one that was repeated (its responses
            are means, and ceilings are those of one hearing).
        voxels: so many of each participant, those whose responses to the repeated story repeat best; None: all.
        context: words before each word that the model reads.
        delays: in volumes.

    Raises:
        DataError: a file, subject or story that cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
        MissingExtraError: h5py is not installed.
    """
    about = find_elsewhere("lebel2023")
    place = _derivative(folder_of(about.name, folder))
    subject_names = _subjects(place, subjects)
    names = _stories(place, subject_names, stories)
    lengths = _lengths(place / "respdict.json")
    best = f"the {voxels} voxels that repeat best over the hearings of {TEST_STORY}, which give the ceilings too"
    return story_benchmark(
        about,
        [read_story(place / "TextGrids" / f"{name}.TextGrid", lengths) for name in names],
        lambda pieces: [_assembly(place / "preprocessed_data" / one, names, pieces, voxels) for one in subject_names],
        name=about.name,
        text=_ABOUT.replace("{voxels}", "all voxels" if voxels is None else best),
        context=context,
        response=delays,
    )


def _derivative(folder: Path) -> Path:
    for name in ("derivative", "derivatives"):
        if (folder / name / "preprocessed_data").is_dir():
            return folder / name
    raise DataError(f"{folder}: there is no derivative/preprocessed_data; give the folder of the whole set (ds003020)")


def _subjects(place: Path, requested: Sequence[str] | None) -> tuple[str, ...]:
    here = [path.name for path in by_number((place / "preprocessed_data").iterdir()) if path.is_dir()]
    for one in requested or ():
        if one not in here:
            raise DataError(f"{place / 'preprocessed_data'}: there is no subject {one!r}. {nearest(one, here)}")
    if not here:
        raise DataError(f"{place / 'preprocessed_data'}: there is no subject; `datalad get` at least one")
    return tuple(requested or here)


def _stories(place: Path, subjects: Sequence[str], requested: Sequence[str] | None) -> tuple[str, ...]:
    folders = [place / "preprocessed_data" / one for one in subjects]
    common = set.intersection(*({path.stem for path in by_number(folder.glob("*.hf5"))} for folder in folders))
    spoken = common & {path.stem for path in (place / "TextGrids").glob("*.TextGrid")}
    for name in requested or ():
        if name not in spoken:
            raise DataError(
                f"{place}: story {name!r} has no TextGrid, or no .hf5 of each of {list(subjects)}. "
                f"{nearest(name, sorted(spoken))}"
            )
    names = tuple(requested or sorted(spoken - {TEST_STORY}, key=natural_key))
    if len(names) < 3:
        raise DataError(
            f"{place}: folds keep stories whole, so three or more are needed that {list(subjects)} all heard, got "
            f"{list(names)}; `datalad get` more of preprocessed_data"
        )
    return names


def _lengths(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); of a datalad set, run `datalad get`") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} should be story -> number of volumes, got a {type(found).__name__}")
    return found


def read_story(path: Path, lengths: dict[str, Any]) -> Story:
    """A story's words, in lower case as in the authors' code, and its volumes on the clock of the sound.

    Args:
        path: of its TextGrid, called as the story is.
        lengths: story -> volumes, of `respdict.json`.

    Raises:
        DataError: no words, or no length.
    """
    n = lengths.get(path.stem)
    if not isinstance(n, int) or n <= _PAD + _START + _END:
        raise DataError(f"respdict.json: story {path.stem!r} should have more than 20 volumes, got {n!r}")
    spoken_words = spoken(path, second=True)
    return Story(
        name=path.stem,
        words=tuple(one.text.lower() for one in spoken_words),
        times=np.array([(one.start + one.end) / 2 for one in spoken_words]),
        volume_times=np.arange(n - _PAD) * _TR - _SOUND + _TR / 2,
        start=_START,
        end=_END,
    )


def _assembly(folder: Path, names: Sequence[str], pieces: StimulusMapping, voxels: int | None) -> Assembly:
    repeats = None if voxels is None else _rows(_repeated(folder), "individual_repeats")
    chosen = None if repeats is None else _best(repeats, int(voxels or 0))
    labels = np.array(pieces.stimuli.groups)
    parts = []
    for name in names:
        part = _rows(folder / f"{name}.hf5", "data", chosen)
        expected = int((labels == name).sum())
        if len(part) != expected:
            raise DataError(
                f"{folder / name}.hf5: expected {expected} volumes (respdict.json less {_PAD + _START + _END}), got "
                f"{len(part)}; leave this story out: stories=[...]"
            )
        parts.append(part)
    if len({part.shape[1] for part in parts}) > 1:
        raise DataError(f"{folder}: stories have different numbers of voxels, {[p.shape[1] for p in parts]}")
    responses = np.concatenate(parts)
    usable = np.logical_and.reduce([usable_voxels(part) for part in parts])
    if not usable.any():
        raise DataError(f"{folder}: no voxel is finite and varies in every story")
    known = None if repeats is None else np.sqrt(np.clip(reliability(repeats[:, :, chosen]), 0, 1))[usable]
    return Assembly(
        name="lebel2023, BOLD (z)",
        subject=folder.name,
        stimulus_ids=pieces.stimuli.ids,
        responses=zscore_runs(responses[:, usable], pieces.stimuli.groups or ()),
        roi=(ROI,) * int(usable.sum()),
        ceiling=known,
        ceiling_source="not known" if known is None else _KNOWN,
    )


def _repeated(folder: Path) -> Path:
    path = folder / f"{TEST_STORY}.hf5"
    if not path.is_file():
        raise DataError(
            f"{path} is not there, so no voxels can be chosen: `datalad get` it, or say voxels=None for all"
        )
    return path


def _rows(path: Path, name: str, columns: np.ndarray | None = None) -> np.ndarray:
    with open_hdf5(path) as file:
        if name not in file:
            raise DataError(f"{path}: there is no {name!r}, got {list(file)}" + _HINT.get(name, ""))
        values = np.asarray(file[name][()], dtype=np.float32)
    if values.ndim != (3 if name == "individual_repeats" else 2):
        raise DataError(f"{path}: {name!r} should be [repeats x] volumes x voxels, got {values.shape}")
    if columns is not None and columns.size and columns.max() >= values.shape[1]:
        raise DataError(f"{path}: {values.shape[1]} voxels, but {TEST_STORY}.hf5 has more; are they of one subject?")
    return values if columns is None else values[:, columns]


_HINT = {"individual_repeats": "; without repeats no voxels can be chosen: say voxels=None for all"}


def _best(repeats: Float[np.ndarray, "repeats volumes voxels"], n: int) -> np.ndarray:
    if n < 1:
        raise DataError(f"lebel2023: voxels should be 1 or more, or None for all, got {n}")
    order = np.argsort(-reliability(repeats), kind="stable")[:n]
    return np.sort(order)


def reliability(repeats: Float[np.ndarray, "repeats volumes voxels"]) -> Float[np.ndarray, " voxels"]:
    """Mean Pearson r over all pairs of repeats, one per voxel: the share of one response's variance that repeats.

    Returns:
        One per voxel; -1 where it is not finite or does not vary.

    Raises:
        DataError: fewer than two repeats.
    """
    n = len(repeats)
    if n < 2:
        raise DataError(f"a reliability needs two repeats or more, got {n}")
    out = np.full(repeats.shape[2], -1.0)
    for start in range(0, len(out), _AT_ONCE):
        x = repeats[:, :, start : start + _AT_ONCE].astype(np.float64)
        good = np.isfinite(x).all(axis=(0, 1)) & (np.ptp(x, axis=1) > 0).all(axis=0)
        z = x[:, :, good] - x[:, :, good].mean(axis=1, keepdims=True)
        z /= np.sqrt((z**2).sum(axis=1, keepdims=True))
        # |sum of unit vectors|^2 is their number and twice the sum of r over pairs.
        out[start : start + _AT_ONCE][good] = ((z.sum(axis=0) ** 2).sum(axis=0) - n) / (n * (n - 1))
    return out
