"""What is followed, what is saved without looking further into it, and what belongs to the program around a model."""

from __future__ import annotations

import _thread
import array
import collections
import contextvars
import ctypes
import enum
import functools
import io
import random
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data.dataloader import _BaseDataLoaderIter

from ontogeny.extraction.state._code import SavedCache, SavedContext, SavedSteps
from ontogeny.extraction.state._containers import SavedBytes
from ontogeny.extraction.state._entry import Saved
from ontogeny.extraction.state._foreign import SavedC, SavedFile
from ontogeny.extraction.state._random import SavedRandom
from ontogeny.extraction.state._values import SavedArray

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "EXACT",
    "LIBRARIES",
    "attributes_of",
    "first_uninitialised",
    "is_data",
    "is_outside",
    "is_state",
    "joined",
    "leaf",
    "names",
    "slots_of",
    "tensor_parts",
]

ATOMS = frozenset(
    (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, torch.dtype, torch.device, torch.Size)
)
CONTAINERS = (dict, list, tuple, set, frozenset, collections.deque)
_OUTSIDE = (
    *("ontogeny", "lightning", "pytorch_lightning", "lightning_fabric", "accelerate", "deepspeed", "ray"),
    *("wandb", "mlflow", "tensorboard", "aim", "comet_ml", "neptune", "clearml", "tqdm", "rich", "logging"),
    *("threading", "multiprocessing", "concurrent", "asyncio", "subprocess", "socket", "io", "os", "sys", "pathlib"),
    *("tokenizers", "datasets", "pyarrow", "pandas", "re", "importlib", "inspect", "typing", "enum", "ast", "abc"),
)
_OUTSIDE_BASES = (*("torch.distributed", "torch._dynamo", "torch._inductor", "torch.fx", "threading", "logging"),)
LIBRARIES = (
    *("torch", "lightning", "pytorch_lightning", "transformers", "numpy", "scipy", "collections", "functools", "abc"),
    *("builtins", "typing", "threading", "_thread", "queue", "weakref", "dataclasses", "itertools", "random", "enum"),
)
EXACT = (enum.Enum, type, types.ModuleType, types.BuiltinFunctionType, property, _BaseDataLoaderIter)
_LEAVES: tuple[tuple[tuple[type, ...], Callable[[Any], Saved]], ...] = (
    ((torch.Generator, np.random.RandomState, np.random.BitGenerator, random.Random), SavedRandom),
    ((np.random.Generator,), lambda item: SavedRandom(item.bit_generator)),
    ((bytearray, array.array), SavedBytes),
    ((types.GeneratorType,), SavedSteps),
    ((functools._lru_cache_wrapper,), SavedCache),
    ((contextvars.ContextVar,), SavedContext),
    ((ctypes.Structure, ctypes.Array, ctypes._SimpleCData), SavedC),
)


def leaf(item: Any) -> Saved | None:
    """What is saved without looking further into it."""
    if isinstance(item, np.ndarray):
        return SavedArray(item) if item.flags.writeable else None
    if isinstance(item, io.IOBase):
        return SavedFile(item) if not item.closed and item.seekable() else None
    if isinstance(item, random.SystemRandom):
        return None
    return next((saved(item) for kinds, saved in _LEAVES if isinstance(item, kinds)), None)


def is_outside(item: Any) -> bool:
    if isinstance(item, nn.Module):
        return False
    if type(item).__module__.startswith("accelerate.hooks"):
        return False
    for cls in type(item).__mro__:
        if cls.__name__.endswith("Trainer") or cls.__module__.startswith(_OUTSIDE_BASES):
            return True
    return type(item).__module__.partition(".")[0] in _OUTSIDE


def is_data(name: str, value: Any) -> bool:
    """Whether a class attribute is data of its own, not part of how the class is made."""
    if isinstance(value, functools._lru_cache_wrapper):
        return True
    made = isinstance(value, types.FunctionType | classmethod | staticmethod | property | type)
    return not (name.startswith(("__", "_abc_")) or made or hasattr(type(value), "__get__"))


def is_state(value: Any) -> bool:
    """Whether a global variable is data, not a part of the program."""
    if isinstance(value, functools._lru_cache_wrapper):
        return True
    return not (isinstance(value, type | types.ModuleType) or callable(value)) or isinstance(value, nn.Module)


def names(code: types.CodeType) -> set[str]:
    """Names that a function's code and that of functions inside it use."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*(names(c) for c in inner))


def attributes_of(item: Any) -> dict[Any, Any] | None:
    try:
        local = isinstance(item, _thread._local)
        found = item.__dict__ if local else object.__getattribute__(item, "__dict__")
    except (AttributeError, TypeError):
        return None
    return found if type(found) is dict else None


def slots_of(item: Any) -> list[str]:
    names: list[str] = []
    for cls in type(item).__mro__:
        if "__slots__" not in vars(cls):
            continue
        names += [n for n, value in vars(cls).items() if isinstance(value, types.MemberDescriptorType)]
    return names


def tensor_parts(tensor: Tensor) -> dict[str, Tensor] | None:
    """The tensors that a wrapper (a shard, a quantised weight) holds; None for one with values of its own."""
    local = getattr(tensor, "_local_tensor", None)
    if isinstance(local, Tensor):
        return {"_local_tensor": local}
    if type(tensor) in (Tensor, nn.Parameter) or not hasattr(tensor, "__tensor_flatten__"):
        return None
    names, _ = tensor.__tensor_flatten__()
    return {name: getattr(tensor, name) for name in names}


def first_uninitialised(model: nn.Module) -> str | None:
    """Name of a parameter or buffer that only the first batch will make (`nn.LazyLinear`), or None."""
    both = (*model.named_parameters(), *model.named_buffers())
    return next((name for name, tensor in both if torch.nn.parameter.is_lazy(tensor)), None)


def joined(name: str, key: Any) -> str:
    if not isinstance(key, str):
        return f"{name}[{key if isinstance(key, int) else type(key).__name__}]"
    return f"{name}.{key}" if name else key
