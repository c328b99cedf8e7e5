"""StimulusSet: ordered stimuli with stable ids."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped, UInt8
from typing_extensions import override

from ontogeny._arrays import digest_of
from ontogeny._display import one_line
from ontogeny.errors import AlignmentIdError, DataError

__all__ = [
    "Chosen",
    "Modality",
    "StimulusSet",
    "as_rgb",
    "check_ids",
    "pixels_of",
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
        groups: one label per stimulus (story, run, category) that folds must not split, or None.
        contiguous: neighbours in order are not independent (a story, a run): folds are blocks then.
        tails: the end of each text that is meant, such as the last word of a window: its surprisal is that of this end.

    Example:
        >>> stimuli = StimulusSet(name="two", modality="text", ids=("a", "b"), inputs=("a dog", "a cat"))
        >>> len(stimuli), stimuli.inputs[1]
        (2, 'a cat')
    """

    name: str
    modality: Modality
    ids: tuple[str, ...]
    inputs: Sequence[Any]
    groups: tuple[str, ...] | None = None
    contiguous: bool = False
    tails: tuple[str, ...] | None = None

    __repr__ = one_line

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
        if self.tails is not None and not self._tails_fit(self.tails):
            raise DataError(f"stimulus set {self.name!r}: give each text the end that is meant, as it stands in it")
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

    def _tails_fit(self, tails: tuple[str, ...]) -> bool:
        return len(tails) == len(self.ids) and all(
            tail and text.endswith(tail) for text, tail in zip(self.inputs, tails, strict=True)
        )

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, rows: Sequence[int] | np.ndarray) -> StimulusSet:
        """Some of the stimuli, by row number."""
        groups = None if self.groups is None else tuple(self.groups[i] for i in rows)
        tails = None if self.tails is None else tuple(self.tails[i] for i in rows)
        ids = tuple(self.ids[i] for i in rows)
        return replace(self, ids=ids, inputs=Chosen(self.inputs, [int(i) for i in rows]), groups=groups, tails=tails)

    def fingerprint(self) -> str:
        """Sixteen hex digits over ids, groups and the stimuli themselves."""
        contents = (s if isinstance(s, str) else pixels_of(s) for s in self.inputs)
        tails = () if self.tails is None else (self.tails,)
        return digest_of(chain((self.modality, self.ids, self.groups, self.contiguous), tails, contents))


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
