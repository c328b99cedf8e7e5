"""Everything reachable from a model: which object it is, and what it holds, to the bit.

`snapshot(model)` walks attributes, containers, closures, hooks, iterators, caches, generators, the classes of the
user's own modules and the state of the process; `differences(before, after)` names what changed. It shares no code with
the package, which it is to check. A snapshot keeps all objects alive, so that no identity can be used twice.
"""

from __future__ import annotations

import functools
import gc
import types
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from tests.helpers import reachable_kinds as kinds
from tests.helpers.reachable_process import process_state
from tests.helpers.reachable_values import atom, frozen, is_users

__all__ = ["Fact", "contents", "differences", "snapshot"]

# Not entered: what belongs to the trainer or to Python itself, not to the model.
_CLOSED = (types.ModuleType, types.CodeType, types.FrameType, types.TracebackType)
_CLOSED_MODULES = (
    "logging",
    "typing",
    "beartype",
    "jaxtyping",
    "hypothesis",
    "_pytest",
    "pytest",
    "ontogeny",
    "lightning",
)
_NO_IDENTITY = (tuple, frozenset, types.MethodType, slice, range)


class Fact(NamedTuple):
    """One object: its kind, which one it is, what it holds; `keep` holds it, so that its identity stays its own."""

    kind: str
    identity: tuple[Any, ...]
    content: Any
    keep: Any


class _Walk:
    """Breadth first; an object is described where it is met first, and named by that path wherever it is met again."""

    def __init__(self) -> None:
        self.facts: dict[str, object] = {}
        self.paths: dict[int, str] = {}
        self.waiting: deque[tuple[str, Any]] = deque()
        self.taken: set[str] = set()

    def label(self, path: str, value: Any) -> Any:
        """What stands for `value` in the content of its owner: its value, or the path where it is described."""
        short = atom(value)
        if short is not None:
            return short
        if id(value) in self.paths:
            return "->" + self.paths[id(value)]
        while path in self.taken:
            path += "'"
        self.taken.add(path)
        self.paths[id(value)] = path
        self.waiting.append((path, value))
        return "->" + path

    def run(self) -> None:
        while self.waiting:
            path, value = self.waiting.popleft()
            own, who, parts = describe(value)
            content = (own, tuple((name, self.label(path + name, part)) for name, part in parts))
            identity = () if isinstance(value, _NO_IDENTITY) else (id(value), id(type(value)), *map(_which, who))
            self.facts[path] = Fact(type(value).__qualname__, identity, content, (value, who))


def _which(held: Any) -> Any:
    """Storages are told by their object and size, since memory that grew has moved, all else by identity."""
    if isinstance(held, torch.UntypedStorage):
        return held._cdata, held.nbytes()
    return held if isinstance(held, int) else id(held)


def describe(value: Any) -> tuple[Any, tuple[Any, ...], list[tuple[str, Any]]]:
    """An object's own content, what its identity has beside `id`, and its parts: (suffix of the path, object)."""
    if isinstance(value, _CLOSED) or type(value).__module__.split(".")[0] in _CLOSED_MODULES:
        return "closed", (), []
    if isinstance(value, type):
        return kinds.of_class(value)
    for kind, function in kinds.KINDS:
        if isinstance(value, kind):
            own, who, parts = function(value)
            whole = kind in (kinds.RemovableHandle, kinds.BufferWrapper)
            return own, who, parts if whole else parts + kinds.attributes(value)
    if isinstance(value, functools._lru_cache_wrapper):
        return kinds.of_lru_cache(value)
    if kinds.is_iterator(value):
        return kinds.of_iterator(value)
    parts = kinds.attributes(value)
    if parts or is_users(type(value)) or not gc.is_tracked(value):
        return kinds.plain_repr(value), (), parts
    return kinds.plain_repr(value), (), [(f"<{i}>", part) for i, part in enumerate(kinds.referents(value))]


def snapshot(model: Any, *, process: bool = True) -> dict[str, object]:
    """Path -> `Fact` of everything reachable from `model`, and of the process.

    Args:
        model: a module; or any object.
        process: random states, default dtype, modes of torch, environment, signal handlers, ... too.
    """
    walk = _Walk()
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        walk.label("model", model)
        walk.run()
    if process:
        for name, value in process_state().items():
            walk.facts[f"process {name}"] = Fact("state", (), frozen(value), value)
    return walk.facts


def contents(model: Any, *, process: bool = True) -> dict[str, object]:
    """As `snapshot`, without identities: for two models that were trained apart."""
    return {
        path: Fact(f.kind, (), f.content, f.keep)
        for path, f in snapshot(model, process=process).items()
        if isinstance(f, Fact)
    }


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """One line for everything that is gone, new, another object, or not what it was."""
    lines = [f"{path}: is gone" for path in before if path not in after]
    lines += [f"{path}: is new" for path in after if path not in before]
    for path in before:
        if path in after:
            lines += [f"{path}: {line}" for line in _difference(before[path], after[path])]
    return lines


def _difference(before: object, after: object) -> list[str]:
    assert isinstance(before, Fact)
    assert isinstance(after, Fact)
    lines = []
    if before.kind != after.kind:
        lines.append(f"was a {before.kind}, is a {after.kind}")
    if before.identity != after.identity:
        other = "another object" if before.identity[:1] != after.identity[:1] else "another class or storage"
        lines.append(f"{before.kind} is {other}")
    if before.content != after.content:
        lines.append(f"{before.kind} held {_short(before, after)}, holds {_short(after, before)}")
    return lines


def _short(fact: Fact, other: Fact) -> str:
    """The parts of a content that differ, shortened."""
    parts = [_brief(a) for a in _flat(fact.content) if a not in _flat(other.content)]
    return ", ".join(parts)[:200] or "the same in another order"


def _flat(content: Any) -> list[Any]:
    """Names with their values, and the fields of an object's own content."""
    if not (isinstance(content, tuple) and len(content) == 2 and isinstance(content[1], tuple)):
        return [content]
    own, parts = content
    return [*(own if isinstance(own, tuple) else (own,)), *parts]


def _brief(value: Any) -> str:
    if isinstance(value, bytes | str) and len(value) > 40:
        return f"<{len(value)} bytes, {hash(value) & 0xFFFF:04x}>"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_brief, value)) + ")"
    return repr(value)
