"""Readers: stimuli -> batches that a model takes. Texts are tokenized and images transformed once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction.pictures import transform_pictures
from ontogeny.stimuli import StimulusSet

__all__ = ["Batch", "Reader", "make_reader", "random_tokens"]

_SEED = 20080092


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some stimuli, ready for a model: keyword tensors for text, one tensor under "pixels" for images."""

    inputs: Mapping[str, Tensor]
    size: int

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(inputs={k: v.to(device) for k, v in self.inputs.items()}, size=self.size)

    def shapes(self) -> str:
        """For error messages."""
        return ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.inputs.items())

    def run(self, model: nn.Module) -> Any:
        """One forward pass; a model that takes no attention mask gets token ids alone."""
        if "pixels" in self.inputs:
            pixels = self.inputs["pixels"]
            dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), pixels.dtype)
            return model(pixels.to(dtype))
        names = inspect.signature(model.forward).parameters
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in names.values())
        if "attention_mask" in names or ("input_ids" in names and open_ended):
            extra = {"use_cache": False} if "use_cache" in names else {}
            return model(**self.inputs, **extra)
        return model(self.inputs["input_ids"])


@runtime_checkable
class Reader(Protocol):
    """Stimuli as batches, in the order of the stimulus set."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All stimuli, `batch_size` at a time."""
        ...


def make_reader(stimuli: StimulusSet, reader: Any) -> Reader:
    """Tokenize or transform the stimuli once.

    Args:
        stimuli: text or images.
        reader: tokenizer (text) or transform (images); a `Reader` is taken as it is.

    Raises:
        ProbeError: no reader, or one that gives something else than token ids or tensors of one shape.
    """
    if isinstance(reader, Reader):
        return reader
    if stimuli.modality == "text":
        return _tokenized(stimuli, reader)
    return _transformed(stimuli, reader)


def random_tokens(stimuli: StimulusSet, tokenizer: Any) -> Reader:
    """The tokens of all stimuli, dealt out anew (frozen): lengths and counts of tokens stay, sentences do not.

    Special tokens of a Hugging Face tokenizer stay in their places. A control of AlKhamissi et al. 2025 (arXiv
    2503.01830): what a model scores on random tokens of the same lengths, its lengths score.

    Args:
        stimuli: text.
        tokenizer: see `make_reader`.

    Raises:
        ProbeError: the stimuli are images.
    """
    if stimuli.modality != "text":
        raise ProbeError(
            f"the control 'random tokens' is for text, but stimulus set {stimuli.name!r} is images; leave it out, or "
            "watch text and images by a monitor each"
        )
    whole = _tokenized(stimuli, tokenizer)
    special = np.asarray(list(getattr(tokenizer, "all_special_ids", ())), dtype=np.int64)
    ids = np.concatenate([np.asarray(row, dtype=np.int64) for row in whole.ids])
    free = np.flatnonzero(~np.isin(ids, special))
    ids[free] = np.random.default_rng(_SEED).permutation(ids[free])
    edges = np.cumsum([len(row) for row in whole.ids])[:-1]
    return _Tokens(ids=[tuple(row.tolist()) for row in np.split(ids, edges)], pad=whole.pad)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """Token ids of every stimulus; padded on the right, a batch at a time, whatever the tokenizer's own settings."""

    ids: Sequence[tuple[int, ...]]
    pad: int

    def batches(self, batch_size: int) -> Iterator[Batch]:
        for start in range(0, len(self.ids), batch_size):
            rows = self.ids[start : start + batch_size]
            width = max(len(row) for row in rows)
            ids = torch.full((len(rows), width), self.pad, dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for index, row in enumerate(rows):
                ids[index, : len(row)] = torch.tensor(row)
                mask[index, : len(row)] = 1
            yield Batch(inputs={"input_ids": ids, "attention_mask": mask}, size=len(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """Transformed images, stimuli x channels x height x width."""

    pixels: Tensor

    def batches(self, batch_size: int) -> Iterator[Batch]:
        for part in torch.split(self.pixels, batch_size):
            yield Batch(inputs={"pixels": part}, size=len(part))


def _tokenized(stimuli: StimulusSet, tokenizer: Any) -> _Tokens:
    if not callable(tokenizer):
        raise ProbeError(
            f"stimulus set {stimuli.name!r} is text, so a probe needs a tokenizer: pass tokenizer=..., a Hugging Face "
            "tokenizer or a function text -> token ids"
        )
    ids = [_token_ids(tokenizer, text) for text in stimuli.inputs]
    for stimulus, row in zip(stimuli.ids, ids, strict=True):
        if not row:
            raise ProbeError(f"the tokenizer gives no token for stimulus {stimulus!r}")
    pad = getattr(tokenizer, "pad_token_id", None)
    return _Tokens(ids=ids, pad=int(pad) if pad is not None else 0)


def _token_ids(tokenizer: Callable[[str], Any], text: str) -> tuple[int, ...]:
    encoded = tokenizer(text)
    ids = encoded["input_ids"] if isinstance(encoded, Mapping) else getattr(encoded, "ids", encoded)
    try:
        return tuple(int(i) for i in np.asarray(ids).ravel())
    except (TypeError, ValueError) as error:
        raise ProbeError(f"the tokenizer should give token ids, got {type(encoded).__name__} for {text!r}") from error


def _transformed(stimuli: StimulusSet, transform: Any) -> _Pixels:
    return _Pixels(pixels=transform_pictures(stimuli, transform))
