"""A device that is not there: tensors that say they are on a GPU, with their values on the CPU.

They behave as a GPU's do towards code that mixes devices: an operation with a tensor of the CPU is refused, and numbers
can only be read after `.cpu()`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

__all__ = ["OnGpu", "moved"]

moved: Counter[tuple[int, ...]] = Counter()
"""Shapes that were brought to the CPU."""


class OnGpu(torch.Tensor):
    """A tensor on the device "cuda:0" by its own account."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        """The same values, said to be elsewhere."""
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device="cuda:0", strides=inner.stride()
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run on the values; refuse what a GPU would refuse."""
        given, _ = tree_flatten((args, kwargs or {}))
        strangers = [t for t in given if isinstance(t, Tensor) and not isinstance(t, OnGpu) and t.ndim]
        if strangers:
            raise RuntimeError(f"{func}: expected all tensors on cuda:0, got one on {strangers[0].device}")
        options = tree_map(_values, kwargs or {})
        leaving = options.get("device") == torch.device("cpu")
        out = func(*tree_map(_values, args), **options)
        if leaving:
            moved[tuple(out.shape)] += 1
            return out
        return tree_map(lambda t: OnGpu(t) if isinstance(t, Tensor) else t, out)


def _values(value: Any) -> Any:
    return value.inner if isinstance(value, OnGpu) else value
