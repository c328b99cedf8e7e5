"""Pooling: one layer's output for a batch -> one vector a stimulus.

mean          mean over tokens that are not padding, or over space
last          last token that is not padding
cls           first token
spatial_mean  mean over space (images), or over tokens of a vision transformer
flatten       everything, in order
a callable    (output, mask) -> batch x features; mask is batch x tokens (1: not padding) or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny.errors import FeatureError, nearest

__all__ = ["POOLINGS", "Pooling", "first_tensor", "pool", "pooling_name"]

PoolFunction = Callable[[Tensor, Tensor | None], Tensor]
Pooling = str | PoolFunction


def first_tensor(output: Any) -> Tensor | None:
    """The tensor in a module's output: itself, `last_hidden_state`, or the first one in a tuple or mapping."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        last = output.get("last_hidden_state")
        if isinstance(last, Tensor):
            return last
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        for part in output:
            found = first_tensor(part)
            if found is not None:
                return found
    return None


def _tokens(x: Tensor, mask: Tensor | None) -> Tensor:
    """Batch x tokens x features, and every token counts where there is no mask."""
    if x.ndim != 3:
        raise FeatureError(f"this pooling needs batch x tokens x features, got {tuple(x.shape)}")
    if mask is not None and mask.shape != x.shape[:2]:
        raise FeatureError(
            f"the layer gives {x.shape[1]} tokens a stimulus, the attention mask has {mask.shape[1]}; pass a callable "
            "pooling for a layer that changes the number of tokens"
        )
    return x


def _mean(x: Tensor, mask: Tensor | None) -> Tensor:
    if x.ndim != 3 or mask is None:
        return _spatial_mean(x, None)
    weights = mask.to(x.dtype)[:, :, None]
    return (_tokens(x, mask) * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


def _last(x: Tensor, mask: Tensor | None) -> Tensor:
    x = _tokens(x, mask)
    if mask is None:
        return x[:, -1]
    places = torch.arange(x.shape[1], device=x.device)
    last = (mask.to(torch.long) * places).argmax(dim=1)
    return x[torch.arange(len(x), device=x.device), last]


def _cls(x: Tensor, mask: Tensor | None) -> Tensor:
    return _tokens(x, mask)[:, 0]


def _spatial_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    del mask
    if x.ndim == 3:
        return x.mean(dim=1)
    return x.flatten(2).mean(dim=2) if x.ndim > 3 else x


def _flatten(x: Tensor, mask: Tensor | None) -> Tensor:
    del mask
    return x.flatten(1)


POOLINGS: Mapping[str, PoolFunction] = {
    "mean": _mean,
    "last": _last,
    "cls": _cls,
    "spatial_mean": _spatial_mean,
    "flatten": _flatten,
}


def pooling_name(pooling: Pooling) -> str:
    """How a pooling is called in scores.

    Raises:
        FeatureError: no pooling of that name.
    """
    if not isinstance(pooling, str):
        return getattr(pooling, "__name__", type(pooling).__name__)
    if pooling not in POOLINGS:
        raise FeatureError(f"there is no pooling {pooling!r}. {nearest(pooling, POOLINGS)}")
    return pooling


def pool(output: Any, mask: Tensor | None, pooling: Pooling, *, n_stimuli: int) -> Float[Tensor, "stimuli features"]:
    """One float32 vector a stimulus, detached and copied.

    Args:
        output: what the layer returned: a tensor, or a tuple or mapping with one.
        mask: batch x tokens, 1 where a token is not padding; None for images.
        pooling: see this module's docstring.
        n_stimuli: stimuli in the batch.

    Raises:
        FeatureError: no tensor, another batch size, or a shape that the pooling cannot use.
    """
    x = first_tensor(output)
    if x is None:
        raise FeatureError(f"the layer returned {type(output).__name__} without a tensor in it")
    if x.ndim == 0 or x.shape[0] != n_stimuli:
        raise FeatureError(
            f"the layer's output should start with the batch ({n_stimuli} stimuli), got shape {tuple(x.shape)}; choose "
            "another layer, or pass a callable pooling"
        )
    function = POOLINGS[pooling_name(pooling)] if isinstance(pooling, str) else pooling
    x = x.detach().float()
    pooled = x if x.ndim == 2 and isinstance(pooling, str) else function(x, mask)
    if pooled.ndim != 2 or pooled.shape[0] != n_stimuli:
        raise FeatureError(f"pooling should give {n_stimuli} stimuli x features, got {tuple(pooled.shape)}")
    return pooled.float().clone()
