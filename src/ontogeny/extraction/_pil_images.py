"""Pictures as the author of a transform means them: PIL images, upright and in RGB, as an image folder gives them.

A transform of arrays is recognised by one picture. One that draws at random is noticed, and draws the same again.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ontogeny.errors import DataError, ProbeError
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.random_state import same_randomness, seed_everything
from ontogeny.stimuli import StimulusSet, as_rgb

__all__ = ["ImageType", "Transformed", "is_random", "transform_pictures"]

ImageType: TypeAlias = Literal["pil", "array"]

_Named: TypeAlias = tuple[str, Any]
_TRIED = 3
_SEEDS = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """Pictures through a transform, some at a time and as often as asked for: each is the same every time.

    Args:
        stimuli: images.
        transform: image -> tensor.
        taken: what the transform is given.
        shape: of one picture's tensor.
    """

    stimuli: StimulusSet
    transform: Any
    taken: ImageType
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Of all pictures' tensors (float32)."""
        return 4 * len(self.stimuli) * math.prod(self.shape)

    @held
    def read(self, rows: Sequence[int]) -> Tensor:
        """Some pictures' tensors, decoded and transformed one by one.

        Raises:
            ProbeError: the transform fails, or gives something else than tensors of one shape; names the stimulus.
        """
        with preserved(self.transform) as kept, same_randomness():
            kept.seed()
            return _stacked(self, rows)


@held
def transform_pictures(stimuli: StimulusSet, transform: Any, *, image_type: ImageType = "pil") -> Transformed:
    """Each picture through the transform, under a seed of its own: any process gets the same tensors.

    Random states of Python, numpy and torch are as before afterwards. A transform that gives two answers for one of the
    first pictures under several seeds is warned of.

    Args:
        stimuli: images, see `ontogeny.stimuli.as_rgb`.
        transform: image -> tensor (channels x height x width), or a mapping with one picture's "pixel_values", as image
            processors of transformers give it.
        image_type: "pil": PIL images in RGB; where the transform refuses the first one but takes it as an array, arrays
            for all. "array": uint8, height x width x 3; arrays of other kinds as they are.

    Returns:
        Its `read` gives some stimuli x channels x height x width, or whatever shape the transform gives; float32, on
        the CPU.

    Raises:
        ProbeError: no transform, one that fails, or gives something else than tensors of one shape; names the stimulus.
        DataError: pictures that cannot be shown as 8-bit RGB.
    """
    if not callable(transform):
        raise ProbeError(
            f"stimulus set {stimuli.name!r} is images, so a probe needs a transform: pass transform=..., a function "
            "image -> tensor (channels x height x width), best the one of your validation set"
        )
    if image_type not in ("pil", "array"):
        raise ProbeError(f"image_type is 'pil' or 'array', got {image_type!r}")
    with preserved(transform) as kept, same_randomness():
        kept.seed()
        first = list(islice(_named(stimuli), _TRIED))
        taken = _taken_as(transform, first[0], image_type)
        found = next((one for one in first if _differs(transform, one, taken)), None)
        if found is not None:
            warnings.warn(_description(transform, found, taken), UserWarning, stacklevel=2)
        shape = tuple(_answer(transform, first[0], taken).shape)
        return Transformed(stimuli=stimuli, transform=transform, taken=taken, shape=shape)


@held
def is_random(transform: Any, pictures: Sequence[Any], *, image_type: ImageType = "pil") -> bool:
    """Whether a transform gives two answers for one picture under several seeds of the global random states.

    Args:
        transform: see `transform_pictures`.
        pictures: a few; each is transformed four times.
        image_type: see `transform_pictures`.

    Raises:
        ProbeError: the transform fails, or gives no tensor.
        DataError: pictures that cannot be shown as 8-bit RGB.
    """
    named = [(f"picture {number}", picture) for number, picture in enumerate(pictures)]
    with preserved(transform) as kept, same_randomness():
        kept.seed()
        taken = _taken_as(transform, named[0], image_type) if named else image_type
        return any(_differs(transform, one, taken) for one in named)


def _named(stimuli: StimulusSet) -> Iterator[_Named]:
    return zip(stimuli.ids, stimuli.inputs, strict=True)


def _seed(stimulus: str, number: int = 0) -> None:
    """The same seeds for the same stimulus."""
    seed_everything(zlib.crc32(f"{stimulus} {number}".encode()))


def _shown(one: _Named, taken: ImageType) -> Any:
    """A picture of the transform's own, which it may write to."""
    from PIL import Image

    stimulus, picture = one
    if taken == "array" and not hasattr(picture, "getexif") and np.asarray(picture).dtype != np.uint8:
        return np.array(picture)
    pixels = np.array(as_rgb(picture, f"stimulus {stimulus!r}"))
    return Image.fromarray(pixels) if taken == "pil" else pixels


def _taken_as(transform: Any, one: _Named, target: ImageType) -> ImageType:
    """Arrays where they are asked for, or where the transform refuses a PIL image and takes the array of it."""
    if target == "array":
        return target
    refused = _refusal(lambda: at_once(transform, _shown(one, "pil")), one)
    if refused is None:
        return "pil"
    error = _refusal(lambda: _tensor(at_once(transform, _shown(one, "array")), one[0]), one)
    if error is not None:
        raise ProbeError(
            f"the transform takes stimulus {one[0]!r} neither as a PIL image in RGB ({_brief(refused)}) nor as a uint8 "
            f"array, height x width x 3 ({_brief(error)}); pass the one of your validation set, from the image on"
        ) from refused
    return "array"


def _refusal(attempt: Callable[[], Any], one: _Named) -> Exception | None:
    """What came of trying; pictures that cannot be used at all are no refusal of the transform's."""
    _seed(one[0])
    try:
        attempt()
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - a transform may raise anything
        return error
    return None


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _answer(transform: Any, one: _Named, taken: ImageType, *, number: int = 0) -> Tensor:
    picture = _shown(one, taken)
    _seed(one[0], number)
    try:
        answer = at_once(transform, picture)
    except Exception as error:
        kind = "a PIL image in RGB" if taken == "pil" else f"an array {picture.shape} of {picture.dtype}"
        raise ProbeError(f"the transform fails for stimulus {one[0]!r}, given as {kind} ({_brief(error)})") from error
    return _tensor(answer, one[0])


def _tensor(answer: Any, stimulus: str) -> Tensor:
    """What a transform gave, as float32 on the CPU."""
    if isinstance(answer, Mapping):
        answer = _pixel_values(answer, stimulus)
    if isinstance(answer, Tensor):
        return answer.detach().as_subclass(Tensor).float().cpu()
    got = type(answer).__name__
    how = "; end it with torch.from_numpy" if isinstance(answer, np.ndarray) else "; does it lack ToTensor()?"
    raise ProbeError(f"the transform should give tensors of one shape, got {got} for stimulus {stimulus!r}{how}")


def _pixel_values(answer: Mapping[str, Any], stimulus: str) -> Tensor:
    """Of a processor's answer the one picture."""
    if "pixel_values" not in answer:
        raise ProbeError(
            f"the transform should give a tensor, or a mapping with 'pixel_values', got one with {list(answer)} for "
            f"stimulus {stimulus!r}"
        )
    values = answer["pixel_values"]
    if isinstance(values, list | tuple) and len(values) == 1:
        values = values[0] if isinstance(values[0], Tensor | np.ndarray) else values
    whole = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    if whole.ndim > 3 and len(whole) != 1:
        raise ProbeError(
            f"'pixel_values' should be of one picture, got {len(whole)} ({tuple(whole.shape)}) for stimulus "
            f"{stimulus!r}"
        )
    return whole[0] if whole.ndim > 3 else whole


def _differs(transform: Any, one: _Named, taken: ImageType) -> bool:
    """Whether seeds make a difference; the answers are compared bit by bit."""
    answers = (_answer(transform, one, taken, number=number) for number in _SEEDS)
    first = next(answers).clone()
    return not all(_equal(first, other) for other in answers)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _description(transform: Any, one: _Named, taken: ImageType) -> str:
    """The warning; it says where seeds do not help."""
    first = _answer(transform, one, taken).clone()
    fixed = _equal(first, _answer(transform, one, taken))
    now = (
        "each picture is drawn once, under a fixed seed" if fixed else "no seed fixes it: it has a generator of its own"
    )
    return (
        f"the transform gives two answers for stimulus {one[0]!r}; pass the one of your validation set, which draws "
        f"nothing at random ({now})"
    )


def _stacked(pictures: Transformed, rows: Sequence[int]) -> Tensor:
    """Answers in one tensor, filled one by one: a transform may use its memory again."""
    whole = torch.empty((len(rows), *pictures.shape))
    for place, row in enumerate(rows):
        one = pictures.stimuli.ids[row], pictures.stimuli.inputs[row]
        tensor = _answer(pictures.transform, one, pictures.taken)
        if tensor.shape != pictures.shape:
            raise ProbeError(
                f"the transform should give tensors of one shape, got {tuple(tensor.shape)} for stimulus {one[0]!r} "
                f"after {pictures.shape}"
            )
        whole[place] = tensor
    return whole
