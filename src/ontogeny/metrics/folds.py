"""Frozen cross-validation folds: made once, part of the benchmark's fingerprint.

Folds: each stimulus is held out once. Splits: what any splitter of scikit-learn makes (repeated 90/10 splits, blocks
with a gap); only metrics that need no partition take them. What is frozen is row numbers, not the splitter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from ontogeny._arrays import digest
from ontogeny._display import one_line
from ontogeny.errors import MetricError
from ontogeny.metrics._splitters import splits_of

__all__ = ["Folds", "Splits", "freeze", "make_folds", "suited"]

_DEFAULTS = (5, False, 0)
_Rows = tuple[tuple[int, ...], tuple[int, ...]]


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

    @property
    def n_stimuli(self) -> int:
        """How many stimuli they are of."""
        return len(self.held_out)

    @property
    def frozen(self) -> tuple[int, ...]:
        """What a fingerprint holds of them."""
        return self.held_out

    def only(self, rows: np.ndarray, which: str) -> Folds:
        """Of some stimuli; folds that hold out none of them are left out.

        Raises:
            MetricError: all of these stimuli are in one fold.
        """
        _, held_out = np.unique(np.asarray(self.held_out)[rows], return_inverse=True)
        if held_out.max() == 0:
            raise MetricError("these stimuli lie in one fold, so that nothing can be cross-validated there")
        return Folds(held_out=tuple(held_out.tolist()), how=f"{self.how}; {which}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Stimuli to train on and held out, several times: repeated or with a gap, so that they are no partition.

    Args:
        n_stimuli: how many stimuli they are of.
        rows: of each split the row numbers to train on, and those held out; both ascending.
        how: in words, e.g. "ShuffleSplit(n_splits=10, random_state=1, train_size=0.9)".
    """

    n_stimuli: int
    rows: tuple[_Rows, ...]
    how: str

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers to train on and row numbers held out, split by split."""
        for train, test in self.rows:
            yield np.asarray(train), np.asarray(test)

    @property
    def frozen(self) -> str:
        """What a fingerprint holds of them."""
        return digest(self.n_stimuli, *(np.asarray(part, dtype=np.int64) for split in self.rows for part in split))

    def only(self, rows: np.ndarray, which: str) -> Splits:
        """Of some stimuli.

        Raises:
            MetricError: a split trains on none of them, or holds out fewer than 2.
        """
        place = {int(row): number for number, row in enumerate(rows)}
        kept = tuple(
            (tuple(place[r] for r in train if r in place), tuple(place[r] for r in test if r in place))
            for train, test in self.rows
        )
        if any(not train or len(test) < 2 for train, test in kept):
            raise MetricError("a split trains on none of these stimuli, or holds out fewer than 2")
        return Splits(n_stimuli=len(rows), rows=kept, how=f"{self.how}; {which}")


@overload
def make_folds(
    n_stimuli: int,
    *,
    n_folds: int = ...,
    groups: Sequence[str] | None = ...,
    contiguous: bool = ...,
    strata: Sequence[str] | None = ...,
    seed: int = ...,
    cv: None = None,
) -> Folds: ...
@overload
def make_folds(
    n_stimuli: int, *, cv: Any, groups: Sequence[str] | None = ..., strata: Sequence[str] | None = ...
) -> Folds | Splits: ...


def make_folds(
    n_stimuli: int,
    *,
    n_folds: int = 5,
    groups: Sequence[str] | None = None,
    contiguous: bool = False,
    strata: Sequence[str] | None = None,
    seed: int = 0,
    cv: Any = None,
) -> Folds | Splits:
    """Assign stimuli to folds of nearly equal size, or take those that a splitter makes.

    Groups are never split: each goes whole into the fold that is smallest so far, largest group first (ties by a
    seeded shuffle). Contiguous folds are blocks in the order of the stimuli. Otherwise stimuli are shuffled: right
    only where stimuli are independent of each other (Feghhi et al. 2024, arXiv 2406.01538). With strata (one label a
    stimulus: which subjects saw it) each of them is spread over all folds.

    Args:
        n_stimuli: how many.
        n_folds: how many.
        groups: one label per stimulus.
        contiguous: blocks in the order of the stimuli.
        strata: one label per stimulus.
        seed: of the shuffling.
        cv: any object of scikit-learn's kind with `split(X, y, groups)`, or a list of index arrays (train, test), in
            place of `n_folds`, `contiguous` and `seed`. It is given `strata` as y.

    Returns:
        Folds; of a `cv` that does not hold out each stimulus once and train on all others, Splits.

    Raises:
        MetricError: too few stimuli or groups for that many folds; a splitter without a fixed random_state, that
            splits groups, or whose splits do not fit.

    Example:
        >>> from sklearn.model_selection import ShuffleSplit
        >>> make_folds(60, cv=ShuffleSplit(10, train_size=0.9, random_state=1)).how
        'ShuffleSplit(random_state=1, train_size=0.9)'
    """
    if cv is not None:
        if (n_folds, contiguous, seed) != _DEFAULTS:
            raise MetricError("make_folds: cv= says how stimuli are split; leave out n_folds, contiguous and seed")
        return freeze(cv, n_stimuli, groups=groups, strata=strata, owner="make_folds")
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


def freeze(
    cv: Any, n_stimuli: int, *, groups: Sequence[str] | None, strata: Sequence[str] | None, owner: str
) -> Folds | Splits:
    """The row numbers of a splitter's splits.

    Args:
        cv: see `make_folds`.
        n_stimuli: how many.
        groups: one label per stimulus, or None.
        strata: one label per stimulus, or None.
        owner: whose splits these are, for errors.

    Raises:
        MetricError: see `make_folds`.
    """
    splits, how = splits_of(cv, n_stimuli, groups=groups, strata=strata, owner=owner)
    held = np.concatenate([test for _, test in splits])
    if len(held) == n_stimuli == len(np.unique(held)) and all(len(a) + len(b) == n_stimuli for a, b in splits):
        numbers = np.repeat(np.arange(len(splits)), [len(test) for _, test in splits])
        return Folds(held_out=tuple(numbers[np.argsort(held)].tolist()), how=how)
    rows = tuple((tuple(train.tolist()), tuple(test.tolist())) for train, test in splits)
    return Splits(n_stimuli=n_stimuli, rows=rows, how=how)


def suited(metric: Any, folds: Folds | Splits) -> Folds | Splits:
    """The folds that a metric is prepared with.

    Args:
        metric: with `takes_splits` where it needs no partition, with `uses_folds` False where it holds nothing out.
        folds: of the benchmark.

    Raises:
        MetricError: it needs each stimulus held out once, and these are other splits.
    """
    if isinstance(folds, Folds) or getattr(metric, "takes_splits", False):
        return folds
    if not getattr(metric, "uses_folds", True):
        return Folds(held_out=(0,) * folds.n_stimuli, how="none")
    raise MetricError(
        f"{metric.name} needs folds that hold out each stimulus once and train on all others (KFold, GroupKFold), but "
        f"these are {folds.how}; use Encoding there"
    )
