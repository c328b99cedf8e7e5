"""What a forward pass of a rehearsal gave, and whether two of them are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ontogeny.extraction._forward.hooked_pass import Key
from ontogeny.extraction._forward.module_outputs import Path, tensors, whole
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen

__all__ = ["Key", "Outputs", "alike", "width"]

_ALIKE = {torch.float64: 1e-4, torch.float32: 1e-4}


@dataclass(slots=True)
class Outputs:
    """One forward pass.

    Args:
        caught: layer and call -> the tensors in its output.
        kinds: layer and call -> type of its output.
        returned: what the model returned.
        failed: whether it went wrong.
    """

    caught: dict[Key, dict[Path, Tensor]] = field(default_factory=dict)
    kinds: dict[Key, str] = field(default_factory=dict)
    returned: Any = None
    failed: bool = False

    def tensor(self, key: Key, path: Path) -> Tensor | None:
        """One tensor of one call's output."""
        return self.caught.get(key, {}).get(path)

    def take(self, name: str, number: int, output: Any) -> None:
        """Copy the tensors of one call."""
        self.caught[name, number] = {path: whole(tensor).clone() for path, tensor in tensors(output).items()}
        self.kinds[name, number] = type(output).__name__


def alike(a: Tensor | None, b: Tensor | None) -> bool:
    """Equal up to rounding; what is not finite is left to others."""
    if a is None or b is None or a.shape != b.shape:
        return a is b
    x, y = a.double(), b.double()
    if not bool(torch.isfinite(x).all()):
        return True
    return bool((x - y).norm() <= _ALIKE.get(a.dtype, 5e-2) * x.norm())


def width(x: Tensor | None, chosen: Chosen) -> int:
    """Features per stimulus once the positions are pooled over."""
    pooled = {chosen.axes.batch, *(chosen.axes.positions or ())}
    return 0 if x is None else math.prod(size for i, size in enumerate(x.shape) if i not in pooled)
