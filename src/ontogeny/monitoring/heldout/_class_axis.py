"""Whether a model's classes stand last or behind the batch, where as many classes as tokens fit both ways."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.monitoring.heldout._batch_calling import (
    Inputs,
    class_logits,
    described,
    fitting,
    outputs,
    own_loss,
    taken,
)
from ontogeny.monitoring.heldout._case_losses import by_class, nearest_of

__all__ = ["Order"]


class Order:
    """Found out once for a model, by its output for texts that are one token shorter, or by its own loss.

    Attributes:
        model: whose they are.
        second: whether classes stand behind the batch; None as long as no output has shown it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.second: bool | None = None

    def logits(self, output: Any, target: Tensor, inputs: Inputs) -> Tensor | None:
        """The output's logits with the classes last; None where nothing fits.

        Raises:
            ProbeError: classes could stand in both places, and nothing tells in which.
        """
        if target.ndim > 1 and self.second is None:
            ways = _ways(output, target)
            self.second = next(iter(ways)) if len(ways) == 1 else None
            if len(ways) > 1:
                self.second = self._found_out(output, target, inputs)
        return class_logits(output, target, second=self.second if target.ndim > 1 else None)

    def _found_out(self, output: Any, target: Tensor, inputs: Inputs) -> bool:
        second = self._by_shorter(target, inputs) if target.ndim == 2 else None
        if second is None:
            second = _by_loss(output, target, self._own(output, target, inputs))
        if second is None:
            raise ProbeError(
                f"{type(self.model).__name__} returns {described(outputs(output))}, and it is not clear which axis "
                f"is classes, for targets {tuple(target.shape)}; pass loss=(model, batch) -> loss of each case"
            )
        return second

    def _own(self, output: Any, target: Tensor, inputs: Inputs) -> float | None:
        """The loss that the model computes itself, from labels where it takes them."""
        own, names = own_loss(output), taken(self.model)
        if own is not None or inputs.placed or (names is not None and "labels" not in names):
            return own
        try:
            return own_loss(inputs.run(self.model, labels=target))
        except ProbeError:
            return None

    def _by_shorter(self, target: Tensor, inputs: Inputs) -> bool | None:
        """With one token less, the axis of the tokens is shorter, and that of the classes is not."""

        def cut(value: Any) -> Any:
            tokens = isinstance(value, Tensor) and value.shape[:2] == target.shape
            return value[:, :-1] if tokens else value

        if target.shape[1] < 2:
            return None
        shorter = Inputs(
            placed=tuple(cut(value) for value in inputs.placed),
            named={name: cut(value) for name, value in inputs.named.items()},
        )
        try:
            ways = _ways(shorter.run(self.model), target[:, :-1])
        except ProbeError:  # a model that takes one number of tokens only
            return None
        return next(iter(ways)) if len(ways) == 1 else None


def _ways(output: Any, target: Tensor) -> set[bool]:
    """Whether classes stand behind the batch, as far as the shapes of the output allow."""
    tried = ((second, fitting(output, target, second=second)) for second in (False, True))
    return {second for second, found in tried if found}


def _by_loss(output: Any, target: Tensor, own: float | None) -> bool | None:
    losses = {}
    for second in (False, True):
        logits = class_logits(output, target, second=second)
        if own is None or logits is None or int(target.max()) >= logits.shape[-1]:
            continue
        losses[second, 0] = float(by_class(logits, target).losses.mean())
        if target.ndim == 2:
            losses[second, 1] = float(by_class(logits[:, :-1], target[:, 1:]).losses.mean())
    found = nearest_of(own, losses)
    return None if found is None else bool(found[0])
