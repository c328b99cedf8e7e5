"""Losses of cases and tokens: cross-entropy for classes, squared error or binary cross-entropy for values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.monitoring.heldout._batch_calling import described, outputs

__all__ = ["NATS", "SQUARED", "Judged", "Tally", "by_class", "by_value", "nearest_of", "predicted"]

NATS = "nats"
SQUARED = "squared error"
_VOID = 255
_ROUNDING = 1e-5
_AGREES = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A batch's cases or tokens that have a target.

    Args:
        losses: of each, float32, in `unit`.
        right: whether the highest logit was the target's; None where there are no classes.
        unit: of the losses.
    """

    losses: Tensor
    right: Tensor | None
    unit: str


class Tally:
    """Sums over batches.

    Attributes:
        loss: sum of the losses.
        cases: how many.
        hits: how many were right.
        judged: of how many.
        unit: of the losses.
    """

    def __init__(self) -> None:
        self.loss, self.cases, self.hits, self.judged, self.unit = 0.0, 0, 0, 0, ""

    def add(self, batch: Judged) -> None:
        """Add a batch; one without a judged case counts nothing.

        Raises:
            ProbeError: its losses are in another unit than those before.
        """
        if not batch.losses.numel():
            return
        if self.unit not in ("", batch.unit):
            raise ProbeError(
                f"held-out batches have losses in {self.unit} and in {batch.unit}, which have no mean; measure them "
                "by a task each"
            )
        self.unit = batch.unit
        self.loss += float(batch.losses.detach().cpu().double().sum())
        self.cases += batch.losses.numel()
        if batch.right is not None:
            self.hits += int(batch.right.sum())
            self.judged += batch.right.numel()


def by_class(logits: Tensor, target: Tensor, counted: Tensor | None = None) -> Judged:
    """Cross-entropy in nats. Negative targets are not judged, nor are void pixels (255 of fewer classes).

    Args:
        logits: ... x classes; or probabilities, none negative and each case's with a sum of 1, whose logarithm counts.
        target: ..., integer.
        counted: ..., which are judged; all where None.

    Raises:
        ProbeError: more classes in the targets than the logits have.
    """
    judged = target >= 0 if counted is None else (target >= 0) & counted
    classes = logits.shape[-1]
    if target.ndim > 2 and classes <= _VOID:
        judged &= target != _VOID
    true_classes, given = target[judged].long(), logits[judged].float()
    if true_classes.numel() and int(true_classes.max()) >= classes:
        raise ProbeError(
            f"the model's logits have {classes} classes ({described(logits)}), and held-out targets go up to "
            f"{int(true_classes.max())}; pass the targets that the model is trained on, or loss=..."
        )
    if _are_probabilities(given, logits.dtype):
        given = given.clamp_min(torch.finfo(given.dtype).tiny).log()
    losses = nn.functional.cross_entropy(given, true_classes, reduction="none")
    return Judged(losses=losses, right=given.argmax(dim=-1) == true_classes, unit=NATS)


def _are_probabilities(values: Tensor, dtype: torch.dtype) -> bool:
    """Whether no value is negative and each case's have a sum of 1, as far as the type that they came in tells."""
    if not values.numel() or bool((values < 0).any()):
        return False
    rounding = max(1e-4, torch.finfo(dtype).eps)
    return bool(((values.sum(dim=-1) - 1).abs() <= rounding).all())


def predicted(output: Any, target: Tensor) -> Tensor | None:
    """The output's values in the target's shape, batch x 1 counting as batch; None where nothing fits."""
    for name, value in outputs(output).items():
        fits = value.ndim and value.shape[0] == target.shape[0] and value.squeeze().shape == target.squeeze().shape
        if name != "loss" and fits:
            return value.reshape(target.shape)
    return None


def by_value(values: Tensor, target: Tensor, unit: str) -> Judged:
    """Loss of each case, a mean over its values: squared error, or binary cross-entropy of logits in nats."""
    function = nn.functional.mse_loss if unit == SQUARED else nn.functional.binary_cross_entropy_with_logits
    losses = function(values.float(), target.float(), reduction="none")
    return Judged(losses=losses.reshape(len(losses), -1).mean(dim=1), right=None, unit=unit)


def nearest_of(own: float | None, losses: dict[Any, float]) -> Any:
    """The key of the loss that the model's own agrees with, to rounding or within 0.1 %; None where not exactly one."""
    if own is None or own != own:
        return None
    for within in (_ROUNDING, _AGREES):
        agreeing = [key for key, loss in losses.items() if abs(loss - own) <= within * abs(own)]
        if agreeing:
            break
    return agreeing[0] if len(agreeing) == 1 else None
