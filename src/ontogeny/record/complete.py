"""Which subjects and steps a mean is taken over, so that a value that is missing never makes an effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

__all__ = ["complete", "incomplete_note"]


def complete(
    known: Bool[np.ndarray, "subjects steps"],
) -> tuple[Bool[np.ndarray, " subjects"], Bool[np.ndarray, " steps"]]:
    """Subjects and steps such that each of these subjects has a value at each of these steps.

    The mean over the subjects with a value moves where one has none. So either the subjects with a value at
    every step are averaged, or the steps with a value of every subject are kept: whichever keeps more values. Steps and
    subjects without any value do not count.

    Args:
        known: where there is a value.

    Returns:
        Masks of the subjects and of the steps that are kept.

    Example:
        >>> known = np.ones((4, 10), dtype=bool)
        >>> known[1, 3] = False
        >>> subjects, steps = complete(known)
        >>> int(subjects.sum()), int(steps.sum())
        (4, 9)
    """
    someone, somewhen = np.asarray(known.any(axis=1)), np.asarray(known.any(axis=0))
    whole_subjects = someone & (known | ~somewhen).all(axis=1)
    whole_steps = somewhen & (known | ~someone[:, None]).all(axis=0)
    if whole_subjects.sum() * somewhen.sum() >= someone.sum() * whole_steps.sum():
        return np.asarray(whole_subjects), np.asarray(somewhen & bool(whole_subjects.any()))
    return np.asarray(someone), np.asarray(whole_steps)


def incomplete_note(
    known: Bool[np.ndarray, "subjects steps"], subjects: Sequence[str], steps: Sequence[int] | Int[np.ndarray, " steps"]
) -> str:
    """What `complete` leaves out, a sentence; "" where nothing is missing."""
    kept, whole = complete(known)
    out = []
    for name, row in zip(
        np.asarray(subjects)[known.any(axis=1) & ~kept], known[known.any(axis=1) & ~kept], strict=True
    ):
        lacks = int((known.any(axis=0) & ~row).sum())
        out.append(f"subject {name} lacks {lacks} of {int(known.any(axis=0).sum())} steps and is left out of the mean")
    gone = np.asarray(steps)[known.any(axis=0) & ~whole]
    if len(gone):
        named = ", ".join(f"{step:,}" for step in gone[:4]) + (", ..." if len(gone) > 4 else "")
        verbs = ("lacks", "is", "") if len(gone) == 1 else ("lack", "are", "s")
        out.append(f"{len(gone)} step{verbs[2]} ({named}) {verbs[0]} a subject and {verbs[1]} left out")
    return "; ".join(out)
