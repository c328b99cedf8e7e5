"""The task, measured by us on held-out data at the probed weights; and what grows beside alignment (confounds)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ontogeny.errors import FeatureError, ProbeError
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.randomness import same_randomness
from ontogeny.heldout.calling import described
from ontogeny.heldout.judge import Judge
from ontogeny.heldout.judged import NATS, Judged, Tally
from ontogeny.heldout.kept import as_tensor, kept_batches, mapped

__all__ = ["NO_TASK", "HeldOutLoss", "Measured", "Task", "intrinsic_dimension", "mean_norm", "participation_ratio"]

LossFunction = Callable[[nn.Module, Any], Tensor]

NO_TASK = (
    "no task is measured ({}), so that nobody can say later which moves first, alignment or performance: pass "
    "task=HeldOutLoss(held-out batches), with loss= where the trainer computes its own, or task=False if none is wanted"
)
"""What is said of a run without a task, with the reason."""

_SAME = 1e-12
_TIED = 1e-9
_FEWEST = 10


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
            loader that can be read again, which is read once, now, under fixed seeds, and is left as it was; or an
            address "module:attribute" of either, or of a function that makes it (for YAML).
        loss: (model, batch) -> loss of each case (a tensor), instead of the forms above.
        max_batches: how many batches of a loader are kept, on the CPU; a list is taken whole.

    Raises:
        ProbeError: no batches; or a generator, which reading would use up.
    """

    batches: Iterable[Any] | str = field(repr=False)
    _: KW_ONLY
    loss: LossFunction | None = None
    max_batches: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", kept_batches(self.batches, self.max_batches))

    def __call__(self, model: nn.Module) -> Sequence[Measured]:
        """Measure at the model's present weights.

        Raises:
            ProbeError: a batch of another form, a model that does not fit it, or no case with a target.
        """
        device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        batches, tally = tuple(self.batches), Tally()
        if self.loss is None:
            batches = tuple(mapped(batch, as_tensor) for batch in batches)
        with torch.no_grad(), same_randomness(), preserved(model), _evaluating(model):
            judge = Judge(model, batches) if self.loss is None else partial(self._given, model)
            for batch in batches:
                tally.add(judge(mapped(batch, partial(_copied, device=device))))
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


def participation_ratio(gram: Float[Tensor, "stimuli stimuli"]) -> float:
    """Effective number of dimensions, tr(K)^2 / |K|^2 of the centred Gram matrix: 1 to min(stimuli - 1, features).

    Args:
        gram: or any matrix with its eigenvalues, the products of the centred features among themselves for instance.
    """
    return float(gram.trace() ** 2 / (gram**2).sum())


def intrinsic_dimension(squared: Float[Tensor, "stimuli stimuli"]) -> float:
    """TwoNN: dimension of the surface that the stimuli lie on, however it is bent (Facco et al. 2017, Sci Rep 7:12140).

    From the ratio m of the distances to a stimulus' second and first neighbour, whose distribution is F = 1 - m^-d: the
    slope of -log(1 - F) over log m through 0, without the largest tenth. Too low where it is high, as all estimates
    from so few points are: 4.6 for a cube of 5 dimensions, 8.4 for one of 10 (1000 stimuli). Its standard deviation is
    4 % at 1000 stimuli and 12 % at 92. Stimuli with the same features count once.

    Args:
        squared: squared Euclidean distances.

    Raises:
        FeatureError: fewer than 10 different stimuli, or more than a tenth of them with two equally near neighbours.
    """
    distances = squared.clone()
    same = distances <= _SAME * distances.mean()
    kept = ~same.tril(-1).any(dim=1)
    n = int(kept.sum())
    if n < _FEWEST:
        raise FeatureError(f"an intrinsic dimension needs {_FEWEST} different stimuli; of {len(kept)}, {n} differ")
    if n < len(kept):
        distances = distances[kept][:, kept]
    distances.fill_diagonal_(torch.inf)
    first, second = distances.topk(2, dim=1, largest=False).values.unbind(dim=1)
    tied = int((second <= first * (1 + _TIED)).sum())
    if tied > n / 10:
        raise FeatureError(
            f"no intrinsic dimension: {tied} of {n} stimuli have two nearest neighbours, as on a lattice"
        )
    ratios = (torch.log(second / first) / 2).sort().values
    used = int(0.9 * n)
    expected = -torch.log1p(-torch.arange(1, used + 1, dtype=torch.float64) / n)
    return float(ratios[:used] @ expected / (ratios[:used] @ ratios[:used]))


def mean_norm(x: Float[Tensor, "stimuli features"]) -> float:
    """Mean over stimuli of the features' Euclidean norm, in the features' unit."""
    return float(x.float().norm(dim=1).mean().cpu())
