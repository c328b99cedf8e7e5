"""Surprisal of texts under a causal language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ontogeny.errors import FeatureError
from ontogeny.extraction._batch import Batch
from ontogeny.extraction.features import Site
from ontogeny.extraction.layers import SURPRISAL

__all__ = ["looks_ahead", "picked_logits", "surprisal", "surprisal_site"]

_NOISE = 1e-5


def picked_logits(output: Any, ids: Tensor) -> Tensor | None:
    """Batch x tokens x vocabulary, wherever they stand in a model's output; None where there are none."""
    if isinstance(output, Tensor):
        return output if output.ndim == 3 and output.shape[:2] == ids.shape and output.is_floating_point() else None
    if isinstance(output, Mapping):
        if "logits" in output:
            return picked_logits(output["logits"], ids)
        return None
    parts: Sequence[Any] = output if isinstance(output, tuple | list) else ()
    return next((found for part in parts if (found := picked_logits(part, ids)) is not None), None)


def looks_ahead(logits: Tensor, changed: Tensor) -> bool:
    """Whether logits at earlier tokens depend on the last one, as those of masked language models do.

    Args:
        logits: batch x tokens x vocabulary.
        changed: the same with another last token.
    """
    moved = (logits.float() - changed.float()).abs().amax(dim=(0, 2))
    noise = max(_NOISE, 4 * torch.finfo(logits.dtype).eps if logits.dtype.itemsize < 4 else 0)
    return bool(moved[:-1].max() > noise * moved[-1])


def surprisal_site(*, tails: bool) -> Site:
    """Where surprisal stands among features: the mean over a text's tokens, or the sum over those of its tail."""
    return Site(SURPRISAL, "word" if tails else "mean")


def surprisal(output: Any, batch: Batch) -> Float[Tensor, "stimuli 1"]:
    """-log p(token | tokens before) in nats: mean over a text's tokens, or sum over the tokens of its tail.

    The first token has nothing before it and does not count, nor do tokens that the tokenizer added. A text of one
    token has no surprisal: NaN. A tokenizer that begins with a BOS token helps.

    Args:
        output: of a causal language model: logits at a token are of the next one.
        batch: that was read.

    Raises:
        FeatureError: no logits, or none for some token.
    """
    ids = batch.inputs["input_ids"]
    logits = picked_logits(output, ids)
    if logits is None:
        raise FeatureError("'surprisal' needs logits of shape batch x tokens x vocabulary, and the model gives none")
    if (highest := int(ids.max())) >= logits.shape[-1]:
        why = f"token id {highest} is none of the model's {logits.shape[-1]} logits"
        raise FeatureError(f"{why}; pass the tokenizer that the model was made for")
    losses = nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
    counted = torch.ones_like(losses) if batch.special is None else (~batch.special[:, 1:]).to(losses.dtype)
    if batch.spans is None:
        return ((losses * counted).sum(dim=1) / counted.sum(dim=1))[:, None]
    sums, counts = (_up_to(part, batch.spans) for part in (losses * counted, counted))
    found = sums if batch.tails else sums / counts
    found = found.masked_fill(found.isnan(), torch.inf)  # of the model's own making
    return found.masked_fill(counts == 0, torch.nan)[:, None].float().to(ids.device)


def _up_to(values: Float[Tensor, "texts tokens"], spans: Tensor) -> Float[Tensor, " stimuli"]:
    """Sums over spans, on the CPU (not every device has doubles); the values are those of all tokens but the first."""
    total = nn.functional.pad(values.cpu().double().cumsum(dim=1), (2, 0))
    text, first, last = spans.cpu().unbind(dim=1)
    return total[text, last + 1] - total[text, first]
