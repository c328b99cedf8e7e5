"""Making a new model by what the user gave: a class, a function, an address, or a model that is copied."""

from __future__ import annotations

import copy
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ontogeny._import_string import import_from_string
from ontogeny.errors import ConfigError, WeightsError

__all__ = ["Factory", "make", "resolve"]

Factory = str | os.PathLike[str] | Callable[..., nn.Module]


def resolve(model: Factory) -> Callable[..., nn.Module]:
    """A class or function; a text "module:attr" is imported, from the current folder too.

    Raises:
        ConfigError: not of that form, or not there.
    """
    found = import_from_string(model)
    if not callable(found):
        raise ConfigError(f"model {model!r} is a {type(found).__name__}, neither a class nor a function")
    return found  # type: ignore[no-any-return]


def make(factory: Callable[..., nn.Module], options: Mapping[str, Any], where: str) -> nn.Module:
    """A new model, which nothing else holds: a model that was given is copied, and so is one that a function keeps.

    Args:
        factory: class, function or a model.
        options: what a class was made with when it was saved; those its constructor takes are passed. A function is
            called without any.
        where: for messages.

    Raises:
        WeightsError: it cannot be called like that, or returns no module.
    """
    if isinstance(factory, nn.Module):
        return copy.deepcopy(factory)
    given = _accepted(factory, options) if inspect.isclass(factory) else {}
    try:
        model, holders = _called(factory, given)
    except TypeError as error:
        raise WeightsError(
            f"{where}: {getattr(factory, '__name__', factory)} cannot be made: {error}. Give a function without "
            "arguments instead"
        ) from error
    if not isinstance(model, nn.Module):
        raise WeightsError(f"{where}: model= gave a {type(model).__name__}, expected a torch module")
    return copy.deepcopy(model) if holders > _called(nn.Identity, {})[1] else model


def _called(factory: Callable[..., Any], options: Mapping[str, Any]) -> tuple[Any, int]:
    """What a factory returns, and how many references there are to it: more than to a new module where it is kept."""
    made = factory(**options)
    return made, sys.getrefcount(made)


def _accepted(factory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(options)
    return {name: value for name, value in options.items() if name in parameters}
