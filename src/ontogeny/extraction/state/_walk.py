"""Everything that can be reached from a model, saved by content and put back in place.

Reached are: every module with its attributes, parameters, buffers and hooks; tensors, arrays and containers in these;
random number generators; plain objects and functions that modules hold; what functions of the user's program use by
name: variables, functions, classes with their data attributes, also of other modules of the program; hooks of all
modules and modes of torch. Not followed, since they belong to the program around the model: trainers, loggers, threads,
process groups, tokenizers; and the insides of installed libraries.
"""

from __future__ import annotations

import collections
import functools
import mmap
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from ontogeny.extraction.state._code import SavedCell, SavedClass, SavedVariables
from ontogeny.extraction.state._containers import SavedAttributes, SavedDict, SavedSequence, SavedSet, SavedSlots
from ontogeny.extraction.state._entry import Saved
from ontogeny.extraction.state._foreign import SavedScript
from ontogeny.extraction.state._kinds import (
    ATOMS,
    CONTAINERS,
    EXACT,
    LEADING,
    attributes_of,
    is_data,
    is_installed,
    is_library,
    is_outside,
    is_state,
    joined,
    leads_to,
    leaf,
    names,
    slots_of,
    tensor_parts,
)
from ontogeny.extraction.state._random import SavedRandom
from ontogeny.extraction.state._stand_ins import cached_results, is_fragile
from ontogeny.extraction.state._values import SavedTensor, is_leaf

__all__ = ["Walk", "quietly"]

_LONG = 1000
_PROGRAM = (type, types.ModuleType, types.FunctionType, *LEADING)


class Walk:
    """From some objects to everything that can be reached from them.

    Args:
        roots: models, or anything else.
        copied: whether the values of a tensor or array are copied, asked for each.

    Attributes:
        entries: what was saved, by name.
        fragile: what can be copied but not wound back: name, and what puts another in its place.
        standing: what stands there.
        seen: every object that was reached, by its id.
        generators: of random numbers.
    """

    def __init__(self, roots: Sequence[Any], copied: Callable[[Any], bool]) -> None:
        self.entries: list[tuple[str, Saved]] = []
        self.fragile: list[tuple[str, Callable[[Any], None]]] = []
        self.standing: list[Any] = []
        self.seen: dict[int, Any] = {}
        self.generators: list[SavedRandom] = []
        self._copied = copied
        self._seen_classes: set[int] = set()
        self._todo: collections.deque[tuple[str, Any]] = collections.deque(("", root) for root in roots)
        self._roots = {id(root) for root in roots}
        if any(isinstance(root, nn.Module) for root in roots):
            self._todo.append(("torch", _around_all_modules()))
        with quietly():
            while self._todo:
                self._visit(*self._todo.popleft())

    def _visit(self, name: str, item: Any) -> None:
        if type(item) in ATOMS or id(item) in self.seen or isinstance(item, EXACT):
            return
        self.seen[id(item)] = item
        if isinstance(item, _PROGRAM):
            self._program(name, item)
        elif isinstance(item, Tensor):
            self._tensor(name, item)
        elif isinstance(item, CONTAINERS):
            self._container(name, item)
            self._own(name, item)
        elif (saved := leaf(item, self._copied)) is not None:
            self._leaf(name, item, saved)
        elif isinstance(item, torch.jit.ScriptModule):
            self.entries.append((name, SavedScript(item)))
            both = (*item.named_parameters(), *item.named_buffers())
            self._todo.extend((joined(name, key), value) for key, value in both)
        elif id(item) in self._roots or not is_outside(item):
            self._own(name, item)

    def _program(self, name: str, item: Any) -> None:
        """Classes, modules and functions, and what only leads to something else."""
        if isinstance(item, type):
            self._classes(item.__mro__)
        elif isinstance(item, types.ModuleType):
            if not is_installed(item.__name__):
                self._scope(item.__dict__, [n for n, value in vars(item).items() if is_state(value)])
        elif isinstance(item, types.FunctionType):
            self._function(name, item)
        else:
            self._todo.extend((name, part) for part in leads_to(item))

    def _leaf(self, name: str, item: Any, saved: Saved) -> None:
        self.entries.append((name, saved))
        if isinstance(saved, SavedRandom):
            self.generators.append(saved)
            self._todo.append((name, getattr(saved.live, "seed_seq", None)))
        if isinstance(item, np.ndarray):
            if item.dtype.hasobject:
                self._todo.append((name, item.ravel().tolist()))
            self.seen.update({id(item.base): item.base} if isinstance(item.base, mmap.mmap) else {})
        if isinstance(item, functools._lru_cache_wrapper):
            self._todo.append((name, list((cached_results(item) or {}).values())))
            self._todo.append((name, item.__wrapped__))
        self._own(name, item)

    def _tensor(self, name: str, tensor: Tensor) -> None:
        if torch.nn.parameter.is_lazy(tensor):
            return
        parts = tensor_parts(tensor)
        if parts is None:
            self.entries.append((name, SavedTensor(tensor, copy=self._copied(tensor))))
            if is_leaf(tensor) and tensor.grad is not None:
                self._todo.append((f"{name}.grad", tensor.grad))
        for part, inner in (parts or {}).items():
            self._todo.append((f"{name}.{part}", inner))
        for hooks in (tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None)):
            if hooks is not None:
                self._todo.append((f"{name} hooks", hooks))
        if attributes := getattr(tensor, "__dict__", None):
            self._attributes(name, tensor, attributes)

    def _container(self, name: str, item: Any) -> None:
        if isinstance(item, dict):
            self.entries.append((name, SavedDict(item)))
            pairs: Iterable[tuple[Any, Any]] = list(dict.items(item))
            self._note_fragile(name, pairs, functools.partial(dict.__setitem__, item))
        else:
            if isinstance(item, list | collections.deque):
                self.entries.append((name, SavedSequence(item)))
            elif isinstance(item, set):
                self.entries.append((name, SavedSet(item)))
            if len(item) > _LONG and set(map(type, item)) <= ATOMS:
                return
            pairs = enumerate(item)
            if isinstance(item, list | collections.deque):
                self._note_fragile(name, enumerate(item), item.__setitem__)
        for key, value in pairs:
            if type(value) not in ATOMS:
                self._todo.append((joined(name, key), value))

    def _note_fragile(self, name: str, pairs: Any, put: Callable[[Any, Any], None]) -> None:
        for key, value in pairs:
            if type(value) not in ATOMS and is_fragile(value):
                self.fragile.append((joined(name, key), functools.partial(put, key)))
                self.standing.append(value)
                if not isinstance(value, functools._lru_cache_wrapper | tuple):
                    self.seen[id(value)] = value

    def _attributes(self, name: str, owner: Any, attributes: dict[Any, Any]) -> None:
        self.seen[id(attributes)] = attributes
        self.entries.append((name, SavedAttributes(owner, attributes)))
        self._note_fragile(name, dict.items(attributes), functools.partial(dict.__setitem__, attributes))
        module = isinstance(owner, nn.Module)
        for key, value in list(attributes.items()):
            if type(value) in ATOMS:
                continue
            plain = module and key in ("_parameters", "_buffers", "_modules")
            self._todo.append((name if plain else joined(name, key), value))

    def _own(self, name: str, item: Any) -> None:
        """Attributes and slots of an object, and what its class holds."""
        if type(item).__module__ == "builtins":
            return
        if (attributes := attributes_of(item)) is not None:
            self._attributes(name, item, attributes)
        if slots := slots_of(item):
            self.entries.append((name, SavedSlots(item, slots)))
            for slot in slots:
                self._todo.append((joined(name, slot), getattr(item, slot, None)))
        self._classes(type(item).__mro__)

    def _classes(self, several: Iterable[type]) -> None:
        for cls in several:
            if id(cls) not in self._seen_classes:
                self._seen_classes.add(id(cls))
                if not is_library(cls.__module__):
                    self._class(cls)

    def _class(self, cls: type) -> None:
        self.seen[id(cls)] = cls
        self._classes(type(cls).mro(type(cls)))
        self.entries.append((cls.__qualname__, SavedClass(cls, is_data)))
        self._note_fragile(cls.__qualname__, list(vars(cls).items()), functools.partial(type.__setattr__, cls))
        for key, value in list(vars(cls).items()):
            if isinstance(value, staticmethod | classmethod):
                value = value.__func__
            if not key.startswith("__") or isinstance(value, types.FunctionType):
                self._todo.append((f"{cls.__qualname__}.{key}", value))

    def _function(self, name: str, item: types.FunctionType) -> None:
        if is_library(item.__module__):
            return
        variables = item.__code__.co_freevars
        for variable, cell in zip(variables, item.__closure__ or (), strict=False):
            if id(cell) in self.seen:
                continue
            self.seen[id(cell)] = cell
            entry = SavedCell(cell)
            self.entries.append((joined(name, variable), entry))
            self._todo.append((joined(name, variable), entry.value))
        self._todo.append((name, (item.__defaults__, item.__kwdefaults__)))
        self._variables(item)
        self._attributes(name, item, item.__dict__)

    def _variables(self, function: types.FunctionType) -> None:
        """What a function uses by name: data; of the user's program also functions, classes, and other modules'."""
        scope, used = function.__globals__, names(function.__code__)
        if is_installed(function.__module__):
            self._scope(scope, [n for n in used if n in scope and is_state(scope[n])])
            return
        scopes, at = [scope], 0
        while at < len(scopes):
            values = [scopes[at][n] for n in used if n in scopes[at]]
            values += [sys.modules[n] for n in used if at == 0 and n in sys.modules]  # imported in the function
            modules = [vars(m) for m in values if isinstance(m, types.ModuleType) and not is_installed(m.__name__)]
            scopes += [new for new in modules if all(new is not known for known in scopes)]
            at += 1
        for one in scopes:
            there = [n for n in used if n in one and not isinstance(one[n], types.ModuleType)]
            self._scope(one, there, [n for n in used if n not in one] if one is scope else ())

    def _scope(self, scope: dict[str, Any], used: Iterable[str], absent: Iterable[str] = ()) -> None:
        """Some of the variables of a module."""
        where, used, absent = str(scope.get("__name__", "")), list(used), list(absent)
        if used or absent:
            self.entries.append((where, SavedVariables(scope, used, absent)))
        pairs = [(n, scope[n]) for n in used]
        self._note_fragile(where, pairs, functools.partial(dict.__setitem__, scope))
        self._todo.extend((joined(where, n), value) for n, value in pairs if type(value) not in ATOMS)


def _around_all_modules() -> list[Any]:
    """Hooks of all modules, and the modes that are on."""
    hooks = [value for name, value in vars(torch.nn.modules.module).items() if name.startswith("_global_")]
    modes: list[Any] = list(_get_current_dispatch_mode_stack())
    return [*hooks, *modes, *_get_current_function_mode_stack()]  # type: ignore[no-untyped-call]


@contextmanager
def quietly() -> Iterator[None]:
    """Looking at objects neither makes a graph, nor runs their own code for tensors, nor warns."""
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
