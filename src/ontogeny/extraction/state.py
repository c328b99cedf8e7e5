"""Everything that can be reached from a model, saved by content and put back in place.

Reached are: every module with its attributes, parameters, buffers and hooks; tensors, arrays and containers in these;
random number generators; plain objects and functions that modules hold, to a depth of eight; data attributes of the
modules' own classes. Not followed, since they belong to the program around the model: trainers, loggers, optimizers,
threads, process groups, tokenizers.
"""

from __future__ import annotations

import _thread
import array
import collections
import contextvars
import copy
import ctypes
import enum
import functools
import io
import itertools
import queue
import random
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data.dataloader import _BaseDataLoaderIter

from ontogeny.extraction import _saved
from ontogeny.extraction._saved import CannotRestoreError

__all__ = ["SavedState", "first_uninitialised", "tensor_parts"]

_DEPTH = 8
_LONGEST = 100_000
_ATOMS = frozenset(
    (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, torch.dtype, torch.device, torch.Size)
)
_CONTAINERS = (dict, list, tuple, set, frozenset, collections.deque)
_SIMPLE: tuple[type, ...] = (
    *(itertools.count, itertools.repeat, type(iter([])), type(iter(())), type(iter(range(0))), type(iter(""))),
)
_COMPOSED: tuple[type, ...] = (
    *(itertools.cycle, itertools.chain, itertools.islice, itertools.accumulate, itertools.starmap, enumerate, zip),
    *(map, filter, reversed, type(itertools.tee(())[0]), type(iter(set()))),
    *(type(iter({})), type(iter({}.items())), type(iter({}.values()))),
)
_MADE_ANEW = (functools._lru_cache_wrapper, np.random.SeedSequence)
_FRAGILE = (*_SIMPLE, *_COMPOSED, types.GeneratorType, queue.SimpleQueue, io.IOBase, *_MADE_ANEW)
_OUTSIDE = (
    *("ontogeny", "lightning", "pytorch_lightning", "lightning_fabric", "accelerate", "deepspeed", "ray"),
    *("wandb", "mlflow", "tensorboard", "aim", "comet_ml", "neptune", "clearml", "tqdm", "rich", "logging"),
    *("threading", "multiprocessing", "concurrent", "asyncio", "subprocess", "socket", "io", "os", "sys", "pathlib"),
    *("tokenizers", "datasets", "pyarrow", "pandas", "re", "importlib", "inspect", "typing", "enum", "ast", "abc"),
)
_OUTSIDE_BASES = (*("torch.distributed", "torch._dynamo", "torch._inductor", "torch.fx", "threading", "logging"),)
_LIBRARIES = (
    *("torch", "lightning", "pytorch_lightning", "transformers", "numpy", "scipy", "collections", "functools", "abc"),
    *("builtins", "typing", "threading", "_thread", "queue", "weakref", "dataclasses", "itertools", "random", "enum"),
)
_EXACT = (enum.Enum, type, types.ModuleType, types.BuiltinFunctionType, property, _BaseDataLoaderIter)


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
        self.generators: list[_saved.SavedRandom] = []
        self.changed_parameters: set[int] = set()
        self._copied = copied
        self._fragile: list[tuple[str, Callable[[Any], None]]] = []
        self._standing: list[Any] = []
        self._entries: list[tuple[str, _saved.Saved]] = []
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
        unused = {name for (name, _), item in zip(self._fragile, self._standing, strict=True) if _is_unused(item)}
        with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, entry in self._entries:
                if parameters is not None and _saved.is_parameter(entry) and id(entry.live) not in parameters:
                    continue
                try:
                    different = entry.restore()
                except CannotRestoreError as error:
                    self.lost[name] = str(error)
                except Exception as error:  # noqa: BLE001 - named, and the others are put back all the same
                    self.lost[name] = f"{type(error).__name__}: {error}"
                else:
                    if different and _saved.is_parameter(entry):
                        self.changed_parameters.add(id(entry.live))
                    changed.update(dict.fromkeys(_joined(name, key) if key != "" else name for key in different))
        return [name for name in changed if name not in unused]

    def _visit(self, name: str, item: Any, depth: int) -> None:
        if type(item) in _ATOMS or id(item) in self._seen or isinstance(item, _EXACT):
            return
        self._seen[id(item)] = item
        if isinstance(item, Tensor):
            self._tensor(name, item, depth)
        elif isinstance(item, _CONTAINERS):
            self._container(name, item, depth)
        elif (leaf := _leaf(item)) is not None:
            self._entries.append((name, leaf))
            if isinstance(leaf, _saved.SavedRandom):
                self.generators.append(leaf)
            if isinstance(item, np.ndarray) and item.dtype.hasobject:
                self._todo.append((name, item.ravel().tolist(), depth))
        elif isinstance(item, nn.Module) or depth < _DEPTH:
            self._object(name, item, depth)

    def _tensor(self, name: str, tensor: Tensor, depth: int) -> None:
        if torch.nn.parameter.is_lazy(tensor):
            return
        parts = tensor_parts(tensor)
        if parts is None:
            self._entries.append((name, _saved.SavedTensor(tensor, copy=self._copied(tensor))))
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
            self._entries.append((name, _saved.SavedDict(item)))
            pairs: Iterator[tuple[Any, Any]] = iter(list(dict.items(item)))
            self._note_fragile(name, dict.items(item), functools.partial(dict.__setitem__, item))
        else:
            if isinstance(item, list | collections.deque):
                self._entries.append((name, _saved.SavedSequence(item)))
                self._note_fragile(name, enumerate(item), item.__setitem__)
            elif isinstance(item, set):
                self._entries.append((name, _saved.SavedSet(item)))
            pairs = enumerate(item)
        if len(item) <= _LONGEST:
            for key, value in pairs:
                if type(value) not in _ATOMS:
                    self._todo.append((_joined(name, key), value, depth))

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
        self.put([_stand_in(name, original) for (name, _), original in pairs])
        return originals

    def put(self, standing: list[Any]) -> None:
        """Put these in place of what can be copied but not wound back."""
        self._standing = standing
        for (_, put), item in zip(self._fragile, standing, strict=True):
            put(item)

    def _note_fragile(self, name: str, pairs: Any, put: Callable[[Any, Any], None]) -> None:
        for key, value in pairs:
            if isinstance(value, _FRAGILE) and not (isinstance(value, io.IOBase) and _is_read(value)):
                self._fragile.append((_joined(name, key), functools.partial(put, key)))
                self._standing.append(value)
                self._seen[id(value)] = value

    def _attributes(self, name: str, owner: Any, attributes: dict[Any, Any], depth: int) -> None:
        self._seen[id(attributes)] = attributes
        self._entries.append((name, _saved.SavedAttributes(owner, attributes)))
        self._note_fragile(name, dict.items(attributes), functools.partial(dict.__setitem__, attributes))
        module = isinstance(owner, nn.Module)
        for key, value in list(attributes.items()):
            if type(value) in _ATOMS:
                continue
            plain = module and key in ("_parameters", "_buffers", "_modules")
            self._todo.append((name if plain else _joined(name, key), value, depth))

    def _object(self, name: str, item: Any, depth: int) -> None:
        deeper = depth if isinstance(item, nn.Module) else depth + 1
        if isinstance(item, types.FunctionType | types.MethodType | functools.partial):
            self._function(name, item, deeper)
        elif isinstance(item, torch.jit.ScriptModule):
            self._entries.append((name, _saved.SavedScript(item)))
            for key, value in (*item.named_parameters(), *item.named_buffers()):
                self._todo.append((_joined(name, key), value, depth))
        elif id(item) in self._roots or not _is_outside(item):
            self._plain(name, item, deeper)

    def _plain(self, name: str, item: Any, deeper: int) -> None:
        """A module, or an object of any other class."""
        if (attributes := _attributes_of(item)) is not None:
            self._attributes(name, item, attributes, deeper)
        if slots := _slots_of(item):
            self._entries.append((name, _saved.SavedSlots(item, slots)))
            for slot in slots:
                self._todo.append((_joined(name, slot), getattr(item, slot, None), deeper))
        for cls in type(item).__mro__:
            if cls.__module__.partition(".")[0] not in _LIBRARIES and id(cls) not in self._seen:
                self._class(cls, deeper)

    def _class(self, cls: type, depth: int) -> None:
        self._seen[id(cls)] = cls
        self._entries.append((cls.__qualname__, _saved.SavedClass(cls, _is_data)))
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
        if item.__module__ and item.__module__.partition(".")[0] in _LIBRARIES:
            return
        variables = item.__code__.co_freevars
        for variable, cell in zip(variables, item.__closure__ or (), strict=False):
            if id(cell) in self._seen:
                continue
            self._seen[id(cell)] = cell
            entry = _saved.SavedCell(cell)
            self._entries.append((_joined(name, variable), entry))
            self._todo.append((_joined(name, variable), entry.value, depth))
        self._todo.append((name, (item.__defaults__, item.__kwdefaults__), depth))
        self._variables(item, depth)
        self._attributes(name, item, item.__dict__, depth)

    def _variables(self, function: types.FunctionType, depth: int) -> None:
        """Data among the global variables that a function of the program's own uses."""
        scope = function.__globals__
        names = [n for n in _names(function.__code__) if n in scope and _is_state(scope[n])]
        if names:
            where = str(scope.get("__name__", ""))
            self._entries.append((where, _saved.SavedVariables(scope, names)))
            pairs = [(n, scope[n]) for n in names]
            self._note_fragile(where, pairs, functools.partial(dict.__setitem__, scope))
            self._todo.extend((_joined(where, n), value, depth) for n, value in pairs)


def _names(code: types.CodeType) -> set[str]:
    """Names that a function's code and that of functions inside it use."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*(_names(c) for c in inner))


def _is_state(value: Any) -> bool:
    """Whether a global variable is data, not a part of the program."""
    if isinstance(value, functools._lru_cache_wrapper):
        return True
    return not (isinstance(value, type | types.ModuleType) or callable(value)) or isinstance(value, nn.Module)


def _stand_in(name: str, original: Any) -> Any:
    if isinstance(original, _saved.Tripwire):
        return original
    try:
        return _copied(original)
    except TypeError:
        return _saved.Tripwire(name, type(original).__name__)


def _is_unused(stand_in: Any) -> bool:
    """Whether a copy of a cached function was never called."""
    return isinstance(stand_in, functools._lru_cache_wrapper) and not any(stand_in.cache_info()[:2])


def _copied(original: Any) -> Any:
    """Another one that goes on from the same place.

    Raises:
        TypeError: it cannot be copied.
    """
    if isinstance(original, functools._lru_cache_wrapper):
        return functools.lru_cache(**original.cache_parameters())(original.__wrapped__)
    if isinstance(original, io.IOBase):
        return io.StringIO() if isinstance(original, io.TextIOBase) else io.BytesIO()
    if isinstance(original, queue.SimpleQueue):
        raise TypeError("a queue has no copy")
    return copy.copy(original) if isinstance(original, _SIMPLE) else copy.deepcopy(original)


def _is_read(file: io.IOBase) -> bool:
    """Whether a file is open for reading, or in memory: its position and content are put back."""
    return file.closed or isinstance(file, io.BytesIO | io.StringIO) or not file.writable()


def _joined(name: str, key: Any) -> str:
    if not isinstance(key, str):
        return f"{name}[{key if isinstance(key, int) else type(key).__name__}]"
    return f"{name}.{key}" if name else key


_LEAVES: tuple[tuple[tuple[type, ...], Callable[[Any], _saved.Saved]], ...] = (
    ((torch.Generator, np.random.RandomState, np.random.BitGenerator, random.Random), _saved.SavedRandom),
    ((np.random.Generator,), lambda item: _saved.SavedRandom(item.bit_generator)),
    ((bytearray, array.array), _saved.SavedBytes),
    ((types.GeneratorType,), _saved.SavedSteps),
    ((functools._lru_cache_wrapper,), _saved.SavedCache),
    ((contextvars.ContextVar,), _saved.SavedContext),
    ((ctypes.Structure, ctypes.Array, ctypes._SimpleCData), _saved.SavedC),
)


def _leaf(item: Any) -> _saved.Saved | None:
    """What is saved without looking further into it."""
    if isinstance(item, np.ndarray):
        return _saved.SavedArray(item) if item.flags.writeable else None
    if isinstance(item, io.IOBase):
        return _saved.SavedFile(item) if not item.closed and item.seekable() else None
    if isinstance(item, random.SystemRandom):
        return None
    return next((saved(item) for kinds, saved in _LEAVES if isinstance(item, kinds)), None)


def _is_data(name: str, value: Any) -> bool:
    """Whether a class attribute is data of its own, not part of how the class is made."""
    if isinstance(value, functools._lru_cache_wrapper):
        return True
    made = isinstance(value, types.FunctionType | classmethod | staticmethod | property | type)
    return not (name.startswith(("__", "_abc_")) or made or hasattr(type(value), "__get__"))


def _is_outside(item: Any) -> bool:
    if isinstance(item, nn.Module):
        return False
    if type(item).__module__.startswith("accelerate.hooks"):
        return False
    for cls in type(item).__mro__:
        if cls.__name__.endswith("Trainer") or cls.__module__.startswith(_OUTSIDE_BASES):
            return True
    return type(item).__module__.partition(".")[0] in _OUTSIDE


def _attributes_of(item: Any) -> dict[Any, Any] | None:
    try:
        local = isinstance(item, _thread._local)
        found = item.__dict__ if local else object.__getattribute__(item, "__dict__")
    except (AttributeError, TypeError):
        return None
    return found if type(found) is dict else None


def _slots_of(item: Any) -> list[str]:
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
