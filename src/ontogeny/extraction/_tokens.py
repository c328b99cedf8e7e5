"""Texts as token ids, once: batches of one length without padding; texts that begin alike read together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ontogeny.errors import ProbeError
from ontogeny.extraction._batch import Batch
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.random_state import same_randomness
from ontogeny.stimuli import StimulusSet

__all__ = ["Tokens", "beginnings", "tokenized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token ids of every stimulus, which of them the tokenizer added, and the first token of its tail."""

    ids: Sequence[tuple[int, ...]]
    special: Sequence[tuple[bool, ...]] | None = None
    starts: Sequence[int] | None = None

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Texts of one length together, the shortest first."""
        return self._of_one_length({row: [row] for row in range(len(self.ids))}, batch_size, shared=False)

    def shared(self, batch_size: int) -> Iterator[Batch]:
        """The same stimuli, where a text that is the beginning of another one is read with it: for causal models."""
        return self._of_one_length(beginnings(self.ids), batch_size, shared=True)

    def n_shared(self) -> int:
        """How many texts `shared` reads."""
        return len(beginnings(self.ids))

    def _of_one_length(self, texts: Mapping[int, list[int]], batch_size: int, *, shared: bool) -> Iterator[Batch]:
        rows = np.asarray(list(texts))
        lengths = np.asarray([len(self.ids[row]) for row in rows])
        for length in np.unique(lengths):
            some = rows[lengths == length]
            for start in range(0, len(some), batch_size):
                yield self._batch({row: texts[row] for row in some[start : start + batch_size].tolist()}, shared=shared)

    def _batch(self, texts: Mapping[int, list[int]], *, shared: bool) -> Batch:
        ids = torch.tensor([self.ids[row] for row in texts], dtype=torch.long)
        within = [(place, row) for place, rows in enumerate(texts.values()) for row in rows]
        spans = [(place, self.starts[row] if self.starts else 0, self._last(row)) for place, row in within]
        return Batch(
            inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            size=len(texts),
            rows=tuple(row for _, row in within),
            special=None if self.special is None else torch.tensor([self.special[row] for row in texts]),
            spans=torch.tensor(spans) if shared or self.starts else None,
            shared=shared,
            tails=self.starts is not None,
        )

    def _last(self, row: int) -> int:
        """The last token that is the text's own."""
        if self.special is None:
            return len(self.ids[row]) - 1
        return max(place for place, added in enumerate(self.special[row]) if not added)


def beginnings(ids: Sequence[tuple[int, ...]]) -> dict[int, list[int]]:
    """Text -> the texts that are its beginnings (itself among them), by row; the fewest texts that hold all."""
    found: dict[int, list[int]] = {}
    host = -1
    for row in sorted(range(len(ids)), key=lambda row: (ids[row], row), reverse=True):  # what begins alike is together
        if host < 0 or ids[host][: len(ids[row])] != ids[row]:
            host = row
        found.setdefault(host, []).append(row)
    return found


@held
def tokenized(stimuli: StimulusSet, tokenizer: Any, truncation: int | None) -> Tokens:
    """Tokenize a set of texts once.

    Raises:
        ProbeError: no tokenizer, or one that gives something else than token ids.
    """
    if not callable(tokenizer):
        raise ProbeError(
            f"stimulus set {stimuli.name!r} is text, so a probe needs a tokenizer: pass tokenizer=..., a Hugging Face "
            "tokenizer or a function text -> token ids"
        )
    with preserved(tokenizer), same_randomness():
        rows = [_Text.of(tokenizer, i, text, truncation) for i, text in zip(stimuli.ids, stimuli.inputs, strict=True)]
        starts = None if stimuli.tails is None else _starts(stimuli, rows, tokenizer)
    special_masks = [row.special for row in rows if row.special is not None]
    return Tokens(
        ids=[row.ids for row in rows], special=special_masks if len(special_masks) == len(rows) else None, starts=starts
    )


def _starts(stimuli: StimulusSet, rows: Sequence[_Text], tokenizer: Any) -> list[int]:
    """The first token of each text's tail: the first that is not one of the text before it."""
    known = {text: row.own for text, row in zip(stimuli.inputs, rows, strict=True)}
    starts = []
    for stimulus, text, tail, row in zip(stimuli.ids, stimuli.inputs, stimuli.tails or (), rows, strict=True):
        before = text.removesuffix(tail).rstrip()
        if before and before not in known:
            known[before] = _Text.of(tokenizer, stimulus, before, None).own
        pairs = zip(known.get(before, ()), row.own, strict=False)
        same = next((n for n, ((_, a), (_, b)) in enumerate(pairs) if a != b), len(known.get(before, ())))
        starts.append(row.own[min(same, len(row.own) - 1)][0])
    return starts


@dataclass(frozen=True, slots=True)
class _Text:
    """One text's tokens, without padding, and which of them the tokenizer added."""

    ids: tuple[int, ...]
    special: tuple[bool, ...] | None

    @property
    def own(self) -> tuple[tuple[int, int], ...]:
        """Place and id of each token that the tokenizer did not add."""
        special = self.special or (False,) * len(self.ids)
        return tuple((i, token) for i, (token, added) in enumerate(zip(self.ids, special, strict=True)) if not added)

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
            raise ProbeError(
                f"the tokenizer should give token ids for stimulus {stimulus!r}, got {type(encoded).__name__}: "
                f"{str(encoded)[:60]}"
            ) from error
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
