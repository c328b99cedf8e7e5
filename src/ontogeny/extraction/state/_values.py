"""Tensors and arrays, by their values, shape and storage."""

from __future__ import annotations

import zlib
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ontogeny.extraction.state._entry import ITSELF, CannotRestoreError, Saved

__all__ = ["SavedArray", "SavedTensor", "bits", "is_leaf", "is_parameter"]

_ROW = 512
_LOOKED_INTO = 16
_STRIDE = -7046029254386353131  # 2**64 over the golden ratio
_WEIGHTS: dict[torch.device, Tensor] = {}
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class SavedArray:
    """A numpy array that can be written.

    Args:
        live: the array.
        copy: whether its values are copied; else a checksum is kept, which shows a change.
    """

    __slots__ = ("copy", "live", "total")

    def __init__(self, live: np.ndarray, *, copy: bool) -> None:
        self.live: Any = live
        self.copy = np.array(live, copy=True, subok=False) if copy else live[:0]
        self.total = None if copy else zlib.adler32(np.ascontiguousarray(live).data)

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        live, copy = self.live, self.copy
        if self.total is not None:
            if zlib.adler32(np.ascontiguousarray(live).data) != self.total:
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


class SavedTensor:
    """A tensor: its storage, shape, values, `requires_grad`, `grad` and hooks.

    Args:
        live: a dense or sparse tensor that has storage of its own.
        copy: whether its values are copied; else sums over their bits are kept, which show a change.
    """

    __slots__ = ("alias", "copy", "flags", "grad", "hooks", "live", "nbytes", "total")

    def __init__(self, live: Tensor, *, copy: bool) -> None:
        self.live = live
        self.alias = live.detach() if not live.is_nested else _memory(live)
        self.flags = live.requires_grad if is_leaf(live) else None
        self.grad = live.grad if self.flags is not None else None
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
        if not live.is_nested and not _same_place(live, self.alias):
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


def is_leaf(tensor: Tensor) -> bool:
    """Whether gradients end here; not for a view that autograd refuses to look at, since its base was written over.

    FSDP1 leaves such views where a module's weights were, with their memory freed.
    """
    try:
        return tensor.is_leaf
    except RuntimeError:
        return False


def is_parameter(entry: Saved) -> TypeGuard[SavedTensor]:
    """Whether this is a parameter of a model."""
    return isinstance(entry, SavedTensor) and isinstance(entry.live, torch.nn.Parameter)


def bits(tensor: Tensor) -> Tensor:
    """The tensor as integers in a row, so that NaN equals NaN and -0 is not 0."""
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1,))  # one number may have any stride
    size = flat.element_size()
    return flat.view(_INTEGERS.get(size, torch.int64)) if size in _INTEGERS or size % 8 == 0 else flat.view(torch.uint8)


def _total(alias: Tensor) -> Tensor:
    """Sums over all bits in which each row of 4 KB has a weight, and within each 16th row each word.

    So values that trade places are seen too, unless they all do so within rows of which none is a 16th. Eight bytes at
    a time where memory is laid out so: as fast as a plain sum, and fifteen times as fast as a copy.
    """
    values = alias if alias.layout is torch.strided else alias.to_dense()
    flat = bits(_dense(values))
    per_word = 8 // flat.element_size()
    rest = flat.numel() % per_word if flat.storage_offset() % per_word == 0 else flat.numel()
    words = flat[: flat.numel() - rest].view(torch.int64) if rest < flat.numel() else flat[:0].long()
    left = words.numel() % _ROW
    rows = words[: words.numel() - left].view(-1, _ROW)
    ends = (words[words.numel() - left :], flat[flat.numel() - rest :].long())
    parts = (rows.sum(dim=1), rows[::_LOOKED_INTO].sum(dim=0), *ends)
    return torch.stack([_weighted(part) for part in parts if part.numel()] or [flat.sum()])


def _weighted(words: Tensor) -> Tensor:
    """Sum with odd weights without order, so that no bit is lost; they are kept, since they are the same each time."""
    n, device = words.numel(), words.device
    kept = _WEIGHTS.get(device)
    if kept is None or len(kept) < n:
        kept = _WEIGHTS[device] = (torch.arange(1, max(n, _ROW) + 1, device=device) * _STRIDE) | 1
    return (words * kept[:n]).sum()


def _memory(tensor: Tensor) -> Tensor:
    """All bytes of a tensor's storage: of a nested one, which has no one shape."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


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
