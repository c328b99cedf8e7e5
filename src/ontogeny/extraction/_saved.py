"""What was saved of one object, and how it is put back in place.

Each class holds one object with its content. `restore()` puts the content back into the very same object and returns
what was different: nothing, `ITSELF`, or the keys of a dictionary or attributes of an object.
"""

from __future__ import annotations

import _thread
import array
import collections
import contextvars
import ctypes
import functools
import io
import random
import types
import zlib
from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

__all__ = [
    "ITSELF",
    "CannotRestoreError",
    "Saved",
    "SavedArray",
    "SavedAttributes",
    "SavedBytes",
    "SavedC",
    "SavedCache",
    "SavedCell",
    "SavedClass",
    "SavedContext",
    "SavedDict",
    "SavedFile",
    "SavedRandom",
    "SavedScript",
    "SavedSequence",
    "SavedSet",
    "SavedSlots",
    "SavedSteps",
    "SavedTensor",
    "SavedVariables",
    "Tripwire",
    "bits",
    "is_parameter",
]

ITSELF = ("",)
_LARGE = 256 * 2**20
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_MISSING: Any = object()


class CannotRestoreError(Exception):
    """What cannot be put back, and why."""


@runtime_checkable
class Saved(Protocol):
    """One saved object."""

    def restore(self) -> tuple[Any, ...]:
        """Put it back.

        Returns:
            What was different: nothing, `ITSELF`, or keys.

        Raises:
            CannotRestoreError: it cannot be put back.
        """
        ...


def _same_items(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))


class SavedDict:
    """A dictionary of any class, by content and order."""

    __slots__ = ("items", "live")

    def __init__(self, live: dict[Any, Any]) -> None:
        self.live, self.items = live, list(dict.items(live))

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = list(dict.items(self.live))
        same = len(now) == len(self.items) and all(
            a is c and b is d for (a, b), (c, d) in zip(now, self.items, strict=True)
        )
        if same:
            return ()
        before = dict(self.items)
        different = [k for k in {**before, **dict(now)} if before.get(k, _MISSING) is not dict(now).get(k, _MISSING)]
        kind: Any = collections.OrderedDict if isinstance(self.live, collections.OrderedDict) else dict
        kind.clear(self.live)
        for key, value in self.items:
            kind.__setitem__(self.live, key, value)
        return tuple(different) or ITSELF


class SavedAttributes(SavedDict):
    """The attributes of an object, by the dictionary that holds them; a replaced dictionary is seen too."""

    __slots__ = ("cls", "owner")

    def __init__(self, owner: Any, live: dict[Any, Any]) -> None:
        super().__init__(live)
        self.owner, self.cls = owner, type(owner)

    @override
    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if type(self.owner) is not self.cls:
            object.__setattr__(self.owner, "__class__", self.cls)
            return ("__class__", *self.restore())
        if isinstance(self.owner, _thread._local):
            return super().restore()
        if object.__getattribute__(self.owner, "__dict__") is self.live:
            return super().restore()
        object.__setattr__(self.owner, "__dict__", self.live)
        return super().restore() or ITSELF


class SavedSlots:
    """The slots of an object."""

    __slots__ = ("names", "owner", "values")

    def __init__(self, owner: Any, names: list[str]) -> None:
        self.owner, self.names = owner, names
        self.values = [getattr(owner, name, _MISSING) for name in names]

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        different = []
        for name, value in zip(self.names, self.values, strict=True):
            if getattr(self.owner, name, _MISSING) is value:
                continue
            different.append(name)
            if value is _MISSING:
                object.__delattr__(self.owner, name)
            else:
                object.__setattr__(self.owner, name, value)
        return tuple(different)


class SavedSequence:
    """A list or deque."""

    __slots__ = ("items", "live")

    def __init__(self, live: list[Any] | collections.deque[Any]) -> None:
        self.live, self.items = live, list(live)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if _same_items(list(self.live), self.items):
            return ()
        kind: Any = collections.deque if isinstance(self.live, collections.deque) else list
        kind.clear(self.live)
        kind.extend(self.live, self.items)
        return ITSELF


class SavedSet:
    """A set."""

    __slots__ = ("items", "live")

    def __init__(self, live: set[Any]) -> None:
        self.live, self.items = live, list(live)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if {id(item) for item in self.live} == {id(item) for item in self.items}:
            return ()
        set.clear(self.live)
        set.update(self.live, self.items)
        return ITSELF


class SavedBytes:
    """A bytearray or `array.array`."""

    __slots__ = ("items", "live")

    def __init__(self, live: bytearray | array.array[Any]) -> None:
        self.live: Any = live
        self.items: Any = live[:]

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if bytes(self.live) == bytes(self.items):
            return ()
        self.live[:] = self.items
        return ITSELF


class SavedArray:
    """A numpy array that can be written; of a very large one only a checksum."""

    __slots__ = ("copy", "live", "total")

    def __init__(self, live: np.ndarray) -> None:
        self.live: Any = live
        self.copy = np.array(live, copy=True, subok=False) if live.nbytes <= _LARGE else live[:0]
        self.total = zlib.crc32(np.ascontiguousarray(live).data) if live.nbytes > _LARGE else None

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        live, copy = self.live, self.copy
        if self.total is not None:
            if zlib.crc32(np.ascontiguousarray(live).data) != self.total:
                raise CannotRestoreError("its values were changed, and there was no copy of so large an array")
            return ()
        if live.shape == copy.shape and live.dtype == copy.dtype and live.tobytes() == copy.tobytes():
            return ()
        if live.dtype != copy.dtype:
            live.dtype = copy.dtype
        if live.size != copy.size:
            live.resize(copy.shape, refcheck=False)
        if live.shape != copy.shape:
            live.shape = copy.shape
        live[...] = copy
        return ITSELF


class SavedRandom:
    """The state of a random number generator of torch, numpy or Python."""

    __slots__ = ("live", "state")

    def __init__(self, live: Any) -> None:
        self.live = live
        self.state = self._get()

    def _get(self) -> Any:
        if isinstance(self.live, torch.Generator):
            return self.live.get_state()
        if isinstance(self.live, random.Random):
            return self.live.getstate()
        if isinstance(self.live, np.random.RandomState):
            return self.live.get_state(legacy=False)
        return self.live.state

    def seed(self, seed: int) -> None:
        """Begin anew, as every process would."""
        if isinstance(self.live, torch.Generator):
            self.live.manual_seed(seed)
        elif isinstance(self.live, random.Random | np.random.RandomState):
            self.live.seed(seed)
        else:
            self.live.state = type(self.live)(seed).state

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._get()
        if isinstance(self.state, Tensor):
            if torch.equal(now, self.state):
                return ()
            self.live.set_state(self.state)
            return ITSELF
        if repr(now) == repr(self.state) and _keys(now) == _keys(self.state):
            return ()
        if isinstance(self.live, random.Random):
            self.live.setstate(self.state)
        elif isinstance(self.live, np.random.RandomState):
            self.live.set_state(self.state)
        else:
            self.live.state = self.state
        return ITSELF


def _keys(state: Any) -> bytes:
    """The array of a Mersenne Twister, whose repr is shortened."""
    inner = state.get("state") if isinstance(state, dict) else None
    key = inner.get("key") if isinstance(inner, dict) else None
    return key.tobytes() if isinstance(key, np.ndarray) else b""


class SavedCell:
    """A variable that a function closes over."""

    __slots__ = ("cell", "value")

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell
        self.value = _contents(cell)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if _contents(self.cell) is self.value:
            return ()
        if self.value is _MISSING:
            del self.cell.cell_contents
        else:
            self.cell.cell_contents = self.value
        return ITSELF


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


class SavedClass:
    """Data attributes of a class: counters and caches that all its objects share."""

    __slots__ = ("cls", "values", "which")

    def __init__(self, cls: type, which: Callable[[str, Any], bool]) -> None:
        self.cls, self.which = cls, which
        self.values = self._now()

    def _now(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self.cls).items() if self.which(name, value)}

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._now()
        added = [name for name in now if name not in self.values]
        for name in added:
            type.__delattr__(self.cls, name)
        replaced = [name for name, value in self.values.items() if now.get(name, _MISSING) is not value]
        for name in replaced:
            type.__setattr__(self.cls, name, self.values[name])
        return (*added, *replaced)


class SavedCache:
    """A function with `functools.lru_cache`: results that were cached meanwhile are dropped, with all others."""

    __slots__ = ("live", "misses")

    def __init__(self, live: functools._lru_cache_wrapper[Any]) -> None:
        self.live, self.misses = live, live.cache_info().misses

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.cache_info().misses == self.misses:
            return ()
        self.live.cache_clear()
        self.misses = 0
        return ITSELF


class SavedFile:
    """Where an open file stands; of one in memory, its content too."""

    __slots__ = ("content", "live", "position")

    def __init__(self, live: io.IOBase) -> None:
        self.live: Any = live
        self.position = live.tell()
        self.content = live.getvalue() if isinstance(live, io.BytesIO | io.StringIO) else None

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.closed:
            raise CannotRestoreError("the file was closed")
        if self.live.tell() == self.position and (self.content is None or self.live.getvalue() == self.content):
            return ()
        if self.content is not None:
            self.live.seek(0)
            self.live.truncate()
            self.live.write(self.content)
        self.live.seek(self.position)
        return ITSELF


class SavedVariables:
    """Some of the global variables of a program's own module."""

    __slots__ = ("live", "values")

    def __init__(self, live: dict[str, Any], names: list[str]) -> None:
        self.live, self.values = live, {name: live[name] for name in names}

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        different = [name for name, value in self.values.items() if self.live.get(name, _MISSING) is not value]
        self.live.update({name: self.values[name] for name in different})
        return tuple(different)


class SavedContext:
    """The value of a context variable."""

    __slots__ = ("live", "value")

    def __init__(self, live: contextvars.ContextVar[Any]) -> None:
        self.live, self.value = live, live.get(_MISSING)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.get(_MISSING) is self.value:
            return ()
        if self.value is _MISSING:
            raise CannotRestoreError("a context variable that had no value has one")
        self.live.set(self.value)
        return ITSELF


class SavedC:
    """A number, array or structure of ctypes."""

    __slots__ = ("content", "live")

    def __init__(self, live: Any) -> None:
        self.live, self.content = live, bytes(memoryview(live).cast("B"))

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if bytes(memoryview(self.live).cast("B")) == self.content:
            return ()
        ctypes.memmove(ctypes.addressof(self.live), self.content, len(self.content))
        return ITSELF


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


class SavedScript:
    """Attributes of a TorchScript module, its buffers among them."""

    __slots__ = ("live", "values")

    def __init__(self, live: Any) -> None:
        self.live, self.values = live, self._now(live)

    @staticmethod
    def _now(live: Any) -> dict[str, Any]:
        if not hasattr(live, "_concrete_type"):
            return {}
        names = [*live._concrete_type.get_attributes(), *(name for name, _ in live.named_buffers(recurse=False))]
        return {name: live._c.getattr(name) for name in names}

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._now(self.live)
        changed = [n for n, value in self.values.items() if not (now[n] is value or _same_number(now[n], value))]
        for name in changed:
            self.live._c.setattr(name, self.values[name])
        return tuple(changed)


def _same_number(a: Any, b: Any) -> bool:
    return isinstance(a, bool | int | float | str) and type(a) is type(b) and a == b


class SavedSteps:
    """A running generator: nobody can wind it back, so it is watched."""

    __slots__ = ("live", "place")

    def __init__(self, live: types.GeneratorType[Any, Any, Any]) -> None:
        self.live, self.place = live, self._now(live)

    @staticmethod
    def _now(live: types.GeneratorType[Any, Any, Any]) -> tuple[Any, ...]:
        frame = live.gi_frame
        if frame is None:
            return (None,)
        return frame.f_lasti, sorted((name, id(value)) for name, value in frame.f_locals.items())

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self._now(self.live) != self.place:
            raise CannotRestoreError("a running generator cannot be wound back")
        return ()


def bits(tensor: Tensor) -> Tensor:
    """The tensor as integers in a row, so that NaN equals NaN and -0 is not 0."""
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    size = flat.element_size()
    return flat.view(_INTEGERS.get(size, torch.int64)) if size in _INTEGERS or size % 8 == 0 else flat.view(torch.uint8)


class SavedTensor:
    """A tensor: its storage, shape, values, `requires_grad`, `grad` and hooks.

    Args:
        live: a dense or sparse tensor that has storage of its own.
        copy: whether its values are copied; else a sum over their bits is kept, which shows a change.
    """

    __slots__ = ("alias", "copy", "flags", "grad", "hooks", "live", "nbytes", "total")

    def __init__(self, live: Tensor, *, copy: bool) -> None:
        self.live = live
        self.alias = live.detach()
        self.flags = live.requires_grad if live.is_leaf else None
        self.grad = live.grad if live.is_leaf else None
        self.hooks = (getattr(live, "_backward_hooks", None), getattr(live, "_post_accumulate_grad_hooks", None))
        self.nbytes = _storage_bytes(live)
        self.copy = _copied(self.alias) if copy and self.whole else None
        self.total = None if copy or not self.whole else _total(self.alias)

    @property
    def whole(self) -> bool:
        """Whether its values are there: not on the meta device, not freed by a sharding strategy."""
        if self.alias.is_meta:
            return False
        return self.nbytes is None or self.nbytes > 0 or self.alias.numel() == 0

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        changed = self._form()
        if self.copy is not None:
            changed = _put_back(self.live, self.alias, self.copy) or changed
        elif self.total is not None and not torch.equal(_total(self.alias), self.total):
            raise CannotRestoreError("its values were changed, and there was no copy of them")
        return ITSELF if changed else ()

    def _form(self) -> bool:
        """Put back all but the values; whether anything was different."""
        live, changed = self.live, False
        if self.nbytes is not None and _storage_bytes(self.alias) != self.nbytes:
            self.alias.untyped_storage().resize_(self.nbytes)
            changed = True
        if not _same_place(live, self.alias):
            live.data = self.alias
            changed = True
        if self.flags is not None and live.is_leaf and live.requires_grad != self.flags:
            live.requires_grad_(self.flags)
            changed = True
        if self.flags is not None and live.is_leaf and live.grad is not self.grad:
            live.grad = self.grad
            changed = True
        for name, hooks in zip(("_backward_hooks", "_post_accumulate_grad_hooks"), self.hooks, strict=True):
            if getattr(live, name, None) is not hooks:
                setattr(live, name, hooks)
                changed = True
        return changed


def is_parameter(entry: Saved) -> TypeGuard[SavedTensor]:
    """Whether this is a parameter of a model."""
    return isinstance(entry, SavedTensor) and isinstance(entry.live, torch.nn.Parameter)


def _total(alias: Tensor) -> Tensor:
    values = alias if alias.layout is torch.strided else alias.to_dense()
    return bits(_dense(values)).sum(dtype=torch.int64)


def _storage_bytes(tensor: Tensor) -> int | None:
    return None if tensor.layout is not torch.strided or tensor.is_meta else tensor.untyped_storage().nbytes()


def _same_place(a: Tensor, b: Tensor) -> bool:
    """Same storage, shape, strides and type."""
    if a.shape != b.shape or a.dtype != b.dtype or a.layout != b.layout or a.device != b.device:
        return False
    if a.layout is not torch.strided or a.is_meta:
        return True
    same = a.untyped_storage()._cdata == b.untyped_storage()._cdata
    return same and a.storage_offset() == b.storage_offset() and a.stride() == b.stride()


def _overlaps(tensor: Tensor) -> bool:
    return any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))


def _dense(tensor: Tensor) -> Tensor:
    """Every element of memory once, of an expanded tensor too."""
    if not _overlaps(tensor):
        return tensor
    shape = [1 if step == 0 else size for step, size in zip(tensor.stride(), tensor.shape, strict=True)]
    return tensor.as_strided(shape, tensor.stride(), tensor.storage_offset())


def _copied(alias: Tensor) -> Tensor:
    if alias.layout is not torch.strided:
        return alias.clone()
    try:
        return _dense(alias).clone()
    except torch.OutOfMemoryError:
        return _dense(alias).to("cpu", copy=True)


def _put_back(live: Tensor, alias: Tensor, copy: Tensor) -> bool:
    """Write the values back where they differ by a bit; whether they did."""
    if alias.layout is not torch.strided:
        coalesced = alias.layout is not torch.sparse_coo or live.is_coalesced() == copy.is_coalesced()
        if _same_sparse(live, copy) and coalesced:
            return False
        live.copy_(copy)
        if not coalesced or live.layout is torch.sparse_coo:
            live._coalesced_(copy.is_coalesced())
        return True
    dense = _dense(alias)
    if torch.equal(bits(dense), bits(copy.to(dense.device))):
        return False
    dense.copy_(copy)
    return True


def _same_sparse(a: Tensor, b: Tensor) -> bool:
    if a.layout is torch.sparse_coo:
        pairs = [(a._indices(), b._indices()), (a._values(), b._values())]
    elif a.layout in (torch.sparse_csr, torch.sparse_bsr):
        pairs = [
            (a.crow_indices(), b.crow_indices()),
            (a.col_indices(), b.col_indices()),
            (a.values(), b.values()),
        ]
    else:
        return False
    return all(x.shape == y.shape and torch.equal(bits(x), bits(y)) for x, y in pairs)
