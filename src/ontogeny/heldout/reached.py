"""What a loader holds: its random generators, loaders inside it, and iterators that reading would use up."""

from __future__ import annotations

import collections
import functools
import io
import random
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["is_loader", "is_used_up", "preserved", "reached", "seed_generators"]

_DEPTH = 10
_LOOKED_AT = 1000
_LEAVES = (str, bytes, int, float, complex, type(None), type, types.ModuleType, Tensor, np.ndarray, nn.Module)
_SEQUENCES = (list, tuple, set, frozenset, collections.deque)
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def reached(root: Any) -> list[tuple[str, Any]]:
    """Objects that can be reached from `root` by attributes, items and closures, itself first, each with its path.

    Tensors, arrays and models are not looked into, nor what a data loader's workers are doing at the moment.
    """
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()
    todo = collections.deque([("the loader", root, 0)])
    while todo:
        path, item, depth = todo.popleft()
        if id(item) in seen or isinstance(item, _LEAVES):
            continue
        seen.add(id(item))
        found.append((path, item))
        if depth < _DEPTH and not isinstance(item, _GENERATORS):
            todo.extend((f"{path}{name}", value, depth + 1) for name, value in _inside(item))
    return found


def _inside(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, dict):
        yield from ((f"[{key!r}]", item[key]) for key in list(item)[:_LOOKED_AT])
    elif isinstance(item, _SEQUENCES):
        yield from ((f"[{i}]", value) for i, value in zip(range(_LOOKED_AT), item, strict=False))
    elif isinstance(item, types.MethodType | types.FunctionType | functools.partial):
        yield from _inside_function(item)
    for name, value in list(_attributes(item).items()):
        if not (name == "_iterator" and is_loader(item)):
            yield f".{name}", value


def _inside_function(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, types.MethodType):
        yield from ((".__self__", item.__self__), ("", item.__func__))
    elif isinstance(item, functools.partial):
        yield from (("", item.func), ("", item.args), ("", item.keywords))
    else:
        for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
            if _is_filled(cell):
                yield f".{name}", cell.cell_contents


def _attributes(item: Any) -> dict[str, Any]:
    own = getattr(item, "__dict__", {})
    slots = [n for c in type(item).__mro__ for n, v in vars(c).items() if isinstance(v, types.MemberDescriptorType)]
    more = {name: getattr(item, name) for name in slots if hasattr(item, name)}
    return {**(own if isinstance(own, dict) else {}), **more}


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def is_loader(item: Any) -> bool:
    """Whether the object is a data loader of torch, or made like one, which may keep its workers."""
    return {"_iterator", "persistent_workers"} <= _own(item).keys()


def _own(item: Any) -> dict[str, Any]:
    own = getattr(item, "__dict__", None)
    return own if isinstance(own, dict) else {}


def is_used_up(item: Any) -> bool:
    """Whether reading the object moves it on for good; a file can be put back to where it stood."""
    return isinstance(item, Iterator) and not isinstance(item, io.IOBase)


def seed_generators(root: Any, seed: int) -> None:
    """Begin all random generators that can be reached anew, as another process would."""
    for _, item in reached(root):
        if isinstance(item, torch.Generator):
            item.manual_seed(seed)
        elif isinstance(item, np.random.Generator):
            bits = item.bit_generator
            bits.state = type(bits)(seed).state
        elif isinstance(item, np.random.RandomState | random.Random):
            item.seed(seed)


# --- A stand-in, to be replaced by `ontogeny.extraction.state.preserved`, which keeps tensors and arrays too. ---------


@contextmanager
def preserved(*roots: Any) -> Iterator[None]:
    """Put generators, containers and attributes that can be reached back as they were."""
    kept = [_kept(item) for root in roots for _, item in reached(root)]
    try:
        yield
    finally:
        for restore in kept:
            restore()


def _kept(item: Any) -> Any:
    if isinstance(item, _GENERATORS):
        return _kept_generator(item)
    if isinstance(item, list | collections.deque):
        return functools.partial(_refill, item, item.extend, list(item))
    if isinstance(item, set | dict):
        return functools.partial(_refill, item, item.update, item.copy())
    own = _own(item)
    return functools.partial(_refill, own, own.update, dict(own)) if own else lambda: None


def _kept_generator(item: Any) -> Any:
    if isinstance(item, random.SystemRandom):
        return lambda: None
    if isinstance(item, random.Random):
        return functools.partial(item.setstate, item.getstate())
    if isinstance(item, np.random.Generator):
        return functools.partial(setattr, item.bit_generator, "state", item.bit_generator.state)
    return functools.partial(item.set_state, item.get_state())


def _refill(live: Any, fill: Any, content: Any) -> None:
    live.clear()
    fill(content)
