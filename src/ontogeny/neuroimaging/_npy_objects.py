"""Dictionaries of arrays that `np.save` wrote as objects, parsed and not loaded: nothing in the file is ever called.

The stream is taken apart by `pickletools`, and only what numpy writes for arrays, numbers, text, lists and dictionaries
is put together again. Anything else becomes `Unread`, which names what stood there.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DataError

__all__ = ["Unread", "read_objects"]

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_VALUES = frozenset((*_NUMBERS, *_TEXTS, *_BYTES))
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric", "numpy")
_PLAIN = "biufcSU"
_MARK = object()


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that is no array, number, text, list or dictionary."""

    name: str


@dataclass(slots=True)
class _Name:
    module: str
    name: str


@dataclass(slots=True)
class _Dtype:
    code: str
    order: str = "|"

    def made(self) -> np.dtype[Any] | None:
        """None where it is not one of plain numbers or text."""
        try:
            found = np.dtype(self.code)
        except (TypeError, ValueError):
            return None
        if found.kind not in _PLAIN:
            return None
        if self.order == ">":
            return found.newbyteorder(">")
        return found.newbyteorder("<") if self.order == "<" else found


@dataclass(slots=True)
class _Array:
    values: Any = None


def read_objects(path: Path) -> dict[str, Any]:
    """The dictionary that a .npy file holds: name -> array, number, text, list, dictionary, None or `Unread`.

    Raises:
        DataError: no such file, cut short, or something else than one dictionary.
    """
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
            if dtype != np.dtype("O") or shape != ():
                raise DataError(f"{path}: expected one dictionary of arrays, got {dtype} {shape}")
            found = _Machine().run(stream)
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a dictionary of arrays ({error}); it may be cut short") from error
    held = _plain(found)
    if isinstance(held, np.ndarray) and held.shape == () and held.dtype == object:
        held = held.item()
    if not isinstance(held, dict):
        raise DataError(f"{path}: expected one dictionary of arrays, got {type(held).__name__}")
    return {str(key): value for key, value in held.items()}


class _Machine:
    """A stack, as the stream describes it; objects are kept as what they say of themselves."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._acts: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "TUPLE": lambda _: self._stack.append(tuple(self._marked())),
            "LIST": lambda _: self._stack.append(self._marked()),
            "DICT": lambda _: self._stack.append(_pairs(self._marked())),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._marked()),
            "SETITEM": lambda _: self._update([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._update(self._marked()),
            "MEMOIZE": lambda _: self._memo.__setitem__(len(self._memo), self._stack[-1]),
            "GLOBAL": lambda argument: self._stack.append(_Name(*str(argument).split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._stack.append(_Name(str(self._stack.pop(-2)), str(self._stack.pop()))),
            "REDUCE": lambda _: self._stack.append(_reduced(self._stack.pop(-2), self._stack.pop())),
            "NEWOBJ": lambda _: self._stack.append(Unread(_called(self._stack.pop(-2), self._stack.pop()))),
            "BUILD": lambda _: _build(self._stack[-2], self._stack.pop()),
            "POP": lambda _: self._drop(),
        }

    def run(self, stream: Any) -> Any:
        for opcode, argument, place in pickletools.genops(stream):
            name = opcode.name
            if name in _IGNORED:
                continue
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in _VALUES:
                self._stack.append(argument)
            elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                self._memo[int(argument or 0)] = self._stack[-1]
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                self._stack.append(self._memo[int(argument or 0)])
            elif name in self._acts:
                self._acts[name](argument)
            else:
                raise ValueError(f"{name} at byte {place} is nothing that arrays are made of")
        return self._stack[-1]

    def _marked(self) -> list[Any]:
        place = max(i for i, item in enumerate(self._stack) if item is _MARK)
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _tuple(self, n: int) -> None:
        items = tuple(self._stack[-n:])
        del self._stack[-n:]
        self._stack.append(items)

    def _drop(self) -> None:
        self._stack.pop()

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], dict):
            self._stack[-1].update(_pairs(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {
        key if isinstance(key, str | int) else str(key): value for key, value in zip(*[iter(items)] * 2, strict=True)
    }


def _called(what: Any, _args: Any) -> str:
    return f"{what.module}.{what.name}" if isinstance(what, _Name) else type(what).__name__


def _reduced(what: Any, given: Any) -> Any:
    """What numpy's own functions make; of others only the name."""
    name = what.name if isinstance(what, _Name) and what.module in _MODULES else ""
    if name == "_reconstruct":
        return _Array()
    if name == "_frombuffer":
        data, dtype, shape, order = given
        return _Array(_of_bytes(shape, dtype, bytes(data), fortran=order == "F"))
    if name == "dtype":
        return _Dtype(str(given[0]))
    if name == "scalar" and isinstance(given[0], _Dtype):
        return _Array(_of_bytes((), given[0], given[1], fortran=False)) if len(given) > 1 else Unread("numpy.scalar")
    if isinstance(what, _Name) and (what.module, what.name) == ("_codecs", "encode"):
        return str(given[0]).encode("latin1")
    return Unread(_called(what, given))


def _build(what: Any, state: Any) -> None:
    if isinstance(what, _Dtype):
        what.order = str(state[1])
    elif isinstance(what, _Array):
        shape, dtype, fortran, data = state[-4:]
        what.values = (
            _objects(shape, data) if isinstance(data, list) else _of_bytes(shape, dtype, data, fortran=fortran)
        )


def _objects(shape: Any, items: list[Any]) -> Any:
    return items[0] if tuple(shape) == () and len(items) == 1 else items


def _of_bytes(shape: Any, dtype: Any, data: Any, *, fortran: Any) -> Any:
    made = dtype.made() if isinstance(dtype, _Dtype) else None
    if made is None or not isinstance(data, bytes | str):
        return Unread("an array of objects")
    raw = data if isinstance(data, bytes) else data.encode("latin1")
    return np.frombuffer(raw, made).reshape(tuple(shape), order="F" if fortran else "C")


def _plain(value: Any) -> Any:
    """Without the kinds of this module."""
    if isinstance(value, _Array):
        return _plain(value.values)
    if isinstance(value, _Name | _Dtype):
        return Unread(type(value).__name__)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value
