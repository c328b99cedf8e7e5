"""What is followed, what is saved without looking further into it, and what belongs to the program around a model."""

from __future__ import annotations

import _thread
import array
import collections
import contextlib
import contextvars
import ctypes
import enum
import functools
import io
import mmap
import random
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data.dataloader import _BaseDataLoaderIter

from ontogeny.extraction.state._code import SavedCache, SavedContext, SavedSteps
from ontogeny.extraction.state._containers import SavedBytes, SavedMemory
from ontogeny.extraction.state._entry import Saved
from ontogeny.extraction.state._foreign import SavedC, SavedFile
from ontogeny.extraction.state._random import SavedRandom, SavedSeeds
from ontogeny.extraction.state._values import SavedArray

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "EXACT",
    "LEADING",
    "attributes_of",
    "first_uninitialised",
    "is_data",
    "is_installed",
    "is_library",
    "is_outside",
    "is_state",
    "joined",
    "leads_to",
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
_OF_FSDP1 = ("FlatParamHandle", "_ExecOrderData")
LIBRARIES = (
    *("torch", "lightning", "pytorch_lightning", "transformers", "numpy", "scipy", "collections", "functools", "abc"),
    *("builtins", "typing", "threading", "_thread", "queue", "weakref", "dataclasses", "itertools", "random", "enum"),
)
EXACT = (enum.Enum, _BaseDataLoaderIter)
LEADING = (
    *(types.MethodType, functools.partial, property, types.MappingProxyType, weakref.ReferenceType),
    *(*weakref.ProxyTypes, types.BuiltinFunctionType, types.MethodWrapperType),
)
_PLACES = tuple(filter(None, (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))))
_LEAVES: tuple[tuple[tuple[type, ...], Callable[[Any], Saved]], ...] = (
    ((np.random.SeedSequence,), SavedSeeds),
    ((torch.Generator, np.random.RandomState, np.random.BitGenerator, random.Random), SavedRandom),
    ((np.random.Generator,), lambda item: SavedRandom(item.bit_generator)),
    ((bytearray, array.array), SavedBytes),
    ((mmap.mmap, memoryview), SavedMemory),
    ((types.GeneratorType,), SavedSteps),
    ((functools._lru_cache_wrapper,), SavedCache),
    ((contextvars.ContextVar,), SavedContext),
    ((ctypes.Structure, ctypes.Array, ctypes._SimpleCData), SavedC),
)


def leaf(item: Any, copied: Callable[[Any], bool]) -> Saved | None:
    """What is saved by its content.

    Args:
        item: anything.
        copied: whether the values of an array are copied.
    """
    if isinstance(item, np.ndarray):
        return SavedArray(item, copy=copied(item)) if item.flags.writeable else None
    if isinstance(item, io.IOBase):
        return SavedFile(item) if not item.closed and item.seekable() else None
    if isinstance(item, random.SystemRandom) or (isinstance(item, memoryview) and item.readonly):
        return None
    return next((saved(item) for kinds, saved in _LEAVES if isinstance(item, kinds)), None)


def is_installed(name: str | None) -> bool:
    """Whether a module is of Python itself or of an installed package, not of the user's program."""
    if not name:
        return True
    top = name.partition(".")[0]
    if top == "ontogeny":
        return True
    module = sys.modules.get(name)
    if module is None:
        return False
    file = getattr(module, "__file__", None) or getattr(sys.modules.get(top), "__file__", None)
    if file is None:
        return top in sys.stdlib_module_names
    return file.startswith(_PLACES) or "site-packages" in file or "dist-packages" in file


def is_library(name: str | None) -> bool:
    """Whether a module is of a library of which no class or function holds state that a model could change."""
    return not name or (name.partition(".")[0] in LIBRARIES and is_installed(name))


def is_outside(item: Any) -> bool:
    """Whether an object belongs to the program around a model: a trainer, a logger, a thread."""
    if isinstance(item, nn.Module):
        return False
    module = type(item).__module__
    if module.startswith("torch.distributed.fsdp") and type(item).__name__ in _OF_FSDP1:
        return False
    if module.startswith(("accelerate.hooks", "multiprocessing.sharedctypes")):
        return False
    for cls in type(item).__mro__:
        if cls.__name__.endswith("Trainer") and is_installed(cls.__module__):
            return True
        if cls.__module__.startswith(_OUTSIDE_BASES):
            return True
    return module.partition(".")[0] in _OUTSIDE and is_installed(module)


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


@functools.lru_cache(maxsize=4096)
def names(code: types.CodeType) -> frozenset[str]:
    """Names that a function's code and that of functions inside it use: of variables, attributes and imports."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return frozenset(code.co_names).union(*(names(c) for c in inner))


def leads_to(item: Any) -> tuple[Any, ...]:
    """What an object stands for, is bound to or calls; nothing where that is gone."""
    if isinstance(item, types.MethodType):
        return item.__self__, item.__func__
    if isinstance(item, functools.partial):
        return item.func, item.args, item.keywords, item.__dict__
    if isinstance(item, property):
        return item.fget, item.fset
    if isinstance(item, types.MappingProxyType):
        return tuple(item.values())
    if isinstance(item, weakref.ReferenceType):
        return (item(),)
    if type(item) in weakref.ProxyTypes:
        with contextlib.suppress(ReferenceError):
            return (item.__repr__.__self__,)
        return ()
    return (item.__self__,)


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
