"""The weights that are read: their hash, and which of an optimizer's two sets they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ontogeny.extraction.layers import plain_model, plain_name

__all__ = ["deployed_weights", "weights_hash"]


def weights_hash(model: nn.Module) -> str:
    """Sha256 (first 16 hex digits) over names, types, shapes and bytes of all parameters and saved buffers.

    The same weights give the same hash in any wrapper, on any device. Of a sharded model (FSDP2) every rank has to ask
    at once.
    """
    sha = hashlib.sha256()
    state = {plain_name(name): value for name, value in plain_model(model).state_dict().items()}
    for name in sorted(state):
        value = state[name]
        if not isinstance(value, torch.Tensor):
            continue
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value
        host = whole.detach().to("cpu").contiguous()
        sha.update(f"{name}{host.dtype}{tuple(host.shape)}".encode())
        sha.update(host.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]


@contextmanager
def deployed_weights(optimizers: Sequence[Any]) -> Iterator[bool]:
    """The weights that a schedule-free optimizer would deploy, in place of those it takes gradients at.

    Such optimizers have `eval()` and `train()`. Their way back rounds, so the training weights are kept and put back
    bit for bit; a copy of the parameters is held meanwhile. Any other optimizer is left alone.

    Args:
        optimizers: of the model, in any trainer's wrapper.

    Yields:
        Whether any optimizer had such weights.
    """
    switching = [inner for o in optimizers if _switches(inner := _unwrapped(o))]
    held = [(p, p.detach().clone()) for o in switching for group in o.param_groups for p in group["params"]]
    try:
        for optimizer in switching:
            optimizer.eval()
        yield bool(switching)
    finally:
        for optimizer in switching:
            optimizer.train()
        with torch.no_grad():
            for parameter, before in held:
                parameter.copy_(before)


def _unwrapped(optimizer: Any) -> Any:
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def _switches(optimizer: Any) -> bool:
    """Whether it has two sets of weights and holds the model at those of training."""
    if not (callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))):
        return False
    return all(group.get("train_mode", True) for group in optimizer.param_groups)
