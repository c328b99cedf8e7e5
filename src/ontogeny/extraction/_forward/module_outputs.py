"""The tensors in what a module returns, or is given: by their places in tuples, mappings and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor

__all__ = ["Path", "first_tensor", "tensors", "whole"]

Path = tuple[str, ...]
"""Keys, fields and numbers on the way to a tensor; empty for an output that is the tensor itself."""

_FIRST = ("last_hidden_state", "hidden_states")
_MOST = 64
_DEEP = 5


def tensors(output: Any) -> dict[Path, Tensor]:
    """The tensors in an output, in its order, those called `last_hidden_state` and `hidden_states` first.

    Where some are floating-point numbers, these alone: places, masks and choices beside them are no features.
    """
    found: dict[Path, Tensor] = {}
    for path, tensor in _walk(output, ()):
        found[path] = tensor
        if len(found) == _MOST:
            break
    numbers = {path: tensor for path, tensor in found.items() if tensor.is_floating_point()}
    return numbers or found


def first_tensor(output: Any) -> Tensor | None:
    """The first of `tensors`, or None."""
    return next(iter(tensors(output).values()), None)


def whole(tensor: Tensor) -> Tensor:
    """Detached; all of a sharded one, and a nested one of texts of one length, which need no padding, as a block."""
    if tensor.is_nested:
        tensor = tensor.to_padded_tensor(0.0)
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach()


def _walk(output: Any, path: Path) -> Iterator[tuple[Path, Tensor]]:
    if isinstance(output, Tensor):
        yield path, output
    elif len(path) < _DEEP:
        for name, part in _parts(output):
            yield from _walk(part, (*path, str(name)))


def _parts(output: Any) -> list[tuple[Any, Any]]:
    if isinstance(output, Mapping):
        first = [(name, output[name]) for name in _FIRST if isinstance(output.get(name), Tensor)]
        return first + [(name, part) for name, part in output.items() if all(name != known for known, _ in first)]
    if isinstance(output, tuple | list):
        return list(enumerate(output))
    return _parts(_fields(output)) if not isinstance(output, type) else []


def _fields(output: Any) -> dict[str, Any] | tuple[()]:
    """Of a dataclass, a class of attrs, a namespace; of another object nothing."""
    if dataclasses.is_dataclass(output):
        names = [field.name for field in dataclasses.fields(output)]
    elif hasattr(type(output), "__attrs_attrs__"):
        names = [field.name for field in type(output).__attrs_attrs__]
    else:
        names = list(vars(output)) if isinstance(output, SimpleNamespace) else []
    return {name: getattr(output, name) for name in names if hasattr(output, name)} or ()
