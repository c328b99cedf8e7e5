"""The task, measured by us on held-out data at the probed weights; and what grows beside alignment (confounds)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ontogeny.addresses import object_at
from ontogeny.errors import FeatureError, ProbeError
from ontogeny.extraction.pooling import first_tensor

__all__ = ["HeldOutLoss", "Measured", "Task", "intrinsic_dimension", "mean_norm", "participation_ratio"]

LossFunction = Callable[[nn.Module, Any], Tensor]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLoss:
    """Mean loss, and accuracy of a classifier or next-token accuracy of a language model, on fixed held-out data.

    Two kinds of batches are understood without more words: `(inputs, labels)` of a classifier, scored by cross-entropy,
    and a mapping with `input_ids` (and `labels`, `attention_mask`) of a language model, scored by next-token
    cross-entropy in nats. For anything else pass `loss`.

    Args:
        batches: the held-out data, a list of batches: fixed, so that the curve moves only when the model does; or an
            address "module:attribute" of such a list, or of a function that makes it (for YAML).
        loss: (model, batch) -> loss of each case (a tensor), instead of the two forms above.
    """

    batches: Sequence[Any] | str
    loss: LossFunction | None = None

    def __post_init__(self) -> None:
        if isinstance(self.batches, str):
            found = object_at(self.batches)
            object.__setattr__(self, "batches", found() if callable(found) else found)
        if not len(self.batches):
            raise ProbeError("HeldOutLoss got no batches; hold some data out")

    def __call__(self, model: nn.Module) -> Sequence[Measured]:
        """Measure at the model's present weights.

        Raises:
            ProbeError: a batch of another form.
        """
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        total, hits, cases, judged = 0.0, 0, 0, 0
        for batch in self.batches:
            losses, right = self._one(model, _to(batch, device))
            total += float(losses.detach().double().sum())
            cases += losses.numel()
            if right is not None:
                hits += int(right.sum())
                judged += right.numel()
        out = [Measured(metric="loss", value=total / max(cases, 1), unit="nats", n=cases)]
        if judged:
            out.append(Measured(metric="accuracy", value=hits / judged, unit="share correct", n=judged))
        return out

    def _one(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Loss of each case, and which cases are right."""
        if self.loss is not None:
            return self.loss(model, batch).reshape(-1), None
        if isinstance(batch, Mapping) and "input_ids" in batch:
            return _next_token(model, batch)
        if isinstance(batch, tuple | list) and len(batch) == 2:
            logits = first_tensor(model(batch[0]))
            if logits is None or logits.ndim != 2:
                raise ProbeError("a classifier's batch needs a model that returns logits, cases x classes")
            losses = nn.functional.cross_entropy(logits.float(), batch[1], reduction="none")
            return losses, logits.argmax(dim=1) == batch[1]
        raise ProbeError(
            f"HeldOutLoss cannot use a batch of type {type(batch).__name__}; expected (inputs, labels) "
            "or a mapping with input_ids, or pass loss=(model, batch) -> loss of each case"
        )


def _next_token(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    ids = batch["input_ids"]
    inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask")}
    output = model(**inputs)
    logits = output["logits"] if isinstance(output, Mapping) and "logits" in output else first_tensor(output)
    if logits is None or logits.ndim != 3:
        raise ProbeError("a language model's batch needs a model that returns logits, batch x tokens x vocabulary")
    labels = batch.get("labels", ids)
    mask = batch["attention_mask"] if "attention_mask" in batch else torch.ones_like(ids)
    counted = ((labels != -100) & (mask > 0))[:, 1:]
    ahead, target = logits[:, :-1][counted].float(), labels[:, 1:][counted]
    return nn.functional.cross_entropy(ahead, target, reduction="none"), ahead.argmax(dim=1) == target


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(_to(value, device) for value in batch)
    return batch


def participation_ratio(gram: Float[Tensor, "stimuli stimuli"]) -> float:
    """Effective number of dimensions, tr(K)^2 / |K|^2 of the centred Gram matrix: 1 to min(stimuli - 1, features)."""
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
