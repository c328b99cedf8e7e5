"""Stories -> a benchmark: words and volumes on one clock, several stories, subjects and repeats, blocks with gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ontogeny._atomic_write import natural_key
from ontogeny.datasets.own_data._fold_columns import Split
from ontogeny.datasets.own_data._story_responses import Heard, heard_of, read_heard
from ontogeny.datasets.own_data._who_heard import FEWEST, heard_note, own_folds, rows_of_stories
from ontogeny.datasets.own_data._whose_files import check_rois, refuse_one_number, refuse_other_stories, same_data
from ontogeny.datasets.own_data.build_benchmark import About, Built, benchmark_of, with_ceilings
from ontogeny.datasets.own_data.image_files import Images
from ontogeny.datasets.own_data.story_files import SpokenWords, StoryDesign, read_words
from ontogeny.errors import DataError, nearest
from ontogeny.metrics import Folds, Metric, Ridge, make_folds
from ontogeny.neuroimaging.story_words import Story, story_pieces
from ontogeny.stimuli import StimulusSet

__all__ = ["build_stories"]

Runs = Mapping[str, Mapping[str, Sequence[Path]]]
_APART = 2
_BLOCKS = "contiguous blocks of a story, {} volumes left out between two"
_SPOKEN = 0.5  # of a story's time, at least; else something is missing, or an array lies on its side


def build_stories(
    design: StoryDesign,
    runs: Runs,
    *,
    about: About,
    rois: Mapping[str, Path] | None = None,
    images: Mapping[str, Images] | None = None,
    split: Split | None = None,
    metrics: Sequence[Metric] | None = None,
    drop_bad: bool = False,
) -> Built:
    """A benchmark of stories that were listened to or read.

    Args:
        design: the words, their clock, and how a model reads them.
        runs: subject -> story -> its files, one a repeat: .npy or .safetensors, volumes x voxels (or repeats x volumes
            x voxels); or BOLD images.
        about: what it is.
        rois: subject -> table with `roi`, one row per voxel.
        images: subject -> atlas and options of BOLD; its `betas` and `table` are not used.
        split: folds leave out whole stories. Where a subject heard fewer than three, or `how` is "contiguous", each
            story is cut into blocks with as many volumes left out between them as the longest delay. `own`: subjects
            heard different stories.
        metrics: default ridge whose penalty is chosen on other stories.
        drop_bad: leave out voxels that hold NaN or are constant within a run, or have no ROI.

    Raises:
        DataError: anything that does not fit; names the file, story or voxel.
    """
    split = split or Split()
    words, notes = read_words(design.words, design.features)
    runs = {subject: runs[subject] for subject in sorted(runs, key=natural_key)}
    names = _stories(words, runs, own=split.own)
    check_rois(runs, rois or {})
    refuse_other_stories(runs)
    heard = [read_heard(subject, runs[subject], (images or {}).get(subject)) for subject in runs]
    volumes, cut = _volumes(names, heard)
    n_folds, parts = _parts(split, min(map(len, runs.values())), len(names))
    stories = [_story(name, words[name], volumes[name], design, parts) for name in names]
    pieces = story_pieces(stories, name=about.name, **design.reading)
    rows = {one.subject: rows_of_stories(stories, one.runs) for one in heard}
    rules = about.rules(drop_bad=drop_bad, name=f"{about.name}, BOLD (z)")
    made = []
    for one in heard:
        own, left = [s for s in stories if s.name in one.runs], pieces.stimuli.only(rows[one.subject])
        made.append(heard_of(one, own, left, drift=design.drift, rois=rois, rules=rules))
    extras = {subject.assembly.subject: subject.extras for subject in made}
    benchmark = benchmark_of(
        about,
        said=f"{pieces.how}.",
        stimuli=pieces.stimuli,
        pieces=pieces,
        assemblies=with_ceilings(about, tuple(subject.assembly for subject in made), extras),
        metrics=tuple(metrics) if metrics else (Ridge(rule="kfold"),),
        folds=_folds(pieces.stimuli, rows, n_folds, split, blocks="" if parts == 1 else _BLOCKS.format(design.gap)),
        own_stimuli=split.own,
    )
    return Built(
        benchmark=benchmark,
        extras=extras,
        stimulus_columns={},
        dropped=tuple(entry for subject in made for entry in subject.dropped),
        notes=(*notes, *cut, *_notes(words, names, heard, own=split.own), *same_data(benchmark.assemblies)),
    )


def _notes(
    words: Mapping[str, SpokenWords], names: Sequence[str], heard: Sequence[Heard], *, own: bool
) -> list[tuple[str, str]]:
    """Stories without responses, how many each subject heard, and which files are repeats."""
    left = [name for name in words if name not in names]
    unheard = [("words", f"no responses to {', '.join(left)}; left out")] * bool(left)
    return [*unheard, *[heard_note(heard)] * own, *(note for one in heard for note in one.repeats())]


def _stories(words: Mapping[str, SpokenWords], runs: Runs, *, own: bool) -> list[str]:
    """Stories that every subject heard; of subjects who heard their own, those that any did."""
    if not runs:
        raise DataError("no responses are given; expected subject -> story -> files")
    refuse_one_number(runs)
    every = list(dict.fromkeys(story for stories in runs.values() for story in stories))
    for story in every:
        if story not in words:
            raise DataError(f"there are responses to story {story!r}, but no words of it. {nearest(story, words)}")
        lack = [subject for subject, stories in runs.items() if story not in stories]
        if lack and not own:
            raise DataError(
                f"story {story!r} has no responses of {', '.join(map(repr, lack))}; leave it out, or say that subjects "
                "heard different stories (--own-stimuli), so that each is scored on its own"
            )
    return sorted(every, key=natural_key)


def _volumes(names: Sequence[str], heard: Sequence[Heard]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Story -> volumes; where runs differ by one or two, those that all have, and a note."""
    found, notes = {}, []
    for name in names:
        counts = {f"{one.subject}, {run.path.name}": run.n_volumes for one in heard for run in one.runs.get(name, ())}
        least, most = min(counts.values()), max(counts.values())
        if most - least > _APART:
            short, long = (next(k for k, n in counts.items() if n == size) for size in (least, most))
            raise DataError(
                f"story {name!r} has {least} volumes in {short}, {most} in {long}; are these runs of one story? "
                "Cut them alike, or leave one out"
            )
        if most > least:
            notes.append(("volumes", f"{name}: {least} to {most}; the last ones that not every run has are left out"))
        found[name] = least
    return found, notes


def _parts(split: Split, fewest: int, n_stories: int) -> tuple[int, int]:
    """Folds, and blocks a story; `fewest` stories of a subject."""
    if split.how not in ("shuffled", "contiguous") or split.groups is not None:
        raise DataError(
            "folds of stories leave out stories, or contiguous blocks of them; give no groups and no column"
        )
    if split.how == "contiguous" or fewest < FEWEST:
        return split.n_folds, -(-split.n_folds // fewest)
    return min(split.n_folds, n_stories), 1


def _story(name: str, spoken: SpokenWords, n: int, design: StoryDesign, parts: int) -> Story:
    ends = n * design.tr - design.sound
    kept = ends - design.trim[1] * design.tr
    if spoken.last < _SPOKEN * kept:
        raise DataError(
            f"story {name!r}: the last word of {spoken.path.name} ends at {spoken.last:g} s, but its {n} volumes go on "
            f"until {kept:g} s: is the array voxels x volumes, are words or a run missing? Cut what is silent (--trim)"
        )
    if spoken.last > ends + design.tr:
        raise DataError(
            f"story {name!r}: the last word of {spoken.path.name} ends at {spoken.last:g} s, but {n} volumes of "
            f"{design.tr:g} s end {ends:g} s after the sound began; is a run cut short, or the TR or --sound-onset "
            "another?"
        )
    return Story(
        name=name,
        words=spoken.words,
        times=spoken.middle,
        volume_times=(np.arange(n) + 0.5) * design.tr - design.sound,
        start=design.trim[0],
        end=design.trim[1],
        parts=parts,
        gap=design.gap if parts > 1 else 0,
        features=spoken.features,
    )


def _folds(stimuli: StimulusSet, rows: Mapping[str, np.ndarray], n_folds: int, split: Split, *, blocks: str) -> Folds:
    """Whole stories; or blocks of them, which `blocks` tells in words."""
    if split.own:
        return own_folds(stimuli, rows, n_folds=n_folds, seed=split.seed, whole=blocks or "whole stories")
    made = make_folds(len(stimuli), n_folds=n_folds, groups=stimuli.groups, seed=split.seed)
    return replace(made, how=f"{n_folds} folds of {blocks}" if blocks else f"{made.how}: whole stories")
