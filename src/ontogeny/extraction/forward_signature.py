"""What a model's forward pass takes, looked for through the wrappers around it."""

from __future__ import annotations

import inspect

from torch import nn

from ontogeny.extraction.layers import plain_model

__all__ = ["NAMED", "PLACED", "insides", "parameters"]

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
PLACED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
_INNER = ("base_model", "module", "_orig_mod", "model")


def insides(model: nn.Module) -> list[nn.Module]:
    """The model and the models that it wraps: compiled, data parallel, adapters of peft, forward(*args, **kwargs)."""
    found = [plain_model(model)]
    while (inner := _inner(found[-1])) is not None and all(inner is not each for each in found):
        found.append(plain_model(inner))
    return found


def parameters(model: nn.Module) -> list[inspect.Parameter]:
    """Those of `forward`; none where it tells of none, as in TorchScript."""
    try:
        return list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return []


def _inner(model: nn.Module) -> nn.Module | None:
    if callable(base := getattr(model, "get_base_model", None)):
        inner = base()
        return inner if isinstance(inner, nn.Module) else None
    if any(p.kind in (*NAMED, *PLACED) for p in parameters(model)):
        return None
    children = list(model.children())
    found = [getattr(model, name, None) for name in _INNER] + (children if len(children) == 1 else [])
    return next((inner for inner in found if isinstance(inner, nn.Module)), None)
