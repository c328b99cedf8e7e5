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
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from ontogeny.extraction.state._code import SavedCell, SavedClass, SavedVariables
from ontogeny.extraction.state._containers import SavedAttributes, SavedDict, SavedSequence, SavedSet, SavedSlots
from ontogeny.extraction.state._entry import CannotRestoreError, Saved
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
from ontogeny.extraction.state._stand_ins import cached_results, is_fragile, is_unused, stand_in
from ontogeny.extraction.state._values import SavedArray, SavedTensor, is_parameter

__all__ = ["SavedState"]

_LONG = 1000
_PROGRAM = (type, types.ModuleType, types.FunctionType, *LEADING)


class SavedState:
    """What was reached from some objects, ready to be put back.

    Args:
        roots: models, or anything else.
        copied: whether the values of a tensor or array are copied, asked for each; the others are watched for changes
            alone.

    Example:
        >>> import torch
        >>> layer = torch.nn.BatchNorm1d(2)
        >>> saved = SavedState(layer)
        >>> _ = layer(torch.rand(4, 2))
        >>> sorted(saved.restore())
        ['num_batches_tracked', 'running_mean', 'running_var']
        >>> layer.num_batches_tracked.item()
        0
    """

    def __init__(self, *roots: Any, copied: Callable[[Any], bool] = lambda _: True) -> None:
        self.lost: dict[str, str] = {}
        self.generators: list[SavedRandom] = []
        self.changed: set[int] = set()
        self._copied = copied
        self._fragile: list[tuple[str, Callable[[Any], None]]] = []
        self._standing: list[Any] = []
        self._entries: list[tuple[str, Saved]] = []
        self._seen: dict[int, Any] = {}
        self._seen_classes: set[int] = set()
        self._todo: collections.deque[tuple[str, Any]] = collections.deque(("", root) for root in roots)
        self._roots = {id(root) for root in roots}
        if any(isinstance(root, nn.Module) for root in roots):
            self._todo.append(("torch", _around_all_modules()))
        with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while self._todo:
                self._visit(*self._todo.popleft())

    def __contains__(self, item: Any) -> bool:
        return id(item) in self._seen

    @property
    def fragile(self) -> bool:
        """Whether anything was reached that can be copied but not wound back."""
        return bool(self._fragile)

    def reached(self) -> list[Any]:
        """Every object that was reached."""
        return list(self._seen.values())

    def restore(self, *, parameters: set[int] | None = None) -> list[str]:
        """Put everything back; what cannot be is in `lost`, by name, with the reason.

        Args:
            parameters: ids of those that are looked at, and of other tensors without a copy; None for all.

        Returns:
            Names of what was different, "module.attribute"; it can be called again.
        """
        changed: dict[str, None] = {}
        unused = {name for (name, _), item in zip(self._fragile, self._standing, strict=True) if is_unused(item)}
        with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, entry in self._entries:
                if parameters is not None and _is_constant(entry) and id(entry.live) not in parameters:
                    continue
                try:
                    different = entry.restore()
                except CannotRestoreError as error:
                    self.lost[name] = str(error)
                except Exception as error:  # noqa: BLE001 - named, and the others are put back all the same
                    self.lost[name] = f"{type(error).__name__}: {error}"
                else:
                    if different and isinstance(entry, SavedTensor | SavedArray):
                        self.changed.add(id(entry.live))
                    changed.update(dict.fromkeys(joined(name, key) if key != "" else name for key in different))
        return [name for name in changed if name not in unused]

    def _visit(self, name: str, item: Any) -> None:
        if type(item) in ATOMS or id(item) in self._seen or isinstance(item, EXACT):
            return
        self._seen[id(item)] = item
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
            self._entries.append((name, SavedScript(item)))
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
        self._entries.append((name, saved))
        if isinstance(saved, SavedRandom):
            self.generators.append(saved)
            self._todo.append((name, getattr(saved.live, "seed_seq", None)))
        if isinstance(item, np.ndarray):
            if item.dtype.hasobject:
                self._todo.append((name, item.ravel().tolist()))
            self._seen.update({id(item.base): item.base} if isinstance(item.base, mmap.mmap) else {})
        if isinstance(item, functools._lru_cache_wrapper):
            self._todo.append((name, list((cached_results(item) or {}).values())))
            self._todo.append((name, item.__wrapped__))
        self._own(name, item)

    def _tensor(self, name: str, tensor: Tensor) -> None:
        if torch.nn.parameter.is_lazy(tensor):
            return
        parts = tensor_parts(tensor)
        if parts is None:
            self._entries.append((name, SavedTensor(tensor, copy=self._copied(tensor))))
            if tensor.is_leaf and tensor.grad is not None:
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
            self._entries.append((name, SavedDict(item)))
            pairs: Iterable[tuple[Any, Any]] = list(dict.items(item))
            self._note_fragile(name, pairs, functools.partial(dict.__setitem__, item))
        else:
            if isinstance(item, list | collections.deque):
                self._entries.append((name, SavedSequence(item)))
            elif isinstance(item, set):
                self._entries.append((name, SavedSet(item)))
            if len(item) > _LONG and set(map(type, item)) <= ATOMS:
                return
            pairs = enumerate(item)
            if isinstance(item, list | collections.deque):
                self._note_fragile(name, enumerate(item), item.__setitem__)
        for key, value in pairs:
            if type(value) not in ATOMS:
                self._todo.append((joined(name, key), value))

    def stand_in(self, originals: list[Any] | None = None) -> list[Any]:
        """Put copies in place of what can be copied but not wound back, such as iterators.

        What cannot be copied either gets a `Tripwire` in its place. `restore` puts back what was saved; `put`, what
        stood there in between.

        Args:
            originals: what the copies are made of; by default what stands there now.

        Returns:
            The originals.
        """
        originals = self._standing if originals is None else originals
        pairs = zip(self._fragile, originals, strict=True)
        self.put([stand_in(name, original) for (name, _), original in pairs])
        return originals

    def put(self, standing: list[Any]) -> None:
        """Put these in place of what can be copied but not wound back."""
        self._standing = standing
        for (_, put), item in zip(self._fragile, standing, strict=True):
            put(item)

    def _note_fragile(self, name: str, pairs: Any, put: Callable[[Any, Any], None]) -> None:
        for key, value in pairs:
            if type(value) not in ATOMS and is_fragile(value):
                self._fragile.append((joined(name, key), functools.partial(put, key)))
                self._standing.append(value)
                if not isinstance(value, functools._lru_cache_wrapper | tuple):
                    self._seen[id(value)] = value

    def _attributes(self, name: str, owner: Any, attributes: dict[Any, Any]) -> None:
        self._seen[id(attributes)] = attributes
        self._entries.append((name, SavedAttributes(owner, attributes)))
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
            self._entries.append((name, SavedSlots(item, slots)))
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
        self._seen[id(cls)] = cls
        self._classes(type(cls).mro(type(cls)))
        self._entries.append((cls.__qualname__, SavedClass(cls, is_data)))
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
            if id(cell) in self._seen:
                continue
            self._seen[id(cell)] = cell
            entry = SavedCell(cell)
            self._entries.append((joined(name, variable), entry))
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
            self._entries.append((where, SavedVariables(scope, used, absent)))
        pairs = [(n, scope[n]) for n in used]
        self._note_fragile(where, pairs, functools.partial(dict.__setitem__, scope))
        self._todo.extend((joined(where, n), value) for n, value in pairs if type(value) not in ATOMS)


def _is_constant(entry: Saved) -> TypeGuard[SavedTensor | SavedArray]:
    """A parameter, or what is so large that it has no copy."""
    return is_parameter(entry) or (isinstance(entry, SavedTensor | SavedArray) and entry.total is not None)


def _around_all_modules() -> list[Any]:
    """Hooks of all modules, and the modes that are on."""
    hooks = [value for name, value in vars(torch.nn.modules.module).items() if name.startswith("_global_")]
    modes: list[Any] = list(_get_current_dispatch_mode_stack())
    return [*hooks, *modes, *_get_current_function_mode_stack()]  # type: ignore[no-untyped-call]
