"""Data sets that are plain data in memory: reading an item runs no user code, so that a copy of it leaves no trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

__all__ = ["in_memory", "reading_copies"]

_ATOMS = (int, float, str, bytes, bool, complex, type(None))
_OF_A_TENSOR = 20


class _Copies:
    """Items of a data set, each a copy; what is behind them is not looked into."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: Any) -> Any:
        return _copied(self._source[index])


def _copied(item: Any) -> Any:
    """A copy of an item; of a tensor its own values alone, not those of the whole that it is a part of."""
    if isinstance(item, Tensor):
        return item.detach().clone()
    if type(item) is dict:
        return {name: _copied(value) for name, value in item.items()}
    if type(item) in (list, tuple):
        return type(item)(_copied(value) for value in item)
    return copy.deepcopy(item)


@contextmanager
def reading_copies(loader: Any) -> Iterator[None]:
    """Let a loader of plain data read copies meanwhile, so that not all of its data need to be kept."""
    source = getattr(loader, "dataset", None)
    if not _is_plain(source):
        yield
        return
    holders = _holders(loader, source)
    try:
        for attributes, name in holders:
            attributes[name] = _Copies(source)
        yield
    finally:
        for attributes, name in holders:
            attributes[name] = source


def _is_plain(source: Any) -> bool:
    while type(source) is Subset:
        source = source.dataset
    return type(source) in (list, tuple, TensorDataset)


def _holders(loader: Any, source: Any) -> list[tuple[dict[str, Any], str]]:
    """Where a loader and its samplers have the data set, as (attributes, name)."""
    owners, found = [loader], []
    for owner in owners:
        attributes = getattr(owner, "__dict__", {})
        found += [(attributes, name) for name, value in attributes.items() if value is source]
        inner = [attributes.get(name) for name in ("sampler", "batch_sampler")]
        owners += [each for each in inner if each is not None and all(each is not one for one in owners)]
    return found


def in_memory(loader: Any, most: int) -> tuple[int, int]:
    """How much a loader's data set holds in memory: values (a tensor counts as 20), and bytes of arrays and tensors.

    Args:
        loader: plain data count nothing, since their items are copied one by one.
        most: values after which the count ends.
    """
    source = getattr(loader, "dataset", loader)
    if _is_plain(source):
        return 0, 0
    values = size = 0
    seen, todo = {id(source)}, [source]
    while todo and values < most:
        item = todo.pop()
        if isinstance(item, Tensor | np.ndarray):
            values, size = values + _OF_A_TENSOR, size + int(item.nbytes)
            continue
        inner = _inner(item)
        values += len(inner)
        new = [each for each in inner if type(each) not in _ATOMS and id(each) not in seen]
        seen.update(map(id, new))
        todo += new
    return values, size


def _inner(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    if isinstance(item, type) or callable(item) or type(item).__module__.partition(".")[0] in ("datasets", "pyarrow"):
        return []
    return list(getattr(item, "__dict__", {}).values())
