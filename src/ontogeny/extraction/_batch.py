"""Batch: some stimuli, ready for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some stimuli, ready for a model.

    Args:
        inputs: for text "input_ids" and "attention_mask" (stimuli x tokens; all ones, since nothing is padded); for
            images "pixels".
        size: how many texts or pictures.
        rows: their places in the stimulus set; empty: as they come.
        special: texts x tokens, true where the tokenizer added a token of its own ([CLS], [SEP], BOS, EOS); None
            where it does not tell.
        spans: one row per stimulus: its text in the batch, the first token that is meant and the last one. None: each
            text is one stimulus, and all of it is meant.
        shared: whether several stimuli lie in one text, each as its beginning, see `Tokens.shared`.
        tails: whether the end of each text is meant (see `StimulusSet.tails`).
    """

    inputs: Mapping[str, Tensor]
    size: int
    rows: tuple[int, ...] = ()
    special: Tensor | None = None
    spans: Tensor | None = None
    shared: bool = False
    tails: bool = False

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        special, spans = (None if t is None else t.to(device) for t in (self.special, self.spans))
        return replace(self, inputs={k: v.to(device) for k, v in self.inputs.items()}, special=special, spans=spans)

    def shapes(self) -> str:
        """For error messages."""
        return ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.inputs.items())

    def only(self, places: Sequence[int]) -> Batch:
        """Some of its texts or pictures, by place in the batch, whole."""
        index = torch.tensor(list(places))
        return Batch(
            inputs={name: value[index] for name, value in self.inputs.items()},
            size=len(places),
            rows=tuple(self.rows[i] for i in places) if self.rows and not self.shared else (),
            special=None if self.special is None else self.special[index],
        )

    @property
    def n_tokens(self) -> int | None:
        """Length of each text; None for images."""
        ids = self.inputs.get("input_ids")
        return None if ids is None else int(ids.shape[1])
