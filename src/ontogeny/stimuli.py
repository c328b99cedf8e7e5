"""StimulusSet: ordered stimuli with stable ids."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from scipy.ndimage import gaussian_filter1d
from typing_extensions import override

from ontogeny._arrays import digest_of
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.memory import require_memory, square

__all__ = [
    "Chosen",
    "Modality",
    "StimulusSet",
    "as_rgb",
    "check_ids",
    "nuisance_features",
    "pixels_of",
    "position_features",
    "surface_features",
    "upright",
]

Modality = Literal["text", "image"]

_ORIENTATION = 274
_EIGHT_BITS = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr")


def check_ids(ids: Sequence[str], owner: str) -> None:
    """Refuse an empty list of ids, and doubled ids, by name.

    Raises:
        AlignmentIdError: no ids, or an id that appears twice.
    """
    if not ids:
        raise AlignmentIdError(f"{owner}: expected at least one stimulus id, got none")
    doubled = [i for i, count in Counter(ids).items() if count > 1]
    if doubled:
        raise AlignmentIdError(
            f"{owner}: stimulus ids must be unique, but {len(doubled)} appear more than once, e.g. {doubled[:3]}; "
            "average the repeats or give each presentation its own id"
        )


class Chosen(Sequence[Any]):
    """Some of a sequence's items in another order, each read when it is asked for: pictures stay where they are.

    Args:
        whole: the sequence.
        rows: places in it.
    """

    def __init__(self, whole: Sequence[Any], rows: Sequence[int]) -> None:
        self._whole, self._rows = whole, tuple(rows)

    @override
    def __len__(self) -> int:
        return len(self._rows)

    @override
    def __getitem__(self, index: Any) -> Any:
        """One item; of a slice, those chosen there."""
        return Chosen(self._whole, self._rows[index]) if isinstance(index, slice) else self._whole[self._rows[index]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusSet:
    """Ordered stimuli (text or images) with stable ids.

    Args:
        name: what the set is called.
        modality: "text" (inputs are strings) or "image" (PIL images of any 8-bit mode, or uint8 arrays height x width
            x 3, grey ones height x width; see `as_rgb`).
        ids: one unique id a stimulus; responses are matched to stimuli by these, never by order.
        inputs: the stimuli, in the order of `ids`: any sequence, a `datasets.Dataset` column included.
        groups: one label a stimulus (story, run, category) that folds must not split, or None.
        contiguous: neighbours in order are not independent (a story, a run): folds are blocks then.
    """

    name: str
    modality: Modality
    ids: tuple[str, ...]
    inputs: Sequence[Any]
    groups: tuple[str, ...] | None = None
    contiguous: bool = False

    def __post_init__(self) -> None:
        check_ids(self.ids, f"stimulus set {self.name!r}")
        if len(self.inputs) != len(self.ids):
            raise DataError(
                f"stimulus set {self.name!r}: {len(self.ids)} ids but {len(self.inputs)} inputs; give one input an id"
            )
        if self.groups is not None and len(self.groups) != len(self.ids):
            raise DataError(
                f"stimulus set {self.name!r}: {len(self.ids)} ids but {len(self.groups)} groups; give one group an id"
            )
        if self.modality not in ("text", "image"):
            raise DataError(f"stimulus set {self.name!r}: modality is 'text' or 'image', got {self.modality!r}")
        if self.modality == "text":
            self._check_text()

    def _check_text(self) -> None:
        for stimulus, text in zip(self.ids, self.inputs, strict=True):
            if not isinstance(text, str) or not text.strip():
                raise DataError(
                    f"stimulus set {self.name!r}: stimulus {stimulus!r} should be a non-empty string, got {text!r}"
                )

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, rows: Sequence[int] | np.ndarray) -> StimulusSet:
        """Some of the stimuli, by row number."""
        groups = None if self.groups is None else tuple(self.groups[i] for i in rows)
        ids = tuple(self.ids[i] for i in rows)
        return replace(self, ids=ids, inputs=Chosen(self.inputs, [int(i) for i in rows]), groups=groups)

    def fingerprint(self) -> str:
        """Sixteen hex digits over ids, groups and the stimuli themselves."""
        contents = (s if isinstance(s, str) else pixels_of(s) for s in self.inputs)
        return digest_of(chain((self.modality, self.ids, self.groups, self.contiguous), contents))


def upright(image: Any) -> Any:
    """A PIL image turned and mirrored as its EXIF orientation says, as every viewer shows it.

    EXIF that cannot be read says nothing.

    Raises:
        OSError: its pixels cannot be decoded.
    """
    from PIL import ImageOps

    image.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            orientation = image.getexif().get(_ORIENTATION, 1)
        except SyntaxError:
            return image
        return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def pixels_of(image: Any) -> Shaped[np.ndarray, "..."]:
    """A picture's pixels as they are seen: those of a PIL image `upright`, other pictures as they are.

    Colours of a palette, CMYK and so on become RGB, grey stays grey; what `as_rgb` refuses stays in its own mode.
    """
    if not hasattr(image, "getexif"):
        return np.asarray(image)
    turned = upright(image)
    return np.asarray(turned if turned.mode in ("L", "RGB") or _unseen(turned) else turned.convert("RGB"))


def as_rgb(image: Any, owner: str) -> UInt8[np.ndarray, "height width 3"]:
    """A picture as uint8 RGB, `upright`. Grey becomes three equal channels, alpha that hides nothing goes.

    Args:
        image: PIL image of any 8-bit mode, or a uint8 array: height x width, or height x width x 1, 3 or 4.
        owner: for errors.

    Raises:
        DataError: another array, more than 8 bits, or transparent parts, which were seen on a background.
    """
    hidden = _unseen(image) if hasattr(image, "getexif") else ""
    pixels = np.empty((0, 0, 3), np.uint8) if hidden else np.atleast_3d(pixels_of(image))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise DataError(
            f"{owner}: a picture should be a PIL image or uint8, height x width or height x width x 1, 3 or 4, got "
            f'{pixels.dtype} {tuple(np.shape(image))}; convert it, or say image_type="array" where a transform takes it'
        )
    if hidden or (pixels.shape[2] == 4 and pixels[:, :, 3].min(initial=255) < 255):
        what = hidden or "transparent parts"
        raise DataError(f"{owner} has {what}; save it as 8-bit RGB, on the background that was seen")
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]


def _unseen(image: Any) -> str:
    """What of a PIL image cannot be shown as 8-bit RGB."""
    if image.mode not in _EIGHT_BITS:
        return f"mode {image.mode}"
    hides = image.mode in ("PA", "LA", "RGBA") or "transparency" in image.info
    return "transparent parts" if hides and image.convert("RGBA").getextrema()[3][0] < 255 else ""


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
