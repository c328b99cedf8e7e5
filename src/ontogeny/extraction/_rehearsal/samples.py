"""The few stimuli of a rehearsal, and others of another size."""

from __future__ import annotations

import torch
from torch import Tensor

from ontogeny.extraction.model_inputs import Batch, ModelInputs

__all__ = ["longest", "sample", "several", "texts", "varied"]

_STIMULI = 8


def sample(reader: ModelInputs, most: int = _STIMULI) -> Batch:
    """Up to eight stimuli of one length: the longest texts, cut to the shortest of these; the first pictures.

    Args:
        reader: the stimuli as batches.
        most: that the model takes at once.
    """
    most = min(most, _STIMULI)
    coming = iter(reader.batches(most))
    batches = [next(coming)]
    if batches[0].n_tokens is None:
        return batches[0]
    batches += coming
    found: list[tuple[int, Tensor]] = []
    for batch in reversed(sorted(batches, key=lambda b: b.n_tokens or 0)):
        found += [(row, ids) for row, ids in zip(batch.rows, batch.inputs["input_ids"], strict=True)]
        if len(found) >= most:
            break
    found = found[:most]
    length = min(len(ids) for _, ids in found)
    return texts(torch.stack([ids[:length] for _, ids in found]), tuple(row for row, _ in found))


def longest(reader: ModelInputs) -> Batch | None:
    """The longest text, whole; None of pictures."""
    coming = iter(reader.batches(_STIMULI))
    first = next(coming)
    if first.n_tokens is None:
        return None
    return max([first, *coming], key=lambda batch: batch.n_tokens or 0).only([0])


def several(batch: Batch) -> Batch:
    """At least three stimuli, the same ones again where there are fewer."""
    return batch if batch.size >= 3 else batch.only([i % batch.size for i in range(3)])


def varied(batch: Batch) -> Batch:
    """The same with texts of another length, or pictures of twice the height and width, sounds of twice the length."""
    ids = batch.inputs.get("input_ids")
    if ids is not None:
        return texts(ids[:, :-1] if ids.shape[1] > 2 else torch.cat([ids, ids[:, -1:]], dim=1), batch.rows)
    pixels = batch.inputs["pixels"]
    for axis in range(2 if pixels.ndim > 2 else 1, pixels.ndim):
        pixels = pixels.repeat_interleave(2, dim=axis)
    return Batch(inputs={"pixels": pixels}, size=batch.size, rows=batch.rows)


def texts(ids: Tensor, rows: tuple[int, ...] = ()) -> Batch:
    """Texts of one length, without padding."""
    return Batch(inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)}, size=len(ids), rows=rows)
