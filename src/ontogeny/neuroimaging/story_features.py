"""Stories: features timed by words become features of volumes (TRs), delayed as the haemodynamic response is.

    x = to_volumes(word_times, features, volume_times)              one story at a time; Lanczos or mean
    x = fir_delays(x, stories=stories, delays=(1, 2, 3, 4))         or convolve_glover(x, stories=stories, tr=2.0)
    keep = trimmed(stories, start=5, end=5)                         rows that are left, of features and responses
    folds = make_folds(keep.sum(), groups=kept stories)             a story is never split

Nothing reaches from one story into another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from ontogeny.errors import DataError
from ontogeny.neuroimaging.run_preprocessing import rows_of

__all__ = ["convolve_glover", "fir_delays", "glover_hrf", "to_volumes", "trimmed"]

How = Literal["lanczos", "mean"]
Volumes = Float[np.ndarray, "volumes features"]


def to_volumes(
    times: Float[np.ndarray, " words"],
    values: Float[np.ndarray, "words features"],
    volume_times: Float[np.ndarray, " volumes"],
    *,
    how: How = "lanczos",
    window: int = 3,
) -> Volumes:
    """Features of words, resampled to the volumes of one story.

    Args:
        times: the middle of each word, in seconds.
        values: one row a word.
        volume_times: the middle of each volume, in seconds, evenly spaced.
        how: "lanczos": words are impulses, summed through a Lanczos low-pass at the volumes' Nyquist frequency (as in
            Huth et al. 2016, Nature 532:453, and LeBel et al. 2023, Sci Data 10:555); "mean": over the words within
            half a TR of the volume's middle, 0 where there is none.
        window: lobes of the Lanczos kernel.

    Raises:
        DataError: lengths that differ, volumes that are not evenly spaced, values that are not finite.
    """
    tr = _spacing(volume_times)
    if len(times) != len(values):
        raise DataError(f"expected one time a word, {len(values)} words, got {len(times)} times")
    if not np.isfinite(values).all() or not np.isfinite(times).all():
        raise DataError("times and features of words should be finite; leave words without a vector out")
    if how not in ("lanczos", "mean"):
        raise DataError(f"how is 'lanczos' or 'mean', got {how!r}")
    apart = (volume_times[:, None] - times[None, :]) / tr
    if how == "lanczos":
        weights = np.sinc(apart) * np.sinc(apart / window) * (np.abs(apart) <= window)
        return np.asarray(weights @ values)
    within = ((apart > -0.5) & (apart <= 0.5)).astype(np.float64)
    return np.asarray(within @ values / np.maximum(within.sum(axis=1, keepdims=True), 1))


def _spacing(times: Float[np.ndarray, " volumes"]) -> float:
    steps = np.diff(times)
    if len(times) < 2 or not (steps > 0).all() or np.ptp(steps) > 1e-3 * steps.mean():
        raise DataError("times of volumes should rise evenly, two volumes or more; give one story at a time")
    return float(steps.mean())


def fir_delays(
    x: Volumes, *, stories: Sequence[str], delays: Sequence[int] = (1, 2, 3, 4)
) -> Float[np.ndarray, "volumes delayed"]:
    """Copies of the features, each later by so many volumes, side by side: a finite impulse response a feature.

    Args:
        x: volumes x features, all stories one after the other.
        stories: one a volume.
        delays: in volumes; copies begin with zeros in every story. (Negative: features of what comes later.)

    Returns:
        Volumes x (delays * features): all features at the first delay, then at the next.

    Raises:
        DataError: lengths that differ, or a delay as long as a story.
    """
    out = np.zeros((len(x), len(delays), x.shape[1]), dtype=x.dtype)
    for story, rows in _stories(x, stories).items():
        n = len(rows)
        for place, delay in enumerate(delays):
            if abs(delay) >= n:
                raise DataError(f"a delay of {delay} volumes is longer than story {story!r}, which has {n}")
            target, source = np.asarray(rows)[max(delay, 0) : n + min(delay, 0)], np.asarray(rows)[max(-delay, 0) :]
            out[target, place] = x[source[: len(target)]]
    return out.reshape(len(x), -1)


def glover_hrf(tr: float, *, length: float = 32.0) -> Float[np.ndarray, " volumes"]:
    """The haemodynamic response to an impulse, at 0, TR, 2 TR, ... seconds, with sum 1.

    h(t) = c1 t^6 exp(-t / .9) - .35 c2 t^12 exp(-t / .9), c so that each term has the peak 1 (at 5.4 and 10.8 s):
    auditory cortex, Glover 1999, NeuroImage 9:416, p. 420.

    Raises:
        DataError: a TR that is not positive, or so long that nothing is left.
    """
    if not 0 < tr <= length / 4:
        raise DataError(f"tr should be seconds, above 0 and at most {length / 4:g}, got {tr}; is it in milliseconds?")
    times = np.arange(0.0, length, tr)
    rise, dip = ((times / (n * 0.9)) ** n * np.exp(n - times / 0.9) for n in (6, 12))
    response = rise - 0.35 * dip
    return np.asarray(response / response.sum())


def convolve_glover(x: Volumes, *, stories: Sequence[str], tr: float) -> Volumes:
    """Features convolved with `glover_hrf` within each story: one fixed response, no delays to be fitted.

    Raises:
        DataError: lengths that differ, or a TR that is not positive.
    """
    kernel, out = glover_hrf(tr), np.empty_like(x)
    for rows in _stories(x, stories).values():
        part = x[rows]
        out[rows] = np.stack([np.convolve(column, kernel)[: len(rows)] for column in part.T], axis=1)
    return out


def trimmed(stories: Sequence[str], *, start: int, end: int) -> Bool[np.ndarray, " volumes"]:
    """True where a volume is left when so many are cut from both ends of every story (onset transients, silence).

    Raises:
        DataError: nothing of a story would be left.
    """
    keep = np.zeros(len(stories), dtype=bool)
    for story, rows in rows_of(stories).items():
        left = rows[start : len(rows) - end]
        if start < 0 or end < 0 or not left:
            raise DataError(
                f"cutting {start} and {end} volumes leaves nothing of story {story!r}, which has {len(rows)}"
            )
        keep[left] = True
    return keep


def _stories(x: Volumes, stories: Sequence[str]) -> dict[str, list[int]]:
    if len(stories) != len(x):
        raise DataError(f"expected one story a volume, {len(x)}, got {len(stories)}")
    return rows_of(stories)
