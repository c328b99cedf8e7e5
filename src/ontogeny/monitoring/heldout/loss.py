"""The task, measured by us on held-out data at the probed weights; and what grows beside alignment (confounds)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.random_state import same_randomness
from ontogeny.monitoring.heldout._batch_calling import described
from ontogeny.monitoring.heldout._batch_forms import Judge
from ontogeny.monitoring.heldout._batches import as_tensor, kept_batches, mapped
from ontogeny.monitoring.heldout._case_losses import NATS, Judged, Tally

__all__ = [
    "NO_TASK",
    "HeldOutLoss",
    "Measured",
    "Task",
]

LossFunction = Callable[[nn.Module, Any], Tensor]

NO_TASK = (
    "no task is measured ({}), so that which moves first, alignment or performance, cannot be tested: pass "
    "task=HeldOutLoss(held-out batches), with loss= where the trainer computes its own, or task=False if none is wanted"
)
"""What is said of a run without a task, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One task value: how it is called, in which unit, over how many cases."""

    metric: str
    value: float
    unit: str
    n: int


@runtime_checkable
class Task(Protocol):
    """Anything that measures a model; called in eval mode without gradients, on the bare model."""

    def __call__(self, model: nn.Module) -> Sequence[Measured]:
        """Measure."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutLoss:
    """Mean loss on held-out data, and accuracy where targets are classes: `HeldOutLoss(loader)`.

    The batches' form is found out from their keys and shapes, the model's forward pass and its output:

    - a mapping with `input_ids` (and `labels`, `attention_mask`) of a causal language model: next-token cross-entropy;
    - the same of a masked language model or a classifier of tokens: cross-entropy of the tokens whose label is not
      negative. Labels are shifted where the model's own loss says so, else where they are the input itself;
    - a mapping with `labels` of an encoder-decoder: cross-entropy of each label, given those before it;
    - a mapping with a label for each case, of text, `pixel_values` or other inputs; or a pair (inputs, targets):
      cross-entropy of classes, squared error of values (binary cross-entropy where the model's own loss is that);
    - a pair (token ids, token ids) as in nanoGPT: cross-entropy of the targets, which are shifted already.

    Losses are float32, a mean over all cases or tokens that have a target and are no padding. Cross-entropies are in
    nats. Keys that the forward pass does not take are left out. For anything else pass `loss`.

    Classes stand last, or behind the batch; where there are as many as tokens, so that the shape does not tell, the
    text is cut by a token, or the model's own loss tells. Outputs that are probabilities (none negative, each case's
    with a sum of 1) count by their logarithm.

    A text's first token has nothing before it and is not judged, on whichever side a batch is padded. On the left, the
    loss of a model of transformers counts it too, predicted from padding, so that its mean is another. A model with
    learned or fixed places (GPT-2) counts places from the padding on, unless the batch has `position_ids`: pad on the
    right, or give these.

    Args:
        batches: the held-out data, fixed, so that the curve moves only when the model does: a list of batches; or a
            loader that can be read again, which is read once, now, under fixed seeds, and is left as it was; or a
            function that makes either, called once, now, under fixed seeds, `lambda: [get_batch() for _ in range(9)]`;
            or an address "module:attribute" of any of these (for YAML).
        loss: (model, batch) -> loss of each case (a tensor), instead of the forms above.
        max_batches: how many batches of a loader are kept, on the CPU; a list is taken whole.

    Raises:
        ProbeError: no batches; or a generator, which reading would use up.

    Example:
        >>> x, y = torch.ones(4, 3), torch.tensor([0, 1, 1, 0])
        >>> task = HeldOutLoss([(x, y)])
        >>> [(value.metric, value.n) for value in task(nn.Linear(3, 2))]
        [('loss', 4), ('accuracy', 4)]
    """

    batches: Iterable[Any] | Callable[[], Any] | str = field(repr=False)
    _: KW_ONLY
    loss: LossFunction | None = None
    max_batches: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", kept_batches(self.batches, self.max_batches))

    def __len__(self) -> int:
        """Number of batches."""
        return len(cast("tuple[Any, ...]", self.batches))

    @held
    def __call__(self, model: nn.Module) -> Sequence[Measured]:
        """Measure at the model's present weights.

        Raises:
            ProbeError: a batch of another form, a model that does not fit it, or no case with a target.
        """
        device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        batches, tally = cast("tuple[Any, ...]", self.batches), Tally()
        if self.loss is None:
            batches = tuple(mapped(batch, as_tensor) for batch in batches)
        with torch.no_grad(), same_randomness(), preserved(model), _evaluating(model):
            judge = Judge(model, batches) if self.loss is None else partial(self._given, model)
            for batch in batches:
                tally.add(at_once(judge, mapped(batch, partial(_copied, device=device))))
        if not tally.cases:
            raise ProbeError(
                f"none of the {len(batches)} held-out batches has a case with a target (all labels are negative); the "
                f"first is {described(batches[0])}"
            )
        out = [Measured(metric="loss", value=tally.loss / tally.cases, unit=tally.unit, n=tally.cases)]
        if tally.judged:
            share = tally.hits / tally.judged
            out.append(Measured(metric="accuracy", value=share, unit="share correct", n=tally.judged))
        return out

    def _given(self, model: nn.Module, batch: Any) -> Judged:
        """By the function that was passed."""
        losses: Any = self.loss(model, batch) if self.loss is not None else None
        if not isinstance(losses, Tensor):
            kind = type(losses).__name__
            raise ProbeError(f"loss(model, batch) gave {kind}, expected a tensor with the loss of each case")
        return Judged(losses=losses.reshape(-1), right=None, unit=NATS)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode, whoever calls; each module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        if any(mode for _, mode in modes):
            model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _copied(value: Any, device: torch.device) -> Any:
    """On the model's device; a copy, so that a model which writes into its inputs does not change held-out data."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    return value.to(device) if callable(getattr(value, "to", None)) else value
