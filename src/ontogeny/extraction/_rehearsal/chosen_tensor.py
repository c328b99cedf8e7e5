"""Which tensor of a layer's output is read, and what its axes are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.extraction._forward.module_outputs import Path, first_tensor
from ontogeny.extraction._rehearsal.axes import Axes
from ontogeny.extraction.layers import Layer

__all__ = ["Chosen", "Entered", "choose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One tensor of a layer's output.

    Args:
        path: where it stands in the output.
        axes: what its axes are.
    """

    path: Path
    axes: Axes


class Entered:
    """Shapes of what enters the layers at their first calls."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}

    @contextmanager
    def watching(self, layers: Mapping[str, Layer]) -> Iterator[None]:
        """Note them in a forward pass."""
        with ExitStack() as hooks:
            for name, module in layers.items():
                if isinstance(module, nn.Module) and not isinstance(module, torch.jit.ScriptModule):
                    hook = module.register_forward_pre_hook(partial(self._note, name), with_kwargs=True)
                    hooks.callback(hook.remove)
            yield

    def _note(self, name: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = first_tensor((*args, kwargs))
        if given is not None and given.is_floating_point() and not given.is_nested:
            self.shapes.setdefault(name, tuple(given.shape))


def choose(
    found: Mapping[Path, Tensor], axes_of: Callable[[Path], Axes | str], entered: tuple[int, ...] | None, *, text: bool
) -> Chosen | str:
    """The first tensor, unless it has no positions (tokens, space) or features, and another one alone has.

    So a loss of each case, or weights of attention, before the hidden states are passed over; of several tensors with
    positions and features the first is what is handed on, as PyTorch and transformers have it, unless another one alone
    has the shape of what entered the layer and differs from the first in its features only.

    Args:
        found: the tensors in the output, in its order.
        axes_of: the axes of one of them, or why it has none that could be read.
        entered: shape of what enters the layer, where it is known.
        text: whether texts are read, where a tensor whose positions are not clear may be passed over too.

    Returns:
        The tensor, or why none can be read.
    """
    path = next(iter(found))
    first = axes_of(path)
    if len(found) == 1 or (isinstance(first, str) and found[path].ndim > 1):
        return first if isinstance(first, str) else Chosen(path=path, axes=first)
    if isinstance(first, Axes) and first.positions is None and not text:
        return Chosen(path=path, axes=first)
    known = {each: axes for each in found if isinstance(axes := axes_of(each), Axes)}
    placed = [each for each, axes in known.items() if axes.positions and found[each].ndim > 2]
    rivals = [each for each in placed[1:] if tuple(found[each].shape) == entered]
    if placed[:1] == [path] and len(rivals) == 1 and _differ_in_features(found, path, rivals[0], known[path]):
        return _unclear(found, [path, *rivals])
    if len(placed) > 1 and placed[0] != path:
        return _unclear(found, placed)
    chosen = next(iter(placed), path if isinstance(first, Axes) else next(iter(known), path))
    return Chosen(path=chosen, axes=known[chosen]) if chosen in known else str(first)


def _differ_in_features(found: Mapping[Path, Tensor], a: Path, b: Path, axes: Axes) -> bool:
    x, y = found[a].shape, found[b].shape
    kept = {axes.batch, *(axes.positions or ())}
    return len(x) == len(y) and x != y and all(x[i] == y[i] for i in kept)


def _unclear(found: Mapping[Path, Tensor], several: list[Path]) -> str:
    shapes = " and ".join(str(tuple(found[path].shape)) for path in several)
    return (
        f"it returns several tensors with positions, {shapes}, and it is not clear which is the layer's output; "
        "choose the layer inside that makes it"
    )
