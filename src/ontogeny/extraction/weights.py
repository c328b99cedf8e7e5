"""The weights that are read: their hash, and which of an optimizer's two sets they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._keyed_sums import keyed_sums
from ontogeny.extraction.fsdp1 import gathered, unit_states
from ontogeny.extraction.isolation import NotYetError
from ontogeny.extraction.layers import plain_model, plain_name
from ontogeny.extraction.state import tensor_parts
from ontogeny.extraction.wrappers import fsdp1_units

__all__ = ["deployed_weights", "weights_hash"]

_PIECE = 2**18
_SHA256, _SUMS = 16, 32


def weights_hash(model: nn.Module, *, like: str = "") -> str:
    """32 hex digits over names, types, shapes and bits of all parameters and saved buffers.

    The same weights give the same hash in any wrapper, on any device. It is made where the weights are (keyed sums; 64
    bytes per tensor leave the device) and notices changes; it does not resist an enemy. Of a sharded model (FSDP1,
    FSDP2) every rank has to ask at once; it is gathered tensor by tensor, or unit by unit.

    Args:
        model: any.
        like: a hash that this one is to be compared with. One of 16 digits was made by SHA-256 of all bytes on the CPU,
            as all once were; then so is this one, and old records can be gone on with.
    """
    sha = hashlib.sha256()
    with gathered(model):
        if len(like) == _SHA256:
            for _, about, tensor in _parts(_at_once(plain_model(model))):
                sha.update(about)
                for some in _bytes_of(tensor):
                    sha.update(some)
            return sha.hexdigest()[:_SHA256]
        states = _states(plain_model(model))
        summed = [(name, about, keyed_sums(tensor)) for state in states for name, about, tensor in _parts(state)]
    summed.sort(key=lambda one: one[0])
    for (_, about, _), sums in zip(summed, _brought([sums for *_, sums in summed]), strict=True):
        sha.update(about)
        sha.update(sums)
    return sha.hexdigest()[:_SUMS]


def _parts(state: Mapping[str, Any]) -> Iterator[tuple[str, bytes, torch.Tensor]]:
    """Of each dense tensor of the weights, by names: whose it is; name, type and shape; the tensor."""
    plain = {plain_name(name): value for name, value in state.items()}
    for name in sorted(plain):
        if isinstance(plain[name], torch.Tensor):
            for part, tensor in _dense_parts(name, plain[name]):
                yield name, f"{part}{tensor.dtype}{tuple(tensor.shape)}".encode(), tensor


def _states(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Parameters and saved buffers, those of FSDP1's units one unit at a time."""
    for state in unit_states(model) if fsdp1_units(model) else (_whole_state(model),):
        yield _readable(state)


def _at_once(model: nn.Module) -> dict[str, Any]:
    """The same in one; what units hold, on the CPU."""
    if not fsdp1_units(model):
        return next(_states(model))
    parts = (pair for state in _states(model) for pair in state.items())
    return {name: value.to("cpu", copy=True) if isinstance(value, torch.Tensor) else value for name, value in parts}


def _brought(sums: Sequence[torch.Tensor]) -> list[bytes]:
    """To the CPU, at once from each device."""
    out = [b""] * len(sums)
    for device in {one.device for one in sums}:
        places = [place for place, one in enumerate(sums) if one.device == device]
        rows = torch.stack([sums[place] for place in places]).cpu().numpy().astype("<i8")
        for place, row in zip(places, rows, strict=True):
            out[place] = row.tobytes()
    return out


def _whole_state(model: nn.Module) -> dict[str, Any]:
    """Parameters and saved buffers, those that accelerate keeps on the CPU or on disk too."""
    state: dict[str, Any] = dict(model.state_dict())
    for name, module in model.named_modules():
        weights = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
        if weights is not None:
            own = [n for n, value in module.named_parameters(recurse=False) if value.is_meta]
            own += [n for n, value in module.named_buffers(recurse=False) if value.is_meta]
            state.update({f"{name}.{n}" if name else n: weights[n] for n in own})
    return state


def _readable(state: dict[str, Any]) -> dict[str, Any]:
    """The same.

    Raises:
        ProbeError: weights that are nowhere, or not made yet.
    """
    for name, value in state.items():
        if torch.nn.parameter.is_lazy(value):
            raise NotYetError(f"parameter {name!r} is made by the first batch, so that the model cannot be read yet")
        if isinstance(value, torch.Tensor) and value.is_meta:
            raise ProbeError(f"weight {name!r} is on the meta device: it has no values that could be read")
    return state


def _dense_parts(name: str, value: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """The tensor; of a sparse or quantised one the tensors that it is made of."""
    if hasattr(value, "full_tensor"):
        return [(name, value.full_tensor())]
    if (parts := tensor_parts(value)) is not None:
        return [(f"{name}.{part}", tensor) for part, tensor in parts.items()]
    if value.layout is torch.sparse_coo:
        return [(f"{name}.indices", value._indices()), (f"{name}.values", value._values())]
    if value.layout is not torch.strided:
        return [(name, value.to_dense())]
    return [(name, value.dequantize() if value.is_quantized else value)]


def _bytes_of(tensor: torch.Tensor) -> Iterator[memoryview]:
    """All bytes of a tensor, of a copy: NumPy never gets hold of the tensor's own memory, which would pin it.

    What lies on the CPU is copied piece by piece, each into the same memory, in the processor's cache.
    """
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.device.type != "cpu" or not plain.is_contiguous():
        yield plain.to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy().data
        return
    flat = plain.reshape(-1).view(torch.uint8)
    piece = torch.empty(min(_PIECE, flat.numel()), dtype=torch.uint8)
    for part in torch.split(flat, _PIECE):
        yield piece[: part.numel()].copy_(part).numpy().data


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
