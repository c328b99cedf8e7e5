"""How each kind of object is described: (own content, identity beside `id`, parts)."""

from __future__ import annotations

import array
import contextvars
import ctypes
import functools
import gc
import io
import itertools
import mmap
import os
import queue
import random
import sqlite3
import threading
import types
import warnings
import weakref
from collections import OrderedDict, defaultdict, deque
from multiprocessing.heap import BufferWrapper
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin
from torch.utils.hooks import RemovableHandle

from tests.helpers.reachable_values import atom, frozen, is_users, tensor_bytes

__all__ = [
    "KINDS",
    "attributes",
    "is_iterator",
    "of_class",
    "of_iterator",
    "of_lru_cache",
    "plain_repr",
    "referents",
]

Parts = list[tuple[str, Any]]
Described = tuple[Any, tuple[Any, ...], Parts]
_OF_CLASS = ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__slots__")


def attributes(value: Any) -> Parts:
    """What stands in `__dict__` and `__slots__`, and the class where it is the user's."""
    parts: Parts = []
    if not isinstance(value, types.FunctionType | torch.Tensor):
        held = getattr(value, "__dict__", None)
        parts += [(f".{name}", part) for name, part in list(held.items() if isinstance(held, dict) else ())]
        for cls in type(value).__mro__:
            names = cls.__dict__.get("__slots__", ())
            for name in (names,) if isinstance(names, str) else names:
                mangled = f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") else name
                if name not in ("__dict__", "__weakref__") and hasattr(value, mangled):
                    parts.append((f".{name}", getattr(value, mangled)))
    if is_users(type(value)):
        parts.append((".__class__", type(value)))
    return parts


def plain_repr(value: Any) -> str:
    """`repr` where it is Python's or numpy's own and without an address."""
    if is_users(type(value)) or isinstance(value, nn.Module):
        return type(value).__qualname__
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - half-built objects
        text = "?"
    return type(value).__qualname__ if " 0x" in text or "x7f" in text else text[:2000]


def referents(value: Any) -> list[Any]:
    """What an object of C holds."""
    return [part for part in gc.get_referents(value) if not isinstance(part, type | types.ModuleType)]


def of_class(cls: type) -> Described:
    inner = [(f".{name}", part) for name, part in vars(cls).items() if name not in _OF_CLASS and "abc" not in name]
    bases = tuple(f"{b.__module__}.{b.__qualname__}" for b in cls.__bases__)
    return (cls.__qualname__, bases), (), inner + [(f"<base {i}>", b) for i, b in enumerate(cls.__bases__)]


def _tensor(value: torch.Tensor) -> Described:
    parts = [(f".{name}", part) for name, part in value.__dict__.items()]
    if isinstance(value, UninitializedTensorMixin):
        return "not initialised", (), parts
    strided = value.layout == torch.strided
    own = (
        (str(value.dtype), str(value.device), str(value.layout), tuple(value.shape)),
        (value.stride(), value.storage_offset(), value.is_conj(), value.is_neg()) if strided else (),
        (value.requires_grad, value.is_leaf, value.is_inference(), str(value.grad_fn).split(" ")[0]),
        tensor_bytes(value),
    )
    parts.append((".grad", value.grad if value.is_leaf else None))
    if not value.is_inference() and value._base is not None:
        parts.append((".base", value._base))
    hooks = ("_backward_hooks", "_post_accumulate_grad_hooks")
    parts += [(f".{name}", getattr(value, name, None)) for name in hooks]
    storage = value.untyped_storage() if strided and value.device.type != "meta" else None
    return own, (storage, value.grad_fn), parts


def _array(value: np.ndarray) -> Described:
    own = (value.dtype.str, value.shape, value.strides, value.flags.writeable)
    parts: Parts = [(".base", value.base)]
    if value.dtype == object:
        return own, (value.ctypes.data,), parts + [(f"[{i}]", part) for i, part in enumerate(value.ravel())]
    return (*own, value.tobytes()), (value.ctypes.data,), parts


def _dict(value: Any) -> Described:
    if isinstance(value, OrderedDict) and all(type(k) is int and (v is True or callable(v)) for k, v in value.items()):
        return "hooks", tuple(value), [(f"[{i}]", part) for i, part in enumerate(value.values())]
    items = OrderedDict.items if isinstance(value, OrderedDict) else dict.items  # not the subclass's own
    parts: Parts = []
    keys = []
    for index, (key, part) in enumerate(list(items(value))):
        short = atom(key)
        keys.append(short)
        if short is None:
            parts.append((f"<key {index}>", key))
        name = repr(key) if isinstance(key, str | int | float | bool) else f"{index}"
        parts.append((f"[{name}]", part))
    if isinstance(value, defaultdict):
        parts.append((".default_factory", value.default_factory))
    return tuple(keys), (), parts


def _sequence(value: Any) -> Described:
    own = value.maxlen if isinstance(value, deque) else len(value)
    return own, (), [(f"[{i}]", part) for i, part in enumerate(value)]


def _set(value: Any) -> Described:
    plain = sorted(repr(atom(part)) for part in value if atom(part) is not None)
    rest = sorted((part for part in value if atom(part) is None), key=lambda part: type(part).__qualname__)
    ids = [(f"{{{i}}}", part) for i, part in enumerate(rest)]
    return tuple(plain), (), ids


def _function(value: types.FunctionType) -> Described:
    parts: Parts = [(".__defaults__", value.__defaults__), (".__kwdefaults__", value.__kwdefaults__)]
    parts += [(f".{name}", part) for name, part in value.__dict__.items()]
    names = value.__code__.co_freevars
    parts += [(f"<{name}>", cell) for name, cell in zip(names, value.__closure__ or (), strict=True)]
    if is_users(value):
        found = [name for name in _names(value.__code__) if name in value.__globals__]
        parts += [(f"<global {name}>", value.__globals__[name]) for name in found]
    return value.__qualname__, (id(value.__code__),), parts


@functools.cache
def _names(code: types.CodeType) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _cell(value: types.CellType) -> Described:
    try:
        return "cell", (), [("", value.cell_contents)]
    except ValueError:
        return "empty cell", (), []


def of_lru_cache(value: Any) -> Described:
    parts = [(f".{name}", part) for name, part in vars(value).items()]
    held = [(f"<cached {i}>", part) for i, part in enumerate(referents(value))]
    return tuple(value.cache_info()), (), parts + held


_ITERATORS = (
    *(type(iter(kind())) for kind in (list, tuple, set, dict, str, bytes, bytearray, deque)),
    *(type(iter({}.values())), type(iter({}.items())), type(iter(range(1))), type(reversed([])), type(iter(int, 1))),
    *(enumerate, zip, map, filter, reversed),
    *(v for v in vars(itertools).values() if isinstance(v, type)),
)


def is_iterator(value: Any) -> bool:
    return isinstance(value, _ITERATORS)


def of_iterator(value: Any) -> Described:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            state = frozen(value.__reduce__()[1:])
        except (TypeError, AttributeError):
            state = plain_repr(value)
    if isinstance(value, enumerate | zip):  # without the tuple that they give again where nobody else holds it
        held = list(value.__reduce__()[1])
    else:
        held = [] if isinstance(value, itertools.count) else referents(value)
    return _without_ids(state), (), [(f"<{i}>", part) for i, part in enumerate(held)]


def _without_ids(state: Any) -> Any:
    """Objects inside by their class alone: they are walked as parts."""
    if isinstance(state, tuple):
        return state[:2] if state[:1] == ("object",) else tuple(map(_without_ids, state))
    return state


def _generator(value: types.GeneratorType) -> Described:
    frame = value.gi_frame
    if frame is None:
        return "finished", (), []
    inner = [(f"<{name}>", part) for name, part in frame.f_locals.items()]
    return (value.__qualname__, frame.f_lasti), (), [*inner, ("<from>", value.gi_yieldfrom)]


def _weakref(value: Any) -> Described:
    target = value()
    return ("dead" if target is None else "alive"), (), [("()", target)]


def _file(value: Any) -> Described:
    if value.closed:
        return "closed", (), []
    if isinstance(value, io.StringIO | io.BytesIO):
        return (value.tell(), value.getvalue()), (), []
    place = value.tell() if value.seekable() else None
    held = os.pread(value.fileno(), 1 << 24, 0) if value.seekable() and value.readable() else None
    return (place, held), (value.fileno(),), []


def _script(value: torch.jit.ScriptModule) -> Described:
    if not hasattr(value, "_concrete_type"):
        return "half built", (), []
    names = [*value._concrete_type.get_attributes()]
    own = tuple((name, frozen(value._c.getattr(name))) for name in names)
    return own, (), [(f".{name}", part) for name, part in [*value._parameters.items(), *value._buffers.items()]]


def _accessor(value: Any) -> Described:
    if isinstance(value, property):
        return "property", (), [(".fget", value.fget), (".fset", value.fset), (".fdel", value.fdel)]
    return type(value).__qualname__, (), [(".func", value.func if hasattr(value, "func") else value.__func__)]


def _handle(value: RemovableHandle) -> Described:
    return (
        "handle",
        (value.id,),
        [(".hooks", value.hooks_dict_ref()), *((".also", ref()) for ref in value.extra_dict_ref)],
    )


def _method(value: Any) -> Described:
    return "method", (), [(".__self__", value.__self__), (".__func__", value.__func__)]


def _partial(value: Any) -> Described:
    return "partial", (), [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]


KINDS: list[tuple[Any, Any]] = [
    (torch.Tensor, _tensor),
    (torch.jit.RecursiveScriptModule, _script),
    (np.ndarray, _array),
    (RemovableHandle, _handle),
    (dict, _dict),
    (types.MappingProxyType, lambda v: _dict(dict(v))),
    (list | tuple | deque, _sequence),
    (set | frozenset, _set),
    (types.FunctionType, _function),
    (types.CellType, _cell),
    (types.MethodType, _method),
    (types.BuiltinMethodType | types.MethodWrapperType, lambda v: ("bound", (), [(".__self__", v.__self__)])),
    (BufferWrapper, lambda v: ("a place in shared memory", (), [])),
    (mmap.mmap, lambda v: (bytes(v[:]), (), [])),
    (sqlite3.Connection, lambda v: (tuple(v.iterdump()), (), [])),
    (np.random.SeedSequence, lambda v: (v.n_children_spawned, (), [])),
    (property | functools.cached_property | staticmethod | classmethod, _accessor),
    (functools.partial, _partial),
    (types.GeneratorType, _generator),
    (weakref.ReferenceType, _weakref),
    (torch.Generator, lambda v: (tensor_bytes(v.get_state()), (), [])),
    (
        np.random.Generator,
        lambda v: ("generator", (), [(".bit_generator", v.bit_generator), (".seeds", v.bit_generator.seed_seq)]),
    ),
    (np.random.BitGenerator, lambda v: (frozen(v.state), (), [])),
    (np.random.RandomState, lambda v: (frozen(v.get_state(legacy=False)), (), [])),
    (random.Random, lambda v: (frozen(v.getstate()), (), [])),
    (array.array, lambda v: ((v.typecode, v.tobytes()), (), [])),
    (bytearray, lambda v: (bytes(v), (), [])),
    (memoryview, lambda v: (v.tobytes(), (), [(".obj", v.obj)])),
    (ctypes._SimpleCData | ctypes.Array | ctypes.Structure, lambda v: (bytes(v), (), [])),
    (io.IOBase, _file),
    (queue.SimpleQueue, lambda v: (v.qsize(), (), [(f"<{i}>", part) for i, part in enumerate(referents(v))])),
    (contextvars.ContextVar, lambda v: ("variable", (), [(".value", v.get(None))])),
    (type(threading.Lock()), lambda v: (v.locked(), (), [])),
]
