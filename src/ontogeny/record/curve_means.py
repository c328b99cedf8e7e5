"""Means over subjects or runs, and what they are read against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ontogeny.record.complete import complete

__all__ = ["CurveMeans", "Reference", "mean_of", "means_over"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What curves are read against: a baseline or control.

    Args:
        steps: at which it was measured.
        each: one row per subject of the group; NaN where there is none.
    """

    steps: tuple[int, ...]
    each: Float[np.ndarray, "subjects steps"]

    @property
    def mean(self) -> Float[np.ndarray, " steps"]:
        """Over the subjects that have a value at every step, see `complete`."""
        return _mean_error(self.each)[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveMeans:
    """Means over subjects, by the rule of `ontogeny.record.complete`.

    Args:
        value: NaN where a subject of the mean has none.
        error: one standard error of that mean over subjects; 0 with one subject.
        n_subjects: in the mean.
    """

    value: Float[np.ndarray, "layers steps"]
    error: Float[np.ndarray, "layers steps"]
    n_subjects: Int[np.ndarray, "layers steps"]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the known values, None where none is known."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return float(np.mean(known)) if known else None


def means_over(each: Float[np.ndarray, "subjects layers steps"]) -> CurveMeans:
    """Means over the first axis, by the rule of `ontogeny.record.complete`."""
    if np.isfinite(each).all():
        found = [np.asarray(part) for part in _mean_error(each.reshape(len(each), -1))]
    else:
        rows = [_mean_error(each[:, i]) for i in range(each.shape[1])]
        found = [np.stack(part) for part in zip(*rows, strict=True)] if rows else [np.zeros(0)] * 3
    value, error, count = (part.reshape(each.shape[1:]) for part in found)
    return CurveMeans(value=value, error=error, n_subjects=np.nan_to_num(count).astype(np.int64))


def _mean_error(
    each: Float[np.ndarray, "subjects steps"],
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Mean, its standard error and the number of subjects; NaN at the steps that are left out."""
    subjects, steps = complete(np.isfinite(each))
    value, error, count = (np.full(each.shape[1], np.nan) for _ in range(3))
    kept = each[subjects][:, steps]
    if kept.size:
        value[steps], count[steps] = kept.mean(axis=0), len(kept)
        error[steps] = kept.std(axis=0, ddof=1) / math.sqrt(len(kept)) if len(kept) > 1 else 0.0
    return value, error, count
