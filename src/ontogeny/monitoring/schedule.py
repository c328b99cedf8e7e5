"""When to probe. Step 0 and the last step are always probed, whatever the schedule says.

every(100)       0, 100, 200, ...
log_spaced(8)    0, 1, 2, 3, 4, ... : 8 steps a factor of ten
at([0, 10, 50])  these
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10
from operator import index
from typing import Any, Protocol, runtime_checkable

from ontogeny.errors import ConfigError

__all__ = ["Schedule", "at", "every", "log_spaced", "parse_schedule", "update_count"]


@runtime_checkable
class Schedule(Protocol):
    """Says whether a step is probed."""

    def due(self, step: int) -> bool:
        """Whether to probe after `step` optimizer updates."""
        ...


@dataclass(frozen=True, slots=True)
class _Every:
    n: int

    def due(self, step: int) -> bool:
        return step % self.n == 0


@dataclass(frozen=True, slots=True)
class _LogSpaced:
    per_decade: int

    def due(self, step: int) -> bool:
        if step < 1:
            return step == 0
        near = floor(log10(step) * self.per_decade)
        return any(step == round(10 ** (k / self.per_decade)) for k in (near, near + 1))


@dataclass(frozen=True, slots=True)
class _At:
    steps: frozenset[int]

    def due(self, step: int) -> bool:
        return step == 0 or step in self.steps


def every(n: int) -> Schedule:
    """Every n optimizer updates.

    Raises:
        ConfigError: n < 1.
    """
    if n < 1:
        raise ConfigError(f"every(n) needs n of at least 1, got {n}")
    return _Every(n)


def log_spaced(per_decade: int = 8) -> Schedule:
    """Evenly in log step: `per_decade` probes from 1 to 10, from 10 to 100, ...

    Raises:
        ConfigError: per_decade < 1.
    """
    if per_decade < 1:
        raise ConfigError(f"log_spaced(per_decade) needs at least 1, got {per_decade}")
    return _LogSpaced(per_decade)


def at(steps: Iterable[int]) -> Schedule:
    """At these steps.

    Raises:
        ConfigError: a negative step.
    """
    chosen = frozenset(int(s) for s in steps)
    if any(s < 0 for s in chosen):
        raise ConfigError(f"at(steps) needs steps of 0 or more, got {sorted(chosen)}")
    return _At(chosen)


def parse_schedule(text: str | Schedule) -> Schedule:
    """Read "log", "log:12", "every:100" or "at:0,10,100"; a schedule is given back as it is.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(text, str):
        return text
    kind, _, rest = text.partition(":")
    try:
        if kind == "log":
            return log_spaced(int(rest)) if rest else log_spaced()
        if kind == "every" and rest:
            return every(int(rest))
        if kind == "at" and rest:
            return at(int(s) for s in rest.split(","))
    except ValueError as error:
        raise ConfigError(f"schedule {text!r} cannot be read: {error}") from error
    raise ConfigError(f"a schedule is 'log', 'log:8', 'every:100' or 'at:0,10,100', got {text!r}")


def update_count(step: Any) -> int:
    """A step as a Python int, of numpy's or torch's too.

    Raises:
        ConfigError: it is no whole number, or negative.

    Example:
        >>> import numpy as np
        >>> update_count(np.int64(3))
        3
    """
    try:
        count = index(step)
    except TypeError:
        count = -1
    if count < 0 or isinstance(step, bool):
        raise ConfigError(f"step is the number of optimizer updates done: a whole number from 0 on, got {step!r}")
    return count
