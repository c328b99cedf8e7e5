"""Something that is remembered of each model for as long as the model lives."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from torch import nn
from typing_extensions import override

__all__ = ["PerModel"]

T = TypeVar("T")


class PerModel(Generic[T]):
    """A dictionary by identity of the model; models that define `==` or cannot be hashed are taken too."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[nn.Module], T]] = {}

    @override
    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()  # another process has other models

    def get(self, model: nn.Module) -> T | None:
        """What is remembered of the model, or None."""
        found = self._values.get(id(model))
        return found[1] if found is not None and found[0]() is model else None

    def set(self, model: nn.Module, value: T) -> T:
        """Remember; returns the value."""
        key = id(model)
        self._values[key] = (weakref.ref(model, lambda _: self._values.pop(key, None)), value)
        return value

    def forget(self, model: nn.Module) -> None:
        """As if the model were a new one."""
        if self.get(model) is not None:
            del self._values[id(model)]
