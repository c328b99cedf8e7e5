"""Model inputs: stimuli -> batches that a model takes. Texts are tokenized and pictures transformed once.

Pictures whose tensors would fill more than half of the available memory are transformed anew at each reading, batch by
batch, to the same tensors.

Texts are never padded: a batch holds texts of one length, so that no mask, pad token or position rule of a model can
change what it makes of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ontogeny._memory import available
from ontogeny.errors import ProbeError
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction._pil_images import ImageType, Transformed, transform_pictures
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.random_state import same_randomness
from ontogeny.stimuli import StimulusSet

__all__ = ["Batch", "ImageType", "ModelInputs", "make_inputs", "random_tokens"]

_SEED = 20080092


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some stimuli, ready for a model.

    Args:
        inputs: for text "input_ids" and "attention_mask" (stimuli x tokens; all ones, since nothing is padded); for
            images "pixels".
        size: how many stimuli.
        rows: their places in the stimulus set; empty: as they come.
        special: stimuli x tokens, true where the tokenizer added a token of its own ([CLS], [SEP], BOS, EOS); None
            where it does not tell.
    """

    inputs: Mapping[str, Tensor]
    size: int
    rows: tuple[int, ...] = ()
    special: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        special = None if self.special is None else self.special.to(device)
        return replace(self, inputs={k: v.to(device) for k, v in self.inputs.items()}, special=special)

    def shapes(self) -> str:
        """For error messages."""
        return ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.inputs.items())

    def only(self, places: Sequence[int]) -> Batch:
        """Some of its stimuli, by place in the batch."""
        index = torch.tensor(list(places))
        return Batch(
            inputs={name: value[index] for name, value in self.inputs.items()},
            size=len(places),
            rows=tuple(self.rows[i] for i in places) if self.rows else (),
            special=None if self.special is None else self.special[index],
        )

    @property
    def n_tokens(self) -> int | None:
        """Length of each text; None for images."""
        ids = self.inputs.get("input_ids")
        return None if ids is None else int(ids.shape[1])


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
        return _tokenized(stimuli, reader, truncation)
    return _transformed(stimuli, reader, image_type)


def random_tokens(stimuli: StimulusSet, tokenizer: Any, *, truncation: int | None = None) -> ModelInputs:
    """The tokens of all stimuli, dealt out anew (frozen): lengths and counts of tokens stay, sentences do not.

    Special tokens of a Hugging Face tokenizer stay in their places. A control of AlKhamissi et al. 2025 (arXiv
    2503.01830): what a model scores on random tokens of the same lengths, its lengths score.

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
    whole = _tokenized(stimuli, tokenizer, truncation)
    special = np.asarray(list(getattr(tokenizer, "all_special_ids", ())), dtype=np.int64)
    ids = np.concatenate([np.asarray(row, dtype=np.int64) for row in whole.ids])
    free = np.flatnonzero(~np.isin(ids, special))
    ids[free] = np.random.default_rng(_SEED).permutation(ids[free])
    edges = np.cumsum([len(row) for row in whole.ids])[:-1]
    return replace(whole, ids=[tuple(row.tolist()) for row in np.split(ids, edges)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """Token ids of every stimulus, and which of them the tokenizer added."""

    ids: Sequence[tuple[int, ...]]
    special: Sequence[tuple[bool, ...]] | None = None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Texts of one length together, the shortest first."""
        lengths = np.asarray([len(row) for row in self.ids])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for start in range(0, len(rows), batch_size):
                yield self._batch(rows[start : start + batch_size].tolist())

    def _batch(self, rows: list[int]) -> Batch:
        ids = torch.tensor([self.ids[row] for row in rows], dtype=torch.long)
        return Batch(
            inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            size=len(rows),
            rows=tuple(rows),
            special=None if self.special is None else torch.tensor([self.special[row] for row in rows]),
        )


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


@held
def _tokenized(stimuli: StimulusSet, tokenizer: Any, truncation: int | None) -> _Tokens:
    if not callable(tokenizer):
        raise ProbeError(
            f"stimulus set {stimuli.name!r} is text, so a probe needs a tokenizer: pass tokenizer=..., a Hugging Face "
            "tokenizer or a function text -> token ids"
        )
    with preserved(tokenizer), same_randomness():
        rows = [_Text.of(tokenizer, i, text, truncation) for i, text in zip(stimuli.ids, stimuli.inputs, strict=True)]
    told = [row.special for row in rows if row.special is not None]
    return _Tokens(ids=[row.ids for row in rows], special=told if len(told) == len(rows) else None)


@dataclass(frozen=True, slots=True)
class _Text:
    """One text's tokens, without padding, and which of them the tokenizer added."""

    ids: tuple[int, ...]
    special: tuple[bool, ...] | None

    @classmethod
    def of(cls, tokenizer: Callable[..., Any], stimulus: str, text: str, truncation: int | None) -> _Text:
        """Tokenize.

        Raises:
            ProbeError: the tokenizer failed, or gave something else than token ids; the stimulus is named.
        """
        try:
            encoded = at_once(_encoded, tokenizer, text, truncation)
        except Exception as error:
            raise ProbeError(
                f"the tokenizer should give token ids for stimulus {stimulus!r} ({text[:60]!r}), but it raised "
                f"{type(error).__name__}: {error}"
            ) from error
        try:
            ids = [int(i) for i in np.asarray(_part(encoded, "input_ids", "ids")).ravel()]
        except Exception as error:
            kind = type(encoded).__name__
            raise ProbeError(f"the tokenizer should give token ids for stimulus {stimulus!r}, got {kind}") from error
        mask = _part(encoded, "attention_mask")
        kept = _unpadded(np.ones(len(ids)) if mask is None else np.asarray(mask).ravel(), stimulus)[:truncation]
        marks = _special(encoded, len(ids))
        special = None if marks is None else tuple(bool(marks[i]) for i in kept)
        if not len(kept):
            raise ProbeError(f"the tokenizer gives no token for stimulus {stimulus!r}")
        if special is not None and all(special):
            raise ProbeError(f"the tokenizer gives no token but its own special ones for stimulus {stimulus!r}")
        return cls(tuple(ids[i] for i in kept), special)


def _encoded(tokenizer: Callable[..., Any], text: str, truncation: int | None) -> Any:
    """A Hugging Face tokenizer is asked which tokens it added, and cuts a long text before these."""
    if not (hasattr(tokenizer, "all_special_ids") and hasattr(tokenizer, "num_special_tokens_to_add")):
        return tokenizer(text)
    cut = {"truncation": True, "max_length": truncation} if truncation is not None else {}
    return tokenizer(text, return_special_tokens_mask=True, return_attention_mask=True, **cut)


def _part(encoded: Any, *names: str) -> Any:
    """Of a mapping by key, of an `Encoding` by attribute; a plain list is the ids."""
    if isinstance(encoded, Mapping):
        return encoded.get(names[0])
    found = next((getattr(encoded, name) for name in names if hasattr(encoded, name)), None)
    return encoded if found is None and "ids" in names else found


def _special(encoded: Any, n: int) -> Any:
    """One mark per token, true where the tokenizer added it; None where it does not tell."""
    marks = _part(encoded, "special_tokens_mask")
    if marks is None and getattr(encoded, "encodings", None):
        marks = encoded.encodings[0].special_tokens_mask
    marks = None if marks is None else np.asarray(marks).ravel()
    return marks if marks is not None and len(marks) == n else None


def _unpadded(mask: Any, stimulus: str) -> list[int]:
    """Places of the tokens between the padding on both sides.

    Raises:
        ProbeError: tokens in the middle are masked.
    """
    places = np.flatnonzero(mask)
    if len(places) and len(places) != places[-1] - places[0] + 1:
        raise ProbeError(
            f"the tokenizer's attention_mask leaves out tokens in the middle of stimulus {stimulus!r}; only padding "
            "before or after a text can be left out"
        )
    return [int(place) for place in places]


def _transformed(stimuli: StimulusSet, transform: Any, image_type: ImageType) -> ModelInputs:
    pictures = transform_pictures(stimuli, transform, image_type=image_type)
    if 2 * pictures.n_bytes > available():
        return _Pictures(pictures=pictures)
    return _Pixels(pixels=pictures.read(range(len(stimuli))))
