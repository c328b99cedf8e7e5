"""Confounds: what of the stimuli themselves may explain a score: position, surface (length or pixels), nuisance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from ontogeny._memory import require_memory, square
from ontogeny.stimuli.stimulus_set import StimulusSet, pixels_of

__all__ = ["nuisance_features", "position_features", "surface_features"]


def position_features(stimuli: StimulusSet, *, width: float = 1.0) -> Float[np.ndarray, "stimuli stimuli"]:
    """Nothing but which stimuli are neighbours: orthogonal autocorrelated sequences (OASM).

    An identity matrix, smoothed by a Gaussian within each block of contiguous stimuli, so that neighbours are alike and
    blocks share nothing (Hadidi, Feghhi et al. 2026, Nature Communications, doi 10.1038/s41467-026-72253-7; their
    blocks are passages and stories, and they choose among 48 widths from 0.1 to 4.8 stimuli: one is fixed here, since
    the best of many is above chance by itself). A block is a group, in the order of the stimuli, also where its
    stimuli are not side by side; a set without groups is one block.

    Args:
        stimuli: in the order in which they were measured.
        width: standard deviation of the Gaussian, in stimuli.

    Raises:
        TooLargeError: no memory for stimuli x stimuli.
    """
    n, instead = len(stimuli), "ask for the split leak of fewer stimuli, or leave it out"
    require_memory(3 * square(n), f"the positions of {n:,} stimuli", instead=instead)
    labels = np.asarray(stimuli.groups if stimuli.groups is not None else [""] * len(stimuli))
    out = np.zeros((len(stimuli), len(stimuli)))
    for block in np.unique(labels):
        rows = np.flatnonzero(labels == block)
        out[np.ix_(rows, rows)] = gaussian_filter1d(np.eye(len(rows)), width, axis=1)
    return out


def surface_features(stimuli: StimulusSet) -> tuple[str, Float[np.ndarray, "stimuli features"]]:
    """What any untrained reader of the stimuli already sees: the confound baseline that stands beside every curve.

    Text: numbers of characters, words, commas, quotes, other punctuation, digits, capitals; mean and longest word.
    Images: an 8 x 8 colour thumbnail (block means), a grey one where all are grey.

    Returns:
        The baseline's name, and stimuli x features (counts, or intensities 0-1).
    """
    if stimuli.modality == "text":
        return "length and punctuation", np.stack([_text_surface(text) for text in stimuli.inputs])
    return "pixels", _stacked([_thumbnail(pixels_of(image)) for image in stimuli.inputs])


def nuisance_features(stimuli: StimulusSet) -> Float[np.ndarray, "stimuli features"]:
    """What of the stimuli a layer should not be credited with: their surface, and more that needs no model.

    Text: `surface_features`. Images: these and the contrast of each of the 8 x 8 blocks (standard deviation of the
    intensities, all colours together). Where neighbours in order are not independent: the place in the order too, as a
    straight line and its square.

    Returns:
        Stimuli x features, each in its own unit.
    """
    parts = [surface_features(stimuli)[1]]
    if stimuli.modality == "image":
        parts.append(np.stack([_blocks(pixels_of(image), np.std) for image in stimuli.inputs]))
    if stimuli.contiguous:
        place = np.linspace(-1, 1, len(stimuli))
        parts.append(np.stack([place, place**2], axis=1))
    return np.concatenate(parts, axis=1)


def _text_surface(text: str) -> Float[np.ndarray, " features"]:
    words = re.findall(r"\w+(?:['’-]\w+)*", text)
    lengths = [len(w) for w in words] or [0]
    counts = [
        len(text),
        len(words),
        text.count(","),
        sum(text.count(q) for q in "\"“”'’"),
        len(re.findall(r"[.;:!?()\-–—]", text)),
        sum(c.isdigit() for c in text),
        sum(c.isupper() for c in text),
        float(np.mean(lengths)),
        max(lengths),
    ]
    return np.asarray(counts, dtype=np.float64)


def _thumbnail(image: Float[np.ndarray, "..."] | Any) -> Float[np.ndarray, " features"]:
    return _blocks(image, lambda block: block.mean(axis=(0, 1)))


def _stacked(rows: Sequence[Float[np.ndarray, " _"]]) -> Float[np.ndarray, "stimuli features"]:
    """Grey thumbnails among coloured ones are those of three equal channels."""
    width = max(map(len, rows))
    return np.stack([np.repeat(row, width // len(row)) for row in rows])


def _blocks(
    image: Float[np.ndarray, "..."] | Any, of: Callable[[np.ndarray], Any], size: int = 8
) -> Float[np.ndarray, " features"]:
    pixels = np.atleast_3d(np.asarray(image, dtype=np.float64)) / 255.0
    rows = np.array_split(np.arange(pixels.shape[0]), size)
    columns = np.array_split(np.arange(pixels.shape[1]), size)
    blocks = [[of(pixels[np.ix_(r, c)]) for c in columns] for r in rows]
    return np.asarray(blocks, dtype=np.float64).ravel()
