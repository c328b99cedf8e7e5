"""Axes: which axis of a layer's output is the batch, which are positions (tokens, space), which are features.

They are found by changing one thing at a time: with one stimulus fewer the batch axis is shorter, with one token fewer
the token axis, with larger pictures the axes of space. What does not move is features. Where a model takes pictures of
one size only, the shape and the layer's own parameters decide, or nothing does and the layer is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ontogeny.errors import FeatureError

__all__ = ["Axes", "arranged", "batch_axis", "batch_first", "space_axes", "token_axes"]

Shape = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What the axes of one layer's output are.

    Args:
        batch: the axis of the stimuli.
        positions: the axes that are pooled over, tokens or space; empty where the output is one vector per stimulus;
            None where it cannot be told.
        per_token: whether there is one position per token of a text; else there are fewer, and "last" has no meaning.
        prefix: how many positions at the start are no places in the picture (class and register tokens), where the
            model says so.
        why: why the positions cannot be told.
    """

    batch: int = 0
    positions: tuple[int, ...] | None = ()
    per_token: bool = True
    prefix: int = 0
    why: str = ""


def batch_axis(more: Shape, fewer: Shape, n_more: int, n_fewer: int) -> int | None:
    """The one axis that has as many entries as there are stimuli, in two batches; None if there is none, or several."""
    if len(more) != len(fewer):
        return None
    found = [i for i, (a, b) in enumerate(zip(more, fewer, strict=True)) if (a, b) == (n_more, n_fewer)]
    moved = [i for i, (a, b) in enumerate(zip(more, fewer, strict=True)) if a != b]
    if n_more == n_fewer == 1:
        return found[0] if found else None
    return found[0] if len(found) == 1 and moved == found else None


def token_axes(longer: Shape, shorter: Shape | None, lengths: tuple[int, int], batch: int) -> Axes:
    """Of a layer that reads texts.

    Args:
        longer: shape of the output for texts of `lengths[0]` tokens.
        shorter: for texts of `lengths[1]` tokens; None where the model could not read these.
        lengths: see above.
        batch: the axis of the stimuli.
    """
    others = [i for i in range(len(longer)) if i != batch]
    if shorter is not None and len(shorter) == len(longer):
        found = [i for i in others if (longer[i], shorter[i]) == lengths]
        moved = [i for i in others if longer[i] != shorter[i]]
    else:
        found = moved = [i for i in others if longer[i] == lengths[0]]
    if len(found) == 1 and moved == found:
        return Axes(batch=batch, positions=(found[0],))
    if not moved and len(longer) <= 2:
        return Axes(batch=batch)
    fewer = shorter is not None and all(longer[i] <= lengths[0] and shorter[i] <= lengths[1] for i in moved)
    if len(moved) == 1 and fewer:
        return Axes(batch=batch, positions=(moved[0],), per_token=False)
    if len(moved) > 1:
        why = f"{len(moved)} axes of its output {tuple(longer)} grow with the text"
    elif moved:
        why = f"its output {tuple(longer)} does not have one entry for each of the {lengths[0]} tokens"
    else:
        why = f"no axis of its output {tuple(longer)} grows with the text"
    return Axes(batch=batch, positions=None, why=f"{why}; pass a callable pooling")


def space_axes(shape: Shape, larger: Shape | None, batch: int, module: nn.Module, *, square: bool = True) -> Axes:
    """Of a layer that sees pictures.

    Args:
        shape: of its output.
        larger: for pictures of twice the height and width; None where the model could not see these.
        batch: the axis of the stimuli.
        module: the layer, whose parameters are looked at where the shapes do not tell.
        square: whether the pictures are square.
    """
    others = [i for i in range(len(shape)) if i != batch]
    if len(others) <= 1:
        return Axes(batch=batch)
    moved = []
    if larger is not None and len(larger) == len(shape):
        moved = [i for i in others if shape[i] != larger[i]]
    if not moved:
        moved = (_by_shape(shape, others) if square else []) or _by_parameters(shape, others, module)
    if len(moved) == len(others) - 1 or (moved and len(others) > 3):
        return Axes(batch=batch, positions=tuple(moved))
    return Axes(
        batch=batch,
        positions=None,
        why=f"it cannot be told which axes of its output {tuple(shape)} are space; pass a callable pooling",
    )


def _by_shape(shape: Shape, others: list[int]) -> list[int]:
    """Height and width are alike and channels are not, where pictures are square."""
    if len(others) != 3:
        return []
    a, b, c = (shape[i] for i in others)
    if b == c != a:
        return others[1:]
    return others[:2] if a == b != c else []


def _by_parameters(shape: Shape, others: list[int], module: nn.Module) -> list[int]:
    """Norms act on channels, and so does whatever has the last parameters; of two axes of one size their kind decides.

    A LayerNorm's channels are the last axis, a BatchNorm's or a convolution's the first.
    """
    first, last = shape[others[0]], shape[others[-1]]
    owners = [m for m in module.modules() if list(m.parameters(recurse=False))]
    norms = [m for m in owners if "Norm" in type(m).__name__]
    sizes = {p.numel() for m in norms for p in m.parameters(recurse=False)}
    sizes = sizes or {getattr(m, "out_features", getattr(m, "out_channels", -1)) for m in owners[-1:]}
    if first != last:
        to_first, to_last = first in sizes, last in sizes
    else:
        names = " ".join(type(m).__name__ for m in norms or owners[-1:])
        to_first = "Batch" in names or "Group" in names or "Conv" in names
        to_last = "Layer" in names or "RMS" in names or "Linear" in names
    if to_last != to_first:
        return others[:-1] if to_last else others[1:]
    return []


def batch_first(x: Tensor, axes: Axes) -> Tensor:
    """The output with the stimuli as its first axis, else as the layer gave it."""
    return x.movedim(axes.batch, 0)


def arranged(x: Tensor, axes: Axes) -> Float[Tensor, "stimuli positions features"]:
    """Stimuli x positions x features; one position where the output is one vector per stimulus.

    Raises:
        FeatureError: which axes are positions cannot be told.
    """
    if axes.positions is None:
        raise FeatureError(axes.why)
    rest = [i for i in range(x.ndim) if i != axes.batch and i not in axes.positions]
    ordered = x.permute(axes.batch, *axes.positions, *rest)
    n = ordered.shape[0]
    positions = int(torch.tensor([x.shape[i] for i in axes.positions]).prod()) if axes.positions else 1
    return ordered.reshape(n, positions, -1)
