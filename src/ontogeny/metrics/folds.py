"""Frozen cross-validation folds: made once, part of the benchmark's fingerprint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ontogeny._display import one_line
from ontogeny.errors import MetricError

__all__ = ["Folds", "make_folds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Which fold holds out each stimulus.

    Args:
        held_out: one fold number a stimulus, 0 .. n_folds - 1.
        how: in words, e.g. "5 shuffled folds, seed 0".
    """

    held_out: tuple[int, ...]
    how: str

    __repr__ = one_line

    def __len__(self) -> int:
        return max(self.held_out) + 1

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers to train on and row numbers held out, fold by fold."""
        assigned = np.asarray(self.held_out)
        for fold in range(len(self)):
            yield np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)


def make_folds(
    n_stimuli: int,
    *,
    n_folds: int = 5,
    groups: Sequence[str] | None = None,
    contiguous: bool = False,
    strata: Sequence[str] | None = None,
    seed: int = 0,
) -> Folds:
    """Assign stimuli to folds of nearly equal size.

    Groups are never split: each goes whole into the fold that is smallest so far, largest group first (ties by a
    seeded shuffle). Contiguous folds are blocks in the order of the stimuli. Otherwise stimuli are shuffled: right
    only where stimuli are independent of each other (Feghhi et al. 2024, arXiv 2406.01538). With strata (one label a
    stimulus: which subjects saw it) each of them is spread over all folds.

    Raises:
        MetricError: too few stimuli or groups for that many folds.
    """
    n_units = n_stimuli if groups is None else len(set(groups))
    unit = "stimuli" if groups is None else "groups"
    if n_folds < 2 or n_units < n_folds or n_stimuli < 2 * n_folds:
        raise MetricError(
            f"{n_folds} folds need at least {n_folds} {unit} and 2 stimuli a fold, got {n_units} {unit} and "
            f"{n_stimuli} stimuli; use fewer folds or more stimuli"
        )
    rng = np.random.default_rng(seed)
    if groups is not None:
        return Folds(held_out=_grouped(groups, n_folds, rng), how=f"{n_folds} folds by group, seed {seed}")
    order = np.arange(n_stimuli) if contiguous else rng.permutation(n_stimuli)
    held_out = np.empty(n_stimuli, dtype=int)
    if strata is not None and not contiguous:
        order = order[np.argsort(np.asarray(strata)[order], kind="stable")]
        held_out[order] = np.arange(n_stimuli) % n_folds
        how = f"{n_folds} shuffled folds, balanced over who saw what, seed {seed}"
        return Folds(held_out=tuple(held_out.tolist()), how=how)
    for fold, rows in enumerate(np.array_split(order, n_folds)):
        held_out[rows] = fold
    how = f"{n_folds} contiguous folds" if contiguous else f"{n_folds} shuffled folds, seed {seed}"
    return Folds(held_out=tuple(held_out.tolist()), how=how)


def _grouped(groups: Sequence[str], n_folds: int, rng: np.random.Generator) -> tuple[int, ...]:
    names, sizes = np.unique(np.asarray(groups), return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(n_folds, dtype=int)
    fold_of: dict[str, int] = {}
    for index in order:
        fold = int(filled.argmin())
        fold_of[str(names[index])] = fold
        filled[fold] += sizes[index]
    return tuple(fold_of[g] for g in groups)
