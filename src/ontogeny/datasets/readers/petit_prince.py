"""Li et al. 2022: Le Petit Prince, an audiobook in nine sections x preprocessed BOLD in the space of MNIColin27.

Preprocessing left the first four volumes out, and the sound began four volumes (8 s) after the first trigger (Li et al.
2022, Methods): the first volume in a file is that at which the sound begins. Numbers of runs in the file names are not
those of the sections: a participant's runs in their order are the sections.

Public code for the English text drops the annotation's rows 3919, 6775 and 6781 (counted from 0), since it aligns the
annotated words with the printed book, whose punctuation its models read: the first is a line that the annotation has
twice, with a typo, the others are words that the book does not have there. Here models read the annotated words, which
are what was heard, so the latter two stay. A word at the very time of the one before it, and spelt nearly so, is a line
that stands there twice: it is read once. (Parts of one word, "did" and "n't", are not.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from ontogeny._atomic_write import by_number
from ontogeny.benchmarks import Benchmark, StimulusMapping
from ontogeny.brain import Assembly
from ontogeny.datasets.manual_datasets import find_elsewhere, folder_of
from ontogeny.datasets.readers._story_benchmark import story_benchmark
from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.betas import read_values
from ontogeny.neuroimaging.bids_names import bids_files
from ontogeny.neuroimaging.presentations import checked
from ontogeny.neuroimaging.run_preprocessing import detrend_runs, zscore_runs
from ontogeny.neuroimaging.story_words import Story
from ontogeny.neuroimaging.table_files import read_sheet
from ontogeny.neuroimaging.voxel_masks import Space, read_space

__all__ = ["load_petit_prince", "read_sections"]

_TR = 2.0
_DRIFT = 3
_APART = 2
_ALIKE = 0.6
_LANGUAGES = ("EN", "CN", "FR")
_ABOUT = (
    "{n} sections of an audiobook, one run each; {how}. BOLD (multi-echo, denoised, MNIColin27) of the atlas given, "
    "polynomials up to order 3 taken out of each run, z-scored within run. Folds keep sections whole. Ceilings are not "
    "known: everything was heard once. A line of the annotation that stands there twice is read once."
)


def load_petit_prince(
    *,
    atlas: str | Path | Mapping[str, str | Path] | None = None,
    labels: str | Path | None = None,
    rois: Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    language: str = "EN",
    subjects: Sequence[str] | None = None,
    context: int = 20,
    delays: Sequence[int] = (1, 2, 3, 4),
) -> Benchmark:
    """The audiobook read word by word, and the voxels of an atlas.

    Args:
        atlas: label image or ROI name -> mask, in MNI space; put on the grid of the BOLD by nearest neighbour.
        labels: names of its labels, see `ontogeny.neuroimaging.read_space`.
        rois: of the atlas; all where not given.
        folder: of the set; where not given, `li2022` in a data folder.
        language: "EN", "CN" or "FR".
        subjects: "sub-EN057" and so on; all of that language that are there where not given.
        context: words before each word that the model reads.
        delays: in volumes.

    Raises:
        DataError: a file, subject or option that cannot be used; names it.
        DatasetNotFoundError: it is not on this machine; says where to get it.
        MissingExtraError: nibabel is not installed.
    """
    about = find_elsewhere("li2022")
    if language not in _LANGUAGES:
        raise DataError(f"li2022: language is 'EN', 'CN' or 'FR', got {language!r}")
    if atlas is None:
        raise DataError("li2022: give atlas=..., a label image in MNI space or ROI name -> mask: it says which voxels")
    place = folder_of(about.name, folder)
    sections = read_sections(place / "annotation" / language / f"lpp{language}_word_information.csv")
    runs = {one: _runs(place, one, language, len(sections)) for one in _subjects(place, language, subjects)}
    space = read_space(atlas, labels=labels, rois=rois, like=next(iter(runs.values()))[0], resample=True)
    values = {one: _read(files, space) for one, files in runs.items()}
    counts = _counts({one: [len(part) for part in parts] for one, parts in values.items()})
    return story_benchmark(
        about,
        [_story(name, words, n) for (name, words), n in zip(sections.items(), counts, strict=True)],
        lambda pieces: [_assembly(one, parts, counts, pieces, space) for one, parts in values.items()],
        name=f"li2022-{language}",
        text=_ABOUT,
        context=context,
        response=delays,
        between="" if language == "CN" else " ",
    )


def read_sections(path: Path) -> dict[str, tuple[tuple[str, float], ...]]:
    """Name of each section -> its words with the middle of each, in seconds from the beginning of its sound.

    Raises:
        DataError: the table lacks a column, or a time is no number; names the row.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; of a datalad set, `datalad get` brings what a link stands for")
    sheet = read_sheet(path)
    times = np.stack([sheet.numbers_or_nan(column) for column in ("onset", "offset", "section")], axis=1)
    found: dict[int, list[tuple[str, float]]] = {}
    before: tuple[str, tuple[float, ...]] = ("", ())
    for number, (word, (start, end, section)) in enumerate(zip(sheet.cells("word"), times, strict=True), 1):
        if not word.strip() or _again(before, entry := (word.strip(), (start, end, section))):
            continue
        before = entry
        if not np.isfinite([start, end, section]).all():
            raise DataError(f"{path}, row {number}: onset, offset and section of {word!r} should be finite numbers")
        found.setdefault(int(section), []).append((word.strip(), float(start + end) / 2))
    if len(found) < 3 or sorted(found) != list(range(1, len(found) + 1)):
        raise DataError(f"{path}: expected the sections 1, 2, 3, ..., got {sorted(found)}; is the file cut short?")
    return {f"section {section}": tuple(sorted(found[section], key=lambda word: word[1])) for section in sorted(found)}


def _again(one: tuple[str, tuple[float, ...]], other: tuple[str, tuple[float, ...]]) -> bool:
    """Whether two lines are one word, written twice."""
    alike = SequenceMatcher(None, one[0].casefold(), other[0].casefold()).ratio()
    return one[1] == other[1] and alike >= _ALIKE


def _story(name: str, words: Sequence[tuple[str, float]], n: int) -> Story:
    return Story(
        name=name,
        words=tuple(word for word, _ in words),
        times=np.array([middle for _, middle in words]),
        volume_times=(np.arange(n) + 0.5) * _TR,
    )


def _subjects(place: Path, language: str, requested: Sequence[str] | None) -> tuple[str, ...]:
    here = [path.name for path in by_number((place / "derivatives").glob(f"sub-{language}*")) if path.is_dir()]
    for one in requested or ():
        if one not in here:
            raise DataError(f"{place / 'derivatives'}: there is no subject {one!r}. {nearest(one, here)}")
    if not here:
        raise DataError(f"{place / 'derivatives'}: there is no subject sub-{language}*; `datalad get` at least one")
    return tuple(requested or here)


def _runs(place: Path, subject: str, language: str, n: int) -> tuple[Path, ...]:
    files = bids_files(
        place / "derivatives" / subject, suffix="bold", task=f"lpp{language}", desc="preproc", extension=".nii.gz"
    )
    if len(files) != n:
        raise DataError(
            f"{subject}: expected {n} runs, one a section, got {len(files)}: {[path.name for path in files[:9]]}; "
            "leave this subject out: subjects=[...]"
        )
    return files


def _read(files: Sequence[Path], space: Space) -> list[np.ndarray]:
    values, lengths = read_values(files, space=space)
    return np.split(values, np.cumsum(lengths)[:-1])


def _counts(volumes: Mapping[str, Sequence[int]]) -> list[int]:
    """Volumes of each section that every subject has."""
    table = np.array(list(volumes.values()))
    for section in np.flatnonzero(np.ptp(table, axis=0) > _APART).tolist():
        entry = {one: counts[section] for one, counts in volumes.items()}
        raise DataError(
            f"li2022: volumes of section {section + 1} differ by more than {_APART} between subjects: {entry}; a run "
            "is missing or not in its place: leave that subject out"
        )
    return [int(n) for n in table.min(axis=0)]


def _assembly(
    subject: str, parts: Sequence[np.ndarray], counts: Sequence[int], pieces: StimulusMapping, space: Space
) -> Assembly:
    runs = pieces.stimuli.groups or ()
    raw = np.concatenate([part[:n] for part, n in zip(parts, counts, strict=True)])
    values, kept, _ = checked(raw, space, runs, "drop")
    return Assembly(
        name="li2022, BOLD (z)",
        subject=subject,
        stimulus_ids=pieces.stimuli.ids,
        responses=zscore_runs(detrend_runs(values, runs, order=_DRIFT), runs),
        roi=kept.roi,
    )
