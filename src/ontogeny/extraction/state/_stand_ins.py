"""Copies that stand in, while a model is read, for what can be copied but not wound back."""

from __future__ import annotations

import copy
import functools
import gc
import io
import itertools
import queue
import types
import warnings
import weakref
from typing import Any

from ontogeny.extraction.state._entry import CannotRestoreError

__all__ = ["Tripwire", "cached_results", "is_fragile", "is_read", "is_unused", "stand_in"]

_MADE_ANEW = (functools._lru_cache_wrapper, queue.SimpleQueue, types.GeneratorType)
_CONNECTIONS = ("sqlite3", "_sqlite3")
_MOST = 100
_SHARING: tuple[type, ...] = (
    itertools.count,
    itertools.repeat,
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
)


def is_fragile(item: Any) -> bool:
    """Whether something can at best be copied, but not wound back: iterators, caches, queues, files, connections."""
    if type(item) in weakref.ProxyTypes:
        return False
    if isinstance(item, tuple):
        return len(item) <= _MOST and any(map(is_fragile, item))
    if isinstance(item, io.IOBase):
        return not is_read(item)
    if isinstance(item, _MADE_ANEW) or type(item).__module__ in _CONNECTIONS:
        return True
    if isinstance(item, types.MethodWrapperType | types.BuiltinFunctionType):
        return is_fragile(item.__self__)
    return isinstance(getattr(type(item), "__next__", None), types.WrapperDescriptorType)


class Tripwire:
    """Stands in for what can neither be copied nor put back: whoever uses it while a model is read is stopped."""

    def __init__(self, name: str, kind: str) -> None:
        self.__dict__["_said"] = f"{name} is a {kind}, which cannot be put back once it is used"

    def __getattr__(self, attribute: str) -> Any:
        raise CannotRestoreError(self._said)

    def __iter__(self) -> Any:
        raise CannotRestoreError(self._said)

    def __next__(self) -> Any:
        raise CannotRestoreError(self._said)


def stand_in(name: str, original: Any) -> Any:
    """What is used in its place while a model is read: a copy, or what stops whoever uses it."""
    if isinstance(original, Tripwire):
        return original
    if isinstance(original, tuple):
        parts = [stand_in(f"{name}[{i}]", part) if is_fragile(part) else part for i, part in enumerate(original)]
        made: Any = getattr(original, "_make", tuple)  # a named tuple has one
        return made(parts)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from Python 3.14 on iterators have no copies: the wire is tripped then
            return _copied(original)
    except Exception:  # noqa: BLE001 - whatever its author did not foresee
        return Tripwire(name, type(original).__name__)


def is_unused(stand_in: Any) -> bool:
    """Whether a copy of a cached function was never called."""
    return isinstance(stand_in, functools._lru_cache_wrapper) and not any(stand_in.cache_info()[:2])


def _copied(original: Any) -> Any:
    """Another one that goes on from the same place.

    Raises:
        TypeError: it cannot be copied.
    """
    if isinstance(original, functools._lru_cache_wrapper):
        return _with_its_results(original)
    if isinstance(original, io.IOBase):
        return io.StringIO() if isinstance(original, io.TextIOBase) else io.BytesIO()
    if isinstance(original, types.MethodWrapperType | types.BuiltinFunctionType):
        return getattr(_copied(original.__self__), original.__name__)
    if type(original).__module__ in _CONNECTIONS or isinstance(original, queue.SimpleQueue):
        raise TypeError("it has no copy")
    return copy.copy(original) if isinstance(original, _SHARING) else copy.deepcopy(original)


def cached_results(function: functools._lru_cache_wrapper[Any]) -> dict[Any, Any] | None:
    """Key -> result of a function with `functools.lru_cache`; None where Python does not show them."""
    size, found = function.cache_info().currsize, gc.get_referents(function)
    tables = [item for item in found if type(item) is dict and item is not function.__dict__ and len(item) == size]
    if not size:
        return {}
    if not tables:
        return None
    if function.cache_info().maxsize is None:
        return dict(tables[0])
    # A bounded one has links, of which `found` has key and result one after the other.
    keys, results, at = {id(key): key for key in tables[0]}, {}, 0
    while at < len(found) - 1:
        if id(found[at]) in keys:
            results[keys.pop(id(found[at]))] = found[at + 1]
            at += 1
        at += 1
    return None if keys else results


def _with_its_results(original: functools._lru_cache_wrapper[Any]) -> Any:
    """A function with a cache of its own, that gives the very objects which the original has cached."""
    results, typed = cached_results(original), original.cache_parameters()["typed"]
    if results is None or (typed and results):
        raise TypeError("its cache cannot be read")
    marks = [part for key in results if type(key) is tuple for part in key if type(part) is object]

    @functools.wraps(original.__wrapped__)
    def first(*args: Any, **options: Any) -> Any:
        if options:
            key: Any = (*args, *marks[:1], *(part for pair in options.items() for part in pair))
        else:
            key = args[0] if len(args) == 1 and type(args[0]) in (int, str) else args
        return results[key] if key in results else original.__wrapped__(*args, **options)

    return functools.lru_cache(**original.cache_parameters())(first)


def is_read(file: io.IOBase) -> bool:
    """Whether a file is open for reading, or in memory: its position and content are put back."""
    return file.closed or isinstance(file, io.BytesIO | io.StringIO) or not file.writable()
