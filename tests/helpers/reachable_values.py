"""Values that are told by what they are, not by which object they are."""

from __future__ import annotations

import enum
import functools
import struct
import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["atom", "frozen", "is_users", "tensor_bytes"]

_BY_REPR = (torch.dtype, torch.device, torch.layout, torch.memory_format, types.BuiltinFunctionType, types.CodeType)
_SINGLE = (types.ModuleType, types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType)


def atom(value: Any) -> Any:
    """A comparable stand-in for an immutable value, None for anything that can hold state."""
    if value is None or value is Ellipsis or value is NotImplemented:
        return f"<{value}>"
    kind = type(value)
    if kind in (bool, int, str, bytes):
        return (kind.__name__, value)
    if kind is float:
        return ("float", struct.pack("d", value))
    if kind is complex:
        return ("complex", struct.pack("dd", value.real, value.imag))
    if kind is torch.Size:
        return ("Size", tuple(value))
    if isinstance(value, np.generic) and not isinstance(value, np.object_):
        return (kind.__name__, value.tobytes())
    if isinstance(value, _BY_REPR) and getattr(value, "__self__", None) is None:
        return (kind.__name__, repr(value).split(" at 0x")[0])
    if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType):
        return (kind.__name__, value.__qualname__)
    if isinstance(value, _SINGLE):
        return (kind.__name__, getattr(value, "__qualname__", value.__name__))
    if isinstance(value, enum.Enum):
        return (kind.__qualname__, value.name)
    if isinstance(value, type) and not is_users(value):
        return ("class", f"{value.__module__}.{value.__qualname__}")
    if isinstance(value, types.FunctionType) and not is_users(value) and not value.__closure__:
        return ("function", f"{value.__module__}.{value.__qualname__}")
    return None


@functools.cache
def _is_users_module(name: str) -> bool:
    if name.split(".")[0] in sys.stdlib_module_names and name != "__main__":
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return "site-packages" not in file and not name.startswith(("ontogeny", "tests.helpers.reachable"))


def is_users(thing: Any) -> bool:
    """Whether a class or function is written by the user, not part of a library or of Python."""
    return _is_users_module(getattr(thing, "__module__", None) or "builtins")


def frozen(value: Any) -> Any:
    """Nested dicts, lists, tuples, arrays and tensors by value alone."""
    if isinstance(value, Mapping):
        return ("dict", tuple((frozen(k), frozen(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(map(frozen, value)))
    if isinstance(value, np.ndarray) and value.dtype != object:
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), tensor_bytes(value))
    short = atom(value)
    return short if short is not None else ("object", type(value).__qualname__, id(value))


def tensor_bytes(tensor: torch.Tensor) -> Any:
    """The elements that can be seen, in order, as bytes; of a copy, for `numpy()` would make the memory unresizable."""
    if tensor.layout != torch.strided:
        if tensor.layout == torch.sparse_coo:
            return tensor.is_coalesced(), tensor_bytes(tensor._indices()), tensor_bytes(tensor._values())
        return tensor_bytes(tensor.to_dense())
    if tensor.device.type == "meta":
        return "meta"
    plain = tensor.detach()
    if plain.is_quantized:
        return str(plain.qscheme()), repr(plain.dequantize().tolist()), tensor_bytes(plain.int_repr())
    plain = plain.resolve_conj().resolve_neg().cpu().clone(memory_format=torch.contiguous_format).reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""
