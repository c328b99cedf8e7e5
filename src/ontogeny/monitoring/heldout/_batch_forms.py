"""Which form a held-out batch has, and the loss of each of its cases or tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction.forward_signature import insides
from ontogeny.monitoring.heldout._batch_calling import (
    Inputs,
    described,
    inputs_of,
    is_integer,
    outputs,
    own_loss,
    placed_inputs,
    second_takes_targets,
    taken,
)
from ontogeny.monitoring.heldout._case_losses import NATS, SQUARED, Judged, by_class, by_value, nearest_of, predicted
from ontogeny.monitoring.heldout._class_axis import Order
from ontogeny.monitoring.heldout._label_shift import evidence, is_causal, judge_tokens, labels_of, pair_of, shift_of

__all__ = ["Judge"]

_INSTEAD = "pass loss=(model, batch) -> loss of each case"


class Judge:
    """One model's losses on batches whose form it finds out; what labels stand for is decided once for all of them.

    Args:
        model: in eval mode.
        batches: all of them: what labels stand for can be seen better in all than in one.
    """

    def __init__(self, model: nn.Module, batches: Sequence[Any]) -> None:
        self.model = model
        self._same = evidence(batches)
        self._unclear = _are_shares(batches)
        self._order = Order(model)
        self._shift: int | None = None
        self._causal = False
        self._unit = ""

    def __call__(self, batch: Any) -> Judged:
        """The batch's losses.

        Raises:
            ProbeError: a batch of another form, or a model that does not fit it.
        """
        if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
            x, y = batch
            if isinstance(x, Mapping):
                return self._mapping({**x, "labels": y})
            if isinstance(x, Tensor) or (isinstance(x, tuple) and all(isinstance(part, Tensor) for part in x)):
                return self._pair(x, y.long() if y.dtype is torch.bool else y)
        if isinstance(batch, Mapping):
            return self._mapping(batch)
        raise ProbeError(
            f"HeldOutLoss cannot use a batch of type {type(batch).__name__} ({described(batch)}); expected (inputs, "
            f"targets), both tensors, or a mapping with input_ids or labels; {_INSTEAD}"
        )

    def _mapping(self, batch: Mapping[str, Any]) -> Judged:
        labels, ids = labels_of(batch), batch.get("input_ids")
        inputs = inputs_of(self.model, batch)
        if labels is None:
            return self._next_tokens(batch, inputs)
        if self._makes_decoder_inputs(batch, labels):
            inputs = Inputs(placed=inputs.placed, named={**inputs.named, "labels": labels})
            output = inputs.run(self.model)
            if (logits := self._order.logits(output, labels, inputs)) is None:
                raise self._does_not_fit(output, batch, labels)
            return by_class(logits, labels)
        if is_integer(labels) and isinstance(ids, Tensor) and labels.ndim == 2 and labels.shape == ids.shape:
            return self._tokens(inputs, ids, labels, batch)
        output = inputs.run(self.model)
        logits = self._order.logits(output, _squeezed(labels), inputs) if is_integer(labels) else None
        if logits is not None and logits.shape[-1] > 1:
            return by_class(logits, _squeezed(labels))
        return self._values(output, labels, batch, inputs)

    def _pair(self, x: Any, y: Tensor) -> Judged:
        inputs = placed_inputs(self.model, x)
        if is_integer(x) and is_integer(y) and x.ndim == 2 and x.shape == y.shape and x.shape[1] > 1:
            return self._tokens(inputs, x, y, (x, y))
        output = inputs.run(self.model)
        logits = self._order.logits(output, _squeezed(y), inputs) if is_integer(y) else None
        if logits is not None and logits.shape[-1] > 1:
            return by_class(logits, _squeezed(y))
        if is_integer(y):
            raise self._does_not_fit(output, (x, y), y)
        return self._values(output, y, (x, y), None)

    def _makes_decoder_inputs(self, batch: Mapping[str, Any], labels: Tensor) -> bool:
        """Whether the model is an encoder with a decoder, which makes the decoder's inputs from the labels."""
        if not is_integer(labels) or labels.ndim != 2:
            return False
        names = taken(self.model)
        if names is not None and "labels" not in names:
            return False
        if _has_decoder(self.model):
            return True
        ids = batch.get("input_ids")
        return isinstance(ids, Tensor) and ids.ndim == 2 and labels.shape != ids.shape and labels.shape[1] > 1

    def _next_tokens(self, batch: Mapping[str, Any], inputs: Inputs) -> Judged:
        ids = batch.get("input_ids")
        if not isinstance(ids, Tensor) or ids.ndim != 2:
            raise ProbeError(
                f"a held-out batch without labels ({described(batch)}) has no target; add labels, or {_INSTEAD}"
            )
        if _has_decoder(self.model):
            raise self._has_no_next_token()
        mask = batch.get("attention_mask")
        inputs, _, logits = self._token_logits(inputs, ids.long(), batch)
        self._refuse_unless_causal(inputs, ids, mask)
        return judge_tokens(logits, ids, mask, 1)

    def _tokens(self, inputs: Inputs, ids: Tensor, labels: Tensor, batch: Any) -> Judged:
        inputs, output, logits = self._token_logits(inputs, labels, batch)
        mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
        if self._shift is None and bool((labels >= 0).any()):
            own = None if inputs.placed and self._same == 1 else own_loss(output)
            if own is None and isinstance(batch, Mapping) and not inputs.placed:
                own = self._own(inputs, labels)
            self._shift = self._decided(shift_of(logits, labels, self._same or 0.0, own), inputs, ids, mask)
        return judge_tokens(logits, labels, mask, self._shift or 0)

    def _token_logits(self, inputs: Inputs, targets: Tensor, batch: Any) -> tuple[Inputs, Any, Tensor]:
        """Logits of all tokens; some models give them only when they are given the targets too."""
        if len(inputs.placed) == 1 and second_takes_targets(self.model):
            inputs = Inputs(placed=(*inputs.placed, targets), named=inputs.named)
        output = inputs.run(self.model)
        logits = self._order.logits(output, targets, inputs)
        if logits is None and not inputs.placed and "labels" in (taken(self.model) or ()):
            inputs = Inputs(named={**inputs.named, "labels": targets})
            output = inputs.run(self.model)
            logits = self._order.logits(output, targets, inputs)
        if logits is None:
            raise self._does_not_fit(output, batch, targets)
        return inputs, output, logits

    def _decided(self, shift: int | None, inputs: Inputs, ids: Tensor, mask: Any) -> int:
        if shift is None:
            return int(is_causal(self._order, inputs, ids, mask))
        if shift == 1 or self._same == 1:
            self._refuse_unless_causal(inputs, ids, mask)
        return shift

    def _refuse_unless_causal(self, inputs: Inputs, ids: Tensor, mask: Any) -> None:
        if not self._causal:
            if not is_causal(self._order, inputs, ids, mask):
                raise self._has_no_next_token()
            self._causal = True

    def _has_no_next_token(self) -> ProbeError:
        return ProbeError(
            f"{type(self.model).__name__} sees the tokens that follow, so that it has no next-token loss: give "
            "batches with labels that differ from the input (of hidden tokens, -100 elsewhere, as "
            f"DataCollatorForLanguageModeling makes them; the target sequence of an encoder-decoder), or {_INSTEAD}"
        )

    def _own(self, inputs: Inputs, labels: Tensor) -> float | None:
        """The loss that the model computes itself from labels, where it does."""
        names = taken(self.model)
        if names is not None and "labels" not in names:
            return None
        try:
            return own_loss(inputs.run(self.model, labels=labels))
        except ProbeError:
            return None

    def _values(self, output: Any, target: Tensor, batch: Any, inputs: Inputs | None) -> Judged:
        values = predicted(output, target)
        if values is None or target.is_complex():
            raise self._does_not_fit(output, batch, target)
        if not self._unit:
            losses = {unit: float(by_value(values, target, unit).losses.mean()) for unit in (SQUARED, NATS)}
            agreed = nearest_of(None if inputs is None else self._own(inputs, target), losses)
            if agreed is None and self._unclear:
                raise ProbeError(
                    f"held-out targets that are all 0 or 1, or shares ({described(batch)}), may be meant for squared "
                    f"error or for cross-entropy; {_INSTEAD}"
                )
            self._unit = agreed or SQUARED
        return by_value(values, target, self._unit)

    def _does_not_fit(self, output: Any, batch: Any, target: Tensor) -> ProbeError:
        found = described(outputs(output)) or type(output).__name__
        shape = ["cases x classes", "batch x tokens x vocabulary", "batch x classes x height x width"][
            min(max(_squeezed(target).ndim, 1), 3) - 1
        ]
        expected_text = f"logits, {shape}" if is_integer(target) else f"values of shape {tuple(target.shape)}"
        return ProbeError(
            f"a held-out batch of {described(batch)} needs a model that returns {expected_text}, and "
            f"{type(self.model).__name__} returns {found}; {_INSTEAD}"
        )


def _has_decoder(model: nn.Module) -> bool:
    return any(getattr(getattr(each, "config", None), "is_encoder_decoder", False) is True for each in insides(model))


def _squeezed(labels: Tensor) -> Tensor:
    """One label per case, also where they came as cases x 1."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _are_shares(batches: Sequence[Any]) -> bool:
    """Whether targets, in all batches, are 0 or 1, or shares of one whole."""
    targets = [pair[1].float() for pair in map(pair_of, batches) if pair is not None]

    def shares(y: Tensor) -> bool:
        if y.ndim > 1 and y.shape[-1] > 1 and bool((y >= 0).all()) and bool(((y.sum(dim=-1) - 1).abs() < 1e-4).all()):
            return True
        return bool(((y == 0) | (y == 1)).all())

    return bool(targets) and all(map(shares, targets))
