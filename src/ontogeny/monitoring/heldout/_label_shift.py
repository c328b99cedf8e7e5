"""What a language model's labels stand for: the next token (shifted once) or the token itself; and may it be so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ontogeny.errors import ProbeError
from ontogeny.extraction.forward_signature import insides
from ontogeny.extraction.surprisal import looks_ahead
from ontogeny.monitoring.heldout._batch_calling import LABELS, Inputs, class_logits, is_integer
from ontogeny.monitoring.heldout._case_losses import Judged, by_class, nearest_of
from ontogeny.monitoring.heldout._class_axis import Order

__all__ = ["evidence", "is_causal", "judge_tokens", "labels_of", "pair_of", "shift_of"]

_FEW = 16
_MOSTLY = 0.5


def labels_of(batch: Mapping[str, Any]) -> Tensor | None:
    """The labels of a mapping, as integers or values."""
    found = next((batch[name] for name in LABELS if isinstance(batch.get(name), Tensor)), None)
    return found.long() if found is not None and found.dtype is torch.bool else found


def pair_of(batch: Any) -> tuple[Any, Any] | None:
    """Inputs and targets of one batch, where it is of a form that has both."""
    if isinstance(batch, Mapping):
        labels = labels_of(batch)
        return None if labels is None else (batch.get("input_ids"), labels)
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        x, y = batch
        return (x.get("input_ids") if isinstance(x, Mapping) else x), y
    return None


def evidence(batches: Iterable[Any]) -> float | None:
    """Share of judged tokens, over all batches, whose label is the token itself; None where no batch has such labels.

    1 for a causal language model, whose labels are the input, to be shifted; about 0.1 for a masked one, whose judged
    tokens are mostly hidden; by chance alone for labels that are shifted already, or classes of tokens.
    """
    same = judged = 0
    for pair in map(pair_of, batches):
        if pair is None or not all(is_integer(part) for part in pair) or pair[0].shape != pair[1].shape:
            continue
        counted = pair[1] >= 0
        same += int((pair[0] == pair[1])[counted].sum())
        judged += int(counted.sum())
    return same / judged if judged else None


def judge_tokens(logits: Tensor, target: Tensor, mask: Tensor | None, shift: int) -> Judged:
    """Cross-entropy of each token; with shift 1 the one that follows, where both are no padding.

    Args:
        logits: batch x tokens x vocabulary.
        target: batch x tokens.
        mask: batch x tokens, 0 where a token is padding; anything of another shape is not used.
        shift: 0 or 1.
    """
    counted = mask > 0 if mask is not None and mask.shape == target.shape else torch.ones_like(target, dtype=torch.bool)
    if shift:
        logits, target, counted = logits[:, :-1], target[:, 1:], counted[:, 1:] & counted[:, :-1]
    return by_class(logits, target, counted)


def shift_of(logits: Tensor, target: Tensor, same: float, own: float | None) -> int | None:
    """By the model's own loss, else by the labels; None where neither says.

    Args:
        logits: see `judge_tokens`.
        target: see `judge_tokens`.
        same: see `evidence`.
        own: the loss that the model computed from these labels.
    """
    losses = {shift: float(judge_tokens(logits, target, None, shift).losses.mean()) for shift in (0, 1)}
    confirmed = nearest_of(own, losses)
    if confirmed is not None:
        return int(confirmed)
    return 1 if same == 1 else 0 if same < _MOSTLY else None


def is_causal(order: Order, inputs: Inputs, ids: Tensor, mask: Tensor | None) -> bool:
    """Whether logits at earlier tokens stay when the last one is another: tried out on a few tokens of one row.

    Args:
        order: of the model and its classes; a model made for masked language modelling, by the name of its class, is
            not tried out.
        inputs: of a forward pass, `ids` among them.
        ids: batch x tokens.
        mask: see `judge_tokens`.

    Raises:
        ProbeError: the forward pass failed.
    """
    if any(type(each).__name__.endswith("ForMaskedLM") for each in insides(order.model)):
        return False
    attended = mask > 0 if mask is not None and mask.shape == ids.shape else torch.ones_like(ids, dtype=torch.bool)
    row = int(attended.sum(dim=1).argmax())
    places = attended[row].nonzero().flatten()
    if len(places) < 2:
        return True
    try:
        return _stays(order, inputs, ids, row, places[:_FEW])
    except ProbeError:  # a model that takes one number of tokens only, or inputs that cannot be cut
        every = torch.arange(ids.shape[1], device=ids.device)
        return _stays(order, inputs, ids, row, every[: int(places[-1]) + 1], whole=every)


def _stays(order: Order, inputs: Inputs, ids: Tensor, row: int, places: Tensor, *, whole: Tensor | None = None) -> bool:
    """Row `row` twice, at `places` (or whole), the second time with another token at the last of them."""
    columns = places if whole is None else whole
    last = len(places) - 1

    def excerpt(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.shape[:1] != ids.shape[:1]:
            return value
        part = value[[row, row]]
        part = part[:, columns] if part.shape[1:2] == ids.shape[1:] and value.ndim > 1 else part
        if value is ids:
            part[1, last] = torch.where(part[1, last] > 0, part[1, last] - 1, part[1, last] + 1)
        return part

    tried = Inputs(
        placed=tuple(excerpt(value) for value in inputs.placed),
        named={name: excerpt(value) for name, value in inputs.named.items()},
    )
    target = torch.zeros(2, len(columns), dtype=torch.long, device=ids.device)
    logits = class_logits(tried.run(order.model), target, second=order.second)
    if logits is None:
        raise ProbeError(f"{type(order.model).__name__} gave no logits for {len(columns)} tokens")
    return not looks_ahead(logits[:1, : last + 1], logits[1:, : last + 1])
