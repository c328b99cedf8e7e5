"""Everything that can be reached from a model, saved by content and put back in place.

Reached are: every module with its attributes, parameters, buffers and hooks; tensors, arrays and containers in these;
random number generators; plain objects and functions that modules hold, to a depth of eight; data attributes of the
modules' own classes. Not followed, since they belong to the program around the model: trainers, loggers, optimizers,
threads, process groups, tokenizers.
"""

from __future__ import annotations

import collections
import functools
import io
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny.extraction.state._code import SavedCell, SavedClass, SavedVariables
from ontogeny.extraction.state._containers import SavedAttributes, SavedDict, SavedSequence, SavedSet, SavedSlots
from ontogeny.extraction.state._entry import CannotRestoreError, Saved
from ontogeny.extraction.state._foreign import SavedScript
from ontogeny.extraction.state._kinds import (
    ATOMS,
    CONTAINERS,
    EXACT,
    LIBRARIES,
    attributes_of,
    is_data,
    is_outside,
    is_state,
    joined,
    leaf,
    names,
    slots_of,
    tensor_parts,
)
from ontogeny.extraction.state._random import SavedRandom
from ontogeny.extraction.state._stand_ins import FRAGILE, is_read, is_unused, stand_in
from ontogeny.extraction.state._values import SavedTensor, is_parameter

__all__ = ["SavedState"]

_DEPTH = 8
_LONGEST = 100_000


class SavedState:
    """What was reached from some objects, ready to be put back.

    Args:
        roots: models, or anything else.
        copied: whether a tensor's values are copied, asked for each; the others are watched for changes alone.

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

    def __init__(self, *roots: Any, copied: Callable[[Tensor], bool] = lambda _: True) -> None:
        self.lost: dict[str, str] = {}
        self.generators: list[SavedRandom] = []
        self.changed_parameters: set[int] = set()
        self._copied = copied
        self._fragile: list[tuple[str, Callable[[Any], None]]] = []
        self._standing: list[Any] = []
        self._entries: list[tuple[str, Saved]] = []
        self._seen: dict[int, Any] = {}
        self._todo: collections.deque[tuple[str, Any, int]] = collections.deque(("", root, 0) for root in roots)
        self._roots = {id(root) for root in roots}
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
            parameters: ids of those that are looked at; None for all.

        Returns:
            Names of what was different, "module.attribute"; it can be called again.
        """
        changed: dict[str, None] = {}
        unused = {name for (name, _), item in zip(self._fragile, self._standing, strict=True) if is_unused(item)}
        with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, entry in self._entries:
                if parameters is not None and is_parameter(entry) and id(entry.live) not in parameters:
                    continue
                try:
                    different = entry.restore()
                except CannotRestoreError as error:
                    self.lost[name] = str(error)
                except Exception as error:  # noqa: BLE001 - named, and the others are put back all the same
                    self.lost[name] = f"{type(error).__name__}: {error}"
                else:
                    if different and is_parameter(entry):
                        self.changed_parameters.add(id(entry.live))
                    changed.update(dict.fromkeys(joined(name, key) if key != "" else name for key in different))
        return [name for name in changed if name not in unused]

    def _visit(self, name: str, item: Any, depth: int) -> None:
        if type(item) in ATOMS or id(item) in self._seen or isinstance(item, EXACT):
            return
        self._seen[id(item)] = item
        if isinstance(item, Tensor):
            self._tensor(name, item, depth)
        elif isinstance(item, CONTAINERS):
            self._container(name, item, depth)
        elif (saved := leaf(item)) is not None:
            self._entries.append((name, saved))
            if isinstance(saved, SavedRandom):
                self.generators.append(saved)
            if isinstance(item, np.ndarray) and item.dtype.hasobject:
                self._todo.append((name, item.ravel().tolist(), depth))
        elif isinstance(item, nn.Module) or depth < _DEPTH:
            self._object(name, item, depth)

    def _tensor(self, name: str, tensor: Tensor, depth: int) -> None:
        if torch.nn.parameter.is_lazy(tensor):
            return
        parts = tensor_parts(tensor)
        if parts is None:
            self._entries.append((name, SavedTensor(tensor, copy=self._copied(tensor))))
            if tensor.is_leaf and tensor.grad is not None:
                self._todo.append((f"{name}.grad", tensor.grad, depth))
        for part, inner in (parts or {}).items():
            self._todo.append((f"{name}.{part}", inner, depth))
        for hooks in (tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None)):
            if hooks is not None:
                self._todo.append((f"{name} hooks", hooks, depth))
        if attributes := getattr(tensor, "__dict__", None):
            self._attributes(name, tensor, attributes, depth)

    def _container(self, name: str, item: Any, depth: int) -> None:
        if isinstance(item, dict):
            self._entries.append((name, SavedDict(item)))
            pairs: Iterator[tuple[Any, Any]] = iter(list(dict.items(item)))
            self._note_fragile(name, dict.items(item), functools.partial(dict.__setitem__, item))
        else:
            if isinstance(item, list | collections.deque):
                self._entries.append((name, SavedSequence(item)))
                self._note_fragile(name, enumerate(item), item.__setitem__)
            elif isinstance(item, set):
                self._entries.append((name, SavedSet(item)))
            pairs = enumerate(item)
        if len(item) <= _LONGEST:
            for key, value in pairs:
                if type(value) not in ATOMS:
                    self._todo.append((joined(name, key), value, depth))

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
            if isinstance(value, FRAGILE) and not (isinstance(value, io.IOBase) and is_read(value)):
                self._fragile.append((joined(name, key), functools.partial(put, key)))
                self._standing.append(value)
                self._seen[id(value)] = value

    def _attributes(self, name: str, owner: Any, attributes: dict[Any, Any], depth: int) -> None:
        self._seen[id(attributes)] = attributes
        self._entries.append((name, SavedAttributes(owner, attributes)))
        self._note_fragile(name, dict.items(attributes), functools.partial(dict.__setitem__, attributes))
        module = isinstance(owner, nn.Module)
        for key, value in list(attributes.items()):
            if type(value) in ATOMS:
                continue
            plain = module and key in ("_parameters", "_buffers", "_modules")
            self._todo.append((name if plain else joined(name, key), value, depth))

    def _object(self, name: str, item: Any, depth: int) -> None:
        deeper = depth if isinstance(item, nn.Module) else depth + 1
        if isinstance(item, types.FunctionType | types.MethodType | functools.partial):
            self._function(name, item, deeper)
        elif isinstance(item, torch.jit.ScriptModule):
            self._entries.append((name, SavedScript(item)))
            for key, value in (*item.named_parameters(), *item.named_buffers()):
                self._todo.append((joined(name, key), value, depth))
        elif id(item) in self._roots or not is_outside(item):
            self._plain(name, item, deeper)

    def _plain(self, name: str, item: Any, deeper: int) -> None:
        """A module, or an object of any other class."""
        if (attributes := attributes_of(item)) is not None:
            self._attributes(name, item, attributes, deeper)
        if slots := slots_of(item):
            self._entries.append((name, SavedSlots(item, slots)))
            for slot in slots:
                self._todo.append((joined(name, slot), getattr(item, slot, None), deeper))
        for cls in type(item).__mro__:
            if cls.__module__.partition(".")[0] not in LIBRARIES and id(cls) not in self._seen:
                self._class(cls, deeper)

    def _class(self, cls: type, depth: int) -> None:
        self._seen[id(cls)] = cls
        self._entries.append((cls.__qualname__, SavedClass(cls, is_data)))
        self._note_fragile(cls.__qualname__, list(vars(cls).items()), functools.partial(type.__setattr__, cls))
        for key, value in list(vars(cls).items()):
            if isinstance(value, staticmethod | classmethod):
                value = value.__func__
            if not key.startswith("__") or isinstance(value, types.FunctionType):
                self._todo.append((f"{cls.__qualname__}.{key}", value, depth))

    def _function(self, name: str, item: Any, depth: int) -> None:
        if isinstance(item, types.MethodType):
            self._todo.extend([(name, item.__self__, depth), (name, item.__func__, depth)])
            return
        if isinstance(item, functools.partial):
            self._todo.append((name, (item.func, item.args, item.keywords), depth))
            return
        if item.__module__ and item.__module__.partition(".")[0] in LIBRARIES:
            return
        variables = item.__code__.co_freevars
        for variable, cell in zip(variables, item.__closure__ or (), strict=False):
            if id(cell) in self._seen:
                continue
            self._seen[id(cell)] = cell
            entry = SavedCell(cell)
            self._entries.append((joined(name, variable), entry))
            self._todo.append((joined(name, variable), entry.value, depth))
        self._todo.append((name, (item.__defaults__, item.__kwdefaults__), depth))
        self._variables(item, depth)
        self._attributes(name, item, item.__dict__, depth)

    def _variables(self, function: types.FunctionType, depth: int) -> None:
        """Data among the global variables that a function of the program's own uses."""
        scope = function.__globals__
        used = [n for n in names(function.__code__) if n in scope and is_state(scope[n])]
        if used:
            where = str(scope.get("__name__", ""))
            self._entries.append((where, SavedVariables(scope, used)))
            pairs = [(n, scope[n]) for n in used]
            self._note_fragile(where, pairs, functools.partial(dict.__setitem__, scope))
            self._todo.extend((joined(where, n), value, depth) for n, value in pairs)
