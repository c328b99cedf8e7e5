"""Model inputs: stimuli -> batches that a model takes. Texts are tokenized and pictures transformed once.

Pictures whose tensors would fill more than half of the available memory are transformed anew at each reading, batch by
batch, to the same tensors.

Texts are never padded: a batch holds texts of one length, so that no mask, pad token or position rule of a model can
change what it makes of a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor
from typing_extensions import override

from ontogeny._memory import available
from ontogeny.errors import ProbeError
from ontogeny.extraction._batch import Batch
from ontogeny.extraction._pil_images import ImageType, Transformed, transform_pictures
from ontogeny.extraction._tokens import beginnings, tokenized
from ontogeny.stimuli import StimulusSet

__all__ = ["Batch", "ImageType", "ModelInputs", "make_inputs", "random_tokens"]

_SEED = 20080092


@runtime_checkable
class ModelInputs(Protocol):
    """Stimuli as batches."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All stimuli, at most `batch_size` at a time; each batch says by `rows` which they are."""
        ...


def make_inputs(
    stimuli: StimulusSet, reader: Any, *, truncation: int | None = None, image_type: ImageType = "pil"
) -> ModelInputs:
    """Tokenize or transform the stimuli once.

    Args:
        stimuli: text or images.
        reader: tokenizer (text) or transform (images); a `ModelInputs` is taken as it is.
        truncation: longest text in tokens; what is longer is cut at its end.
        image_type: what the transform is given.

    Raises:
        ProbeError: no reader, or one that gives something else than token ids or tensors of one shape.
    """
    if isinstance(reader, ModelInputs):
        return reader
    if stimuli.modality == "text":
        return tokenized(stimuli, reader, truncation)
    return _transformed(stimuli, reader, image_type)


def random_tokens(stimuli: StimulusSet, tokenizer: Any, *, truncation: int | None = None) -> ModelInputs:
    """The tokens of all stimuli, dealt out anew (frozen): lengths and counts of tokens stay, sentences do not.

    Special tokens of a Hugging Face tokenizer stay in their places. A control of AlKhamissi et al. 2025 (arXiv
    2503.01830): what a model scores on random tokens of the same lengths, its lengths score. Windows of a
    story that begin alike still do.

    Args:
        stimuli: text.
        tokenizer: see `make_inputs`.
        truncation: see `make_inputs`.

    Raises:
        ProbeError: the stimuli are images.
    """
    if stimuli.modality != "text":
        raise ProbeError(
            f"the control 'random tokens' is for text, but stimulus set {stimuli.name!r} is images; leave it out, or "
            "watch text and images by a monitor each"
        )
    whole = tokenized(stimuli, tokenizer, truncation)
    special = np.asarray(list(getattr(tokenizer, "all_special_ids", ())), dtype=np.int64)
    held = {row: [row] for row in range(len(whole.ids))}
    if stimuli.tails is not None:
        held = dict(sorted(beginnings(whole.ids).items()))
    ids = np.concatenate([np.asarray(whole.ids[row], dtype=np.int64) for row in held])
    free = np.flatnonzero(~np.isin(ids, special))
    ids[free] = np.random.default_rng(_SEED).permutation(ids[free])
    edges = np.cumsum([len(whole.ids[row]) for row in held])[:-1]
    dealt = zip(held.values(), np.split(ids, edges), strict=True)
    out = {row: tuple(part[: len(whole.ids[row])].tolist()) for rows, part in dealt for row in rows}
    return replace(whole, ids=[out[row] for row in range(len(whole.ids))])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """Transformed images, stimuli x channels x height x width."""

    pixels: Tensor

    def batches(self, batch_size: int) -> Iterator[Batch]:
        for start in range(0, len(self.pixels), batch_size):
            part = self.pixels[start : start + batch_size]
            yield Batch(inputs={"pixels": part}, size=len(part), rows=tuple(range(start, start + len(part))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    """Images that are transformed when a batch of them is used, and not kept."""

    pictures: Transformed

    def batches(self, batch_size: int) -> Iterator[Batch]:
        n = len(self.pictures.stimuli)
        for start in range(0, n, batch_size):
            rows = tuple(range(start, min(start + batch_size, n)))
            yield Batch(inputs=_Later(self.pictures, rows), size=len(rows), rows=rows)


class _Later(Mapping[str, Tensor]):
    """The "pixels" of some images, made each time they are asked for."""

    def __init__(self, pictures: Transformed, rows: tuple[int, ...]) -> None:
        self._pictures, self._rows = pictures, rows

    @override
    def __getitem__(self, name: str) -> Tensor:
        if name != "pixels":
            raise KeyError(name)
        return self._pictures.read(self._rows)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(("pixels",))

    @override
    def __len__(self) -> int:
        return 1


def _transformed(stimuli: StimulusSet, transform: Any, image_type: ImageType) -> ModelInputs:
    pictures = transform_pictures(stimuli, transform, image_type=image_type)
    if 2 * pictures.n_bytes > available():
        return _Pictures(pictures=pictures)
    return _Pixels(pixels=pictures.read(range(len(stimuli))))
