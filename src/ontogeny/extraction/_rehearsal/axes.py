"""Axes: which axis of a layer's output is the batch, which are positions (tokens, space), which are features.

They are found by changing one thing at a time: with one stimulus fewer the batch axis is shorter, with one token fewer
the token axis, with larger pictures the axes of space (`ontogeny.extraction._rehearsal.spatial_axes`). What does not
move is features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny.errors import FeatureError

__all__ = ["Axes", "arranged", "batch_axis", "batch_first", "token_axes"]

Shape = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What the axes of one layer's output are.

    Args:
        batch: the axis of the stimuli.
        positions: the axes that are pooled over, tokens or space; empty where the output is one vector per stimulus;
            None where it is not clear.
        per_token: whether there is one position per token of a text; else there are fewer, and "last" has no meaning.
        prefix: how many positions at the start are no places in the picture (class and register tokens), where the
            model says so.
        why: why the positions are not clear.
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


def batch_first(x: Tensor, axes: Axes) -> Tensor:
    """The output with the stimuli as its first axis, else as the layer gave it."""
    return x.movedim(axes.batch, 0)


def arranged(x: Tensor, axes: Axes) -> Float[Tensor, "stimuli positions features"]:
    """Stimuli x positions x features; one position where the output is one vector per stimulus.

    Raises:
        FeatureError: which axes are positions is not clear.
    """
    if axes.positions is None:
        raise FeatureError(axes.why)
    rest = [i for i in range(x.ndim) if i != axes.batch and i not in axes.positions]
    ordered = x.permute(axes.batch, *axes.positions, *rest)
    n = ordered.shape[0]
    positions = int(torch.tensor([x.shape[i] for i in axes.positions]).prod()) if axes.positions else 1
    return ordered.reshape(n, positions, -1)
