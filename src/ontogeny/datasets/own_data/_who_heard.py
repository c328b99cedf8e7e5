"""Subjects who heard different stories: which volumes are whose, and folds in which each subject has enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ontogeny.datasets.own_data._story_responses import Heard
from ontogeny.errors import DataError
from ontogeny.metrics import Folds
from ontogeny.neuroimaging.story_words import Story
from ontogeny.stimuli import StimulusSet

__all__ = ["FEWEST", "heard_note", "own_folds", "rows_of_stories"]

_TRIES = 200
FEWEST = 3  # folds of a subject, since penalties are chosen on the other folds


def rows_of_stories(stories: Sequence[Story], names: Collection[str]) -> np.ndarray:
    """Which volumes are those of some stories, of all that are left."""
    sizes = [sum(len(volumes) for volumes in story.blocks().values()) for story in stories]
    inside = np.repeat([story.name in names for story in stories], sizes)
    return np.flatnonzero(inside)


def own_folds(stimuli: StimulusSet, rows: Mapping[str, np.ndarray], *, n_folds: int, seed: int, whole: str) -> Folds:
    """Groups (stories, or blocks of them) to folds, so that the volumes of every subject are spread over all.

    The largest group first, each to the fold in which its subjects have fewest volumes so far (ties by a seeded
    shuffle); where that leaves a subject too few folds, in other orders.

    Args:
        stimuli: all volumes, with their groups.
        rows: subject -> its volumes.
        n_folds: how many.
        seed: of the shuffle.
        whole: what a group is, in words.

    Raises:
        DataError: a subject whose volumes lie in fewer than three folds.
    """
    labels, subjects = np.asarray(stimuli.groups), sorted(rows)
    names, sizes = np.unique(labels, return_counts=True)
    hearers = np.array([np.isin(names, labels[rows[subject]]) for subject in subjects])
    rng, enough = np.random.default_rng(seed), min(FEWEST, n_folds)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    for _ in range(_TRIES):
        fold_of, filled = _dealt(order, sizes, hearers, n_folds)
        used = (filled > 0).sum(axis=1)
        if (used >= enough).all():
            break
        order = rng.permutation(len(names))
    else:
        raise DataError(
            f"subject {subjects[int(used.argmin())]!r} has volumes in {used.min()} of {n_folds} folds; {enough} are "
            "needed: cut stories into blocks (--folds contiguous), or leave this subject out"
        )
    held_out = fold_of[np.searchsorted(names, labels)]
    how = f"{n_folds} folds by group, balanced over who heard what, seed {seed}: {whole}"
    return Folds(held_out=tuple(held_out.tolist()), how=how)


def _dealt(order: np.ndarray, sizes: np.ndarray, hearers: np.ndarray, n_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """The fold of each group, and subjects x folds: volumes."""
    filled, fold_of = np.zeros((len(hearers), n_folds), dtype=int), np.zeros(len(sizes), dtype=int)
    for group in order:
        mine = filled[hearers[:, group]]
        fold = int(np.lexsort((filled.sum(axis=0), mine.sum(axis=0), mine.max(axis=0)))[0])
        filled[hearers[:, group], fold] += sizes[group]
        fold_of[group] = fold
    return fold_of, filled


def heard_note(heard: Sequence[Heard]) -> tuple[str, str]:
    """How many stories each subject heard, and how many all."""
    counts = ", ".join(f"{one.subject} {len(one.runs)}" for one in heard)
    shared = set.intersection(*(set(one.runs) for one in heard))
    return "heard", f"stories of each subject: {counts}; {len(shared)} were heard by all"
