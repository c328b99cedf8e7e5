"""Copies that stand in, while a model is read, for what can be copied but not wound back."""

from __future__ import annotations

import copy
import functools
import io
import itertools
import queue
import types
from typing import Any

import numpy as np

from ontogeny.extraction.state._entry import CannotRestoreError

__all__ = ["FRAGILE", "Tripwire", "is_read", "is_unused", "stand_in"]

_SIMPLE: tuple[type, ...] = (
    *(itertools.count, itertools.repeat, type(iter([])), type(iter(())), type(iter(range(0))), type(iter(""))),
)
_COMPOSED: tuple[type, ...] = (
    *(itertools.cycle, itertools.chain, itertools.islice, itertools.accumulate, itertools.starmap, enumerate, zip),
    *(map, filter, reversed, type(itertools.tee(())[0]), type(iter(set()))),
    *(type(iter({})), type(iter({}.items())), type(iter({}.values()))),
)
_MADE_ANEW = (functools._lru_cache_wrapper, np.random.SeedSequence)
FRAGILE = (*_SIMPLE, *_COMPOSED, types.GeneratorType, queue.SimpleQueue, io.IOBase, *_MADE_ANEW)


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
    if isinstance(original, Tripwire):
        return original
    try:
        return _copied(original)
    except TypeError:
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
        return functools.lru_cache(**original.cache_parameters())(original.__wrapped__)
    if isinstance(original, io.IOBase):
        return io.StringIO() if isinstance(original, io.TextIOBase) else io.BytesIO()
    if isinstance(original, queue.SimpleQueue):
        raise TypeError("a queue has no copy")
    return copy.copy(original) if isinstance(original, _SIMPLE) else copy.deepcopy(original)


def is_read(file: io.IOBase) -> bool:
    """Whether a file is open for reading, or in memory: its position and content are put back."""
    return file.closed or isinstance(file, io.BytesIO | io.StringIO) or not file.writable()
