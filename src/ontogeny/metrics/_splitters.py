"""Splitters of scikit-learn's kind: asked once, and their splits checked."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ontogeny.errors import MetricError
from ontogeny.metrics.encoding_models._estimator import text_of

__all__ = ["check_splitter", "splits_of", "takes_groups"]

Split = tuple[np.ndarray, np.ndarray]
_OTHERS = "{owner}: {name} splits otherwise each time; give it a number as random_state"


def splits_of(
    cv: Any, n_stimuli: int, *, groups: Sequence[str] | None, strata: Sequence[str] | None, owner: str
) -> tuple[list[Split], str]:
    """Row numbers to train on and row numbers held out, both ascending; and the splitter in words.

    Args:
        cv: an object with `split(X, y, groups)`, or a list of index arrays (train, test).
        n_stimuli: how many.
        groups: one label per stimulus that no split may part, or None.
        strata: one label per stimulus, given as y, or None.
        owner: whose splits these are, for errors.

    Raises:
        MetricError: splits that do not fit the stimuli, part a group, or are others each time.
    """
    check_splitter(cv, owner)
    splits, again = (_asked(cv, n_stimuli, groups, strata, owner) for _ in range(2))
    if not splits:
        raise MetricError(f"{owner}: {type(cv).__name__} makes no split of {n_stimuli} stimuli")
    if [[a.tolist(), b.tolist()] for a, b in splits] != [[a.tolist(), b.tolist()] for a, b in again]:
        raise MetricError(_OTHERS.format(owner=owner, name=type(cv).__name__))
    for number, (train, test) in enumerate(splits):
        _check(train, test, n_stimuli, f"{owner}: split {number}")
        if groups is not None and (shared := {groups[i] for i in train} & {groups[i] for i in test}):
            raise MetricError(f"{owner}: split {number} has group {min(shared)!r} on both sides; use GroupKFold")
    return splits, f"{len(splits)} splits given as row numbers" if isinstance(cv, list | tuple) else text_of(cv)


def check_splitter(cv: Any, owner: str) -> None:
    """Refuse a splitter that draws other splits each time, and what is no splitter.

    Raises:
        MetricError: names it.
    """
    if not isinstance(cv, list | tuple) and not callable(getattr(cv, "split", None)):
        raise MetricError(
            f"{owner}: cv is an object with split, or a list of index arrays (train, test), got {type(cv).__name__}"
        )
    seed = getattr(cv, "random_state", 0)
    drawn = isinstance(seed, np.random.RandomState | np.random.Generator)
    if drawn or (seed is None and getattr(cv, "shuffle", True)):
        raise MetricError(_OTHERS.format(owner=owner, name=type(cv).__name__))


def takes_groups(cv: Any) -> bool:
    """Whether a splitter asks for groups: scikit-learn's say so; another's `split` has them without a default."""
    if hasattr(cv, "get_metadata_routing"):
        return bool(cv.get_metadata_routing().split.requests.get("groups"))
    declared = inspect.signature(cv.split).parameters.get("groups") if hasattr(cv, "split") else None
    return declared is not None and declared.default is inspect.Parameter.empty


def _asked(cv: Any, n: int, groups: Any, strata: Any, owner: str) -> list[Split]:
    return [(_rows(train, owner), _rows(test, owner)) for train, test in _split(cv, n, groups, strata, owner)]


def _split(cv: Any, n: int, groups: Any, strata: Any, owner: str) -> list[tuple[Any, Any]]:
    if isinstance(cv, list | tuple):
        return list(cv)
    given = {"y": strata, "groups": groups}
    taken = inspect.signature(cv.split).parameters
    known = {name: np.asarray(labels) for name, labels in given.items() if labels is not None and name in taken}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The groups parameter is ignored")
            return list(cv.split(np.zeros((n, 1)), **known))
    except (TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise MetricError(f"{owner}: {text_of(cv)} cannot split {n} stimuli: {text}{_hint(groups, strata)}") from error


def _hint(groups: Any, strata: Any) -> str:
    lacking = [name for name, labels in (("strata", strata), ("groups", groups)) if labels is None]
    return f"; it was given no {' and no '.join(lacking)}" if lacking else ""


def _rows(indices: Any, owner: str) -> np.ndarray:
    found = np.asarray(indices)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iub"):
        raise MetricError(f"{owner}: a split is two arrays of row numbers, got {found.dtype} of shape {found.shape}")
    return np.flatnonzero(found) if found.dtype == bool else np.sort(found.astype(np.int64))


def _check(train: np.ndarray, test: np.ndarray, n: int, owner: str) -> None:
    if len(np.intersect1d(train, test)):
        raise MetricError(f"{owner} holds out stimuli that it trains on")
    both = np.concatenate([train, test])
    if not len(train) or len(test) < 2 or both.max() >= n or both.min() < 0 or len(np.unique(both)) < len(both):
        raise MetricError(
            f"{owner} does not fit the {n} stimuli, trains on none, holds out fewer than 2, or has one of them twice"
        )
