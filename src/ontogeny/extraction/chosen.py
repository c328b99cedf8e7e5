"""Which tensor of a layer's output is read, and what its axes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ontogeny.extraction.axes import Axes
from ontogeny.extraction.outputs import Path

__all__ = ["Chosen", "choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One tensor of a layer's output.

    Args:
        path: where it stands in the output.
        axes: what its axes are.
    """

    path: Path
    axes: Axes


def choose(found: Mapping[Path, Tensor], axes_of: Callable[[Path], Axes | str], *, text: bool) -> Chosen | str:
    """The first tensor, unless it has no positions (tokens, space), or is one number, and another one alone has.

    So a loss of each case, or weights of attention, before the hidden states are passed over; of several tensors with
    positions the first is what is handed on, as PyTorch and transformers have it.

    Args:
        found: the tensors in the output, in its order.
        axes_of: the axes of one of them, or why it has none that could be read.
        text: whether texts are read, where a tensor whose positions cannot be told may be passed over too.

    Returns:
        The tensor, or why none can be read.
    """
    paths = list(found)
    first = axes_of(paths[0])
    if isinstance(first, Axes) and (_has_places(first) or (first.positions is None and not text)):
        return Chosen(path=paths[0], axes=first)
    if isinstance(first, str) and found[paths[0]].ndim > 1:
        return first
    others = {path: axes for path in paths[1:] if isinstance(axes := axes_of(path), Axes)}
    placed = {path: axes for path, axes in others.items() if _has_places(axes) and found[path].ndim > 2}
    if len(placed) > 1:
        shapes = ", ".join(str(tuple(found[path].shape)) for path in placed)
        return (
            f"it returns several tensors ({tuple(found[paths[0]].shape)}, and with positions {shapes}), and it cannot "
            "be told which is the layer's output; choose the layer inside that makes it"
        )
    path, axes = next(iter(placed.items()), (paths[0], first))
    if isinstance(axes, str):
        path, axes = next(iter(others.items()), (path, axes))
    return axes if isinstance(axes, str) else Chosen(path=path, axes=axes)


def _has_places(axes: Axes) -> bool:
    return bool(axes.positions)
