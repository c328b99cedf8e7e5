"""Sinks by name, by address, or as objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ontogeny._import_string import call_with, import_from_string
from ontogeny.errors import ConfigError, nearest
from ontogeny.sinks.sink import Sink

__all__ = ["SINKS", "as_sinks"]

SINKS = {"wandb": "ontogeny.sinks.wandb_sink:WandbSink", "page": "ontogeny.report.live_page:LivePage"}
"""Name -> address: a tracker is imported when it is asked for."""


def as_sinks(given: Any) -> tuple[Sink, ...]:
    """Sinks from whatever names them, one or several.

    Args:
        given: an object with `write(step, metrics)`; a name, "wandb", with options, "wandb(most_details=9)"; an address
            "module:attribute" or "module:Class(option=1)"; or several of these.

    Raises:
        ConfigError: there is none of this name, it refuses its options, or what is there cannot `write`.

    Example:
        >>> class Printing:
        ...     def write(self, step, metrics):
        ...         print(step, metrics)
        >>> len(as_sinks([Printing(), "wandb"]))
        2
    """
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    return tuple(_sink(one) for one in several)


def _sink(given: Any) -> Sink:
    if isinstance(given, str):
        name, bracket, options = given.partition("(")
        if ":" not in name and name not in SINKS:
            raise ConfigError(f"no sink is called {name!r}. {nearest(name, SINKS)}")
        found = import_from_string(SINKS.get(name, name))
        if bracket or isinstance(found, type):
            found = call_with(found, f"{name}({options or ')'}", of=given)
        return _sink(found)
    if not callable(getattr(given, "write", None)) or isinstance(given, type):
        raise ConfigError(f"a sink has write(step, metrics), got {given!r}; names: {', '.join(SINKS)}")
    sink: Sink = given
    return sink
