"""A hash of the weights actually in a model: the same weights give the same hash in any wrapper, on any device."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from ontogeny.layers import plain_model, plain_name

__all__ = ["weights_hash"]


def weights_hash(model: nn.Module) -> str:
    """Sha256 (first 16 hex digits) over names, types, shapes and bytes of all parameters and saved buffers."""
    sha = hashlib.sha256()
    state = {plain_name(name): value for name, value in plain_model(model).state_dict().items()}
    for name in sorted(state):
        value = state[name]
        if not isinstance(value, torch.Tensor):
            continue
        host = value.detach().to("cpu").contiguous()
        sha.update(f"{name}{host.dtype}{tuple(host.shape)}".encode())
        sha.update(host.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]
