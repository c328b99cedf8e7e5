"""Pooling: one layer's output for a batch -> one vector per stimulus.

mean          mean over all tokens, or over space
mean_text     mean over the text's own tokens, without those that the tokenizer added ([CLS], [SEP], BOS, EOS)
last          last token of the text; tokens that the tokenizer added after it do not count
cls           first token
spatial_mean  mean over space; class and register tokens are left out where the model has `num_prefix_tokens` (timm)
flatten       everything, in order
a callable    (output, mask) -> batch x features; mask is batch x tokens (1: not padding) or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny.errors import FeatureError, nearest
from ontogeny.extraction._rehearsal.axes import Axes, arranged, batch_first

__all__ = ["POOLINGS", "Pooling", "pool", "pool_spans", "pooling_name"]

PoolFunction = Callable[[Tensor, Tensor | None], Tensor]
Pooling = str | PoolFunction


def _mean(x: Tensor, special: Tensor | None, axes: Axes) -> Tensor:
    del special, axes
    return x.mean(dim=1)


def _mean_text(x: Tensor, special: Tensor | None, axes: Axes) -> Tensor:
    del axes
    weights = _own(x, special)[:, :, None]
    return (x * weights).sum(dim=1) / weights.sum(dim=1)


def _last(x: Tensor, special: Tensor | None, axes: Axes) -> Tensor:
    del axes
    places = torch.arange(x.shape[1], device=x.device)
    last = (_own(x, special) * places).argmax(dim=1)
    return x[torch.arange(len(x), device=x.device), last]


def _own(x: Tensor, special: Tensor | None) -> Tensor:
    """1 for the text's own tokens."""
    if special is None or special.shape != x.shape[:2]:
        return torch.ones(x.shape[:2], device=x.device)
    return (~special).to(x.dtype)


def _cls(x: Tensor, special: Tensor | None, axes: Axes) -> Tensor:
    del special, axes
    return x[:, 0]


def _spatial_mean(x: Tensor, special: Tensor | None, axes: Axes) -> Tensor:
    del special
    return x[:, axes.prefix :].mean(dim=1)


POOLINGS: Mapping[str, Callable[[Tensor, Tensor | None, Axes], Tensor] | None] = {
    "mean": _mean,
    "mean_text": _mean_text,
    "last": _last,
    "cls": _cls,
    "spatial_mean": _spatial_mean,
    "flatten": None,
}
_OF_TOKENS = ("last", "cls", "mean_text")


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


def pool(
    x: Tensor, axes: Axes, pooling: Pooling, *, mask: Tensor | None = None, special: Tensor | None = None
) -> Float[Tensor, "stimuli features"]:
    """One float32 vector per stimulus, detached and copied.

    Args:
        x: what the layer returned.
        axes: what its axes are.
        pooling: see this module's docstring.
        mask: stimuli x tokens, for a callable pooling; None for images.
        special: stimuli x tokens, true where the tokenizer added a token; None where that is not known.

    Raises:
        FeatureError: a pooling that the output's axes do not allow, or a callable that gives another shape; an output
            that is no floating-point numbers.
    """
    n = x.shape[axes.batch]
    if not x.is_floating_point():
        raise FeatureError(f"features are floating-point numbers, and the layer gives {x.dtype}")
    x = x.detach().float()
    if callable(pooling):
        pooled = pooling(batch_first(x, axes), mask)
        if pooled.ndim != 2 or pooled.shape[0] != n:
            raise FeatureError(f"pooling should give {n} stimuli x features, got {tuple(pooled.shape)}")
        return pooled.float().clone()
    function = POOLINGS[pooling_name(pooling)]
    if function is None:
        return batch_first(x, axes).reshape(n, -1).clone()
    if pooling in _OF_TOKENS and axes.positions is not None and len(axes.positions) > 1:
        raise FeatureError(f"pooling {pooling!r} needs stimuli x tokens x features, got {tuple(x.shape)}")
    if pooling in _OF_TOKENS and not axes.per_token:
        raise FeatureError(f"pooling {pooling!r} needs one output per token, and the layer gives fewer; use 'mean'")
    if pooling == "mean_text" and special is None and mask is not None:
        raise FeatureError("pooling 'mean_text' needs a tokenizer that tells its special tokens; use 'mean'")
    return function(arranged(x, axes), special, axes).clone()


def pool_spans(x: Tensor, axes: Axes, spans: Tensor) -> Float[Tensor, "stimuli features"]:
    """Pooling "last" where several stimuli lie in one text, each as its beginning.

    Args:
        x: what the layer returned.
        axes: what its axes are.
        spans: text, first and last token of each stimulus.

    Raises:
        FeatureError: an output that is no floating-point numbers, or not one per token.
    """
    if not x.is_floating_point():
        raise FeatureError(f"features are floating-point numbers, and the layer gives {x.dtype}")
    if not axes.per_token or not axes.positions or len(axes.positions) > 1:
        raise FeatureError(f"pooling 'last' needs stimuli x tokens x features, got {tuple(x.shape)}")
    return arranged(x.detach().float(), axes)[spans[:, 0], spans[:, 2]]
