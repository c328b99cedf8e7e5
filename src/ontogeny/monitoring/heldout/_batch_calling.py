"""Calling a model on a batch: which keys it takes, through wrappers, and which tensor of its output is the logits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction.forward_signature import NAMED, PLACED, insides, parameters

__all__ = [
    "LABELS",
    "Inputs",
    "class_logits",
    "described",
    "fitting",
    "inputs_of",
    "is_integer",
    "outputs",
    "own_loss",
    "placed_inputs",
    "second_takes_targets",
    "taken",
]

LABELS = ("labels", "label")
_TARGETS = frozenset(("targets", "target", "labels", "label", "y"))
_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Tensors for one forward pass, by position and by name."""

    placed: tuple[Tensor, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def run(self, model: nn.Module, **more: Any) -> Any:
        """The model's output.

        Raises:
            ProbeError: the forward pass failed; shapes are named.
        """
        try:
            return model(*self.placed, **self.named, **more)
        except _FAILURES as error:
            raise ProbeError(
                f"{type(model).__name__} failed on held-out inputs ({described((*self.placed, dict(self.named)))}): "
                f"{type(error).__name__}: {error}; pass loss=(model, batch) -> loss of each case"
            ) from error


def taken(model: nn.Module) -> frozenset[str] | None:
    """Names that the forward pass takes; None where it takes any."""
    names: set[str] = set()
    for each in insides(model):
        found = parameters(each)
        names |= {p.name for p in found if p.kind in NAMED}
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in found):
            return frozenset(names)
    return frozenset(names | {"attention_mask"}) if names else None


def second_takes_targets(model: nn.Module) -> bool:
    """Whether forward is (x, targets), as in nanoGPT; a mask or cache in second place is something else."""
    for each in insides(model):
        placed = [p for p in parameters(each) if p.kind in PLACED]
        if len(placed) > 1:
            return placed[1].name in _TARGETS or placed[1].default is inspect.Parameter.empty
    return False


def inputs_of(model: nn.Module, batch: Mapping[str, Any]) -> Inputs:
    """What the model takes of a mapping, without the labels.

    Raises:
        ProbeError: the forward pass takes none of the keys.
    """
    names = taken(model)
    given = {name: value for name, value in batch.items() if name not in LABELS and value is not None}
    named = {name: value for name, value in given.items() if names is None or name in names}
    if named and ("input_ids" in named or "input_ids" not in given):
        extra = {"use_cache": False} if names is not None and "use_cache" in names else {}
        return Inputs(named=_typed(model, {**extra, **named}))
    tensors = [value for value in given.values() if isinstance(value, Tensor)]
    alone = given["input_ids"] if "input_ids" in given else tensors[0] if len(tensors) == 1 else None
    if alone is None:
        raise ProbeError(
            f"{type(model).__name__}.forward takes {sorted(names or ())}, and the held-out batch has other keys "
            f"({described(batch)}); pass loss=(model, batch) -> loss of each case"
        )
    return Inputs(placed=(_typed(model, {"": alone})[""],))


def _typed(model: nn.Module, values: Mapping[str, Any]) -> dict[str, Any]:
    """Floating inputs in the type of the weights, e.g. bfloat16."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)

    def typed(value: Any) -> Any:
        return value.to(dtype) if dtype and isinstance(value, Tensor) and value.is_floating_point() else value

    return {name: typed(value) for name, value in values.items()}


def placed_inputs(model: nn.Module, x: Any) -> Inputs:
    """The first element of a pair, as the model's first argument; a tuple gives several."""
    several = x if isinstance(x, tuple) else (x,)
    return Inputs(placed=tuple(_typed(model, {str(i): value for i, value in enumerate(several)}).values()))


def outputs(output: Any) -> dict[str, Tensor]:
    """Floating tensors in an output by name or place, those called "logits" and "out" first."""
    if isinstance(output, Tensor):
        named: Mapping[str, Any] = {"logits": output}
    elif isinstance(output, Mapping):
        named = output
    elif isinstance(output, tuple | list):
        fields = getattr(output, "_fields", range(len(output)))
        named = {str(name): value for name, value in zip(fields, output, strict=True)}
    else:
        named = {k: v for k, v in getattr(output, "__dict__", {}).items() if isinstance(k, str)}
    found = {str(k): v for k, v in named.items() if isinstance(v, Tensor) and v.is_floating_point()}
    return {
        k: found[k] for k in sorted(found, key=lambda k: ("logits", "out").index(k) if k in ("logits", "out") else 2)
    }


def own_loss(output: Any) -> float | None:
    """The loss that the model computed itself, a mean over a batch; None where there is none."""
    found = outputs(output)
    if "loss" in found:
        return float(found["loss"].float()) if found["loss"].numel() == 1 else None
    scalars = [value for value in found.values() if value.ndim == 0]
    return float(scalars[0].float()) if len(scalars) == 1 else None


def fitting(output: Any, target: Tensor, *, second: bool | None = None) -> list[Tensor]:
    """Tensors of the output that could be logits for integer targets, with the classes last.

    Args:
        output: of the model.
        target: integers.
        second: whether classes stand behind the batch; None: both are tried.
    """
    found = []
    for name, value in outputs(output).items():
        if name == "loss" or value.ndim != target.ndim + 1:
            continue
        last = value if value.shape[:-1] == target.shape and second is not True else None
        moved = value.movedim(1, -1)
        behind = moved if target.ndim > 1 and moved.shape[:-1] == target.shape and second is not False else None
        both = [behind, last] if target.ndim > 2 else [last, behind]
        found += [logits for logits in both if logits is not None]
    return found


def class_logits(output: Any, target: Tensor, *, second: bool | None = None) -> Tensor | None:
    """The output's logits for integer targets, chosen by shape, with the classes last; None where nothing fits.

    Classes stand behind the target's axes (tokens), or behind the batch (pixels: batch x classes x height x width).

    Args:
        output: of the model.
        target: integers.
        second: whether classes stand behind the batch; None: both are tried.
    """
    found = fitting(output, target, second=second)
    highest = int(target.max()) if target.numel() else 0
    return next((logits for logits in found if logits.shape[-1] > highest), found[0] if found else None)


def described(batch: Any) -> str:
    """A batch in words, for error messages: type, keys, shapes."""
    if isinstance(batch, Tensor):
        return f"{tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{name} {described(value)}" for name, value in batch.items())
    if isinstance(batch, tuple | list) and batch and not isinstance(batch[0], Tensor | Mapping):
        return f"{len(batch)} x {type(batch[0]).__name__}"
    if isinstance(batch, tuple | list):
        return "; ".join(described(value) for value in batch[:8] if not (isinstance(value, dict) and not value))
    return type(batch).__name__


def is_integer(value: Any) -> bool:
    """Whether it is a tensor of classes or token ids."""
    if not isinstance(value, Tensor):
        return False
    return not value.is_floating_point() and not value.is_complex() and value.dtype is not torch.bool
