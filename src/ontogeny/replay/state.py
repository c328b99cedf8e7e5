"""Weights out of files and into models: safe to read, strict to load, finite.

Only `torch.load(weights_only=True)` and safetensors, so that no code in a file is run.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ontogeny.addresses import object_at
from ontogeny.errors import ConfigError, WeightsError, nearest, require

if TYPE_CHECKING:
    pass

__all__ = [
    "Factory",
    "State",
    "all_finite",
    "damage",
    "inner",
    "load_into",
    "make",
    "read",
    "resolve",
    "stripped",
    "why",
]

State = Mapping[str, Tensor]
Factory = str | Callable[..., nn.Module]

_USUAL = ("state_dict", "model", "model_state_dict", "state.model", "module")
_WRAPPERS = ("module.", "_orig_mod.")


def read(path: Path, *, allow: Sequence[Any] = ()) -> Mapping[str, Any]:
    """Content of a .safetensors file, or of one that `torch.save` wrote, on the CPU.

    Args:
        path: the file.
        allow: classes beside tensors and plain Python that may be in it (`torch.serialization.safe_globals`).

    Raises:
        WeightsError: not there, half-written, or with objects in it that would have to run code.
    """
    if reason := damage(path):
        raise WeightsError(f"{path}: {reason}")
    try:
        if path.suffix == ".safetensors":
            return dict(require("safetensors.torch", "hub").load_file(str(path)))
        with torch.serialization.safe_globals([argparse.Namespace, *allow]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise WeightsError(f"{path} {why(error)}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a mapping with weights; save a state_dict")
    return content


def damage(path: Path) -> str | None:
    """Why a weights file cannot be whole, told from its size and directory alone; None if nothing shows."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if not size:
        return "is empty (half-written?)"
    if path.suffix == ".safetensors":
        return _torn_safetensors(path, size)
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"PK"
    return "is cut off (half-written?): its directory is missing" if zipped and not zipfile.is_zipfile(path) else None


def _torn_safetensors(path: Path, size: int) -> str | None:
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > size:
            return f"is cut off (half-written?): its header has {length} bytes, the file {size}"
        try:
            header = json.loads(handle.read(length))
            ends = [int(about["data_offsets"][1]) for name, about in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return "has no readable header; it is not a safetensors file"
    whole = 8 + length + max(ends, default=0)
    return None if size == whole else f"has {size} bytes, its header announces {whole} (half-written?)"


def inner(content: Mapping[str, Any], key: str | None, where: str) -> State:
    """The state dict within a checkpoint.

    Args:
        content: of the file.
        key: where it is, with dots between levels ("state.model"); None: the content itself where it is all tensors,
            else the usual place that is there.
        where: for messages.

    Raises:
        WeightsError: nothing there, or no tensors.
    """
    if key is None:
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return content
        key = next((usual for usual in _USUAL if _is_state(_at(content, usual))), None)
    found = content if key is None else _at(content, key)
    if key is None or not _is_state(found):
        asked = "no state_dict" if key is None else f"no state_dict at {key!r}"
        raise WeightsError(
            f"{where} has {asked}. {nearest(key or 'state_dict', map(str, content))} Say which with key="
        )
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def stripped(state: State, prefix: str, where: str) -> State:
    """Only what begins with a prefix, without it; and without the `module.` or `_orig_mod.` that wrappers put in front.

    Raises:
        WeightsError: nothing begins with the prefix.
    """
    if prefix:
        kept = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if not kept:
            raise WeightsError(f"{where}: no weight's name begins with {prefix!r}. {nearest(prefix, state)}")
        state = kept
    for wrapper in _WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def load_into(model: nn.Module, state: State, where: str) -> nn.Module:
    """Put weights into a model, strictly, and set it to eval mode.

    Raises:
        WeightsError: weights missing, left over, of another shape, or not finite.
    """
    want = model.state_dict()
    missing, extra = [n for n in want if n not in state], [n for n in state if n not in want]
    if missing or extra:
        raise WeightsError(f"{where} does not fit {type(model).__name__}: {misfit(missing, extra)}")
    shapes = [
        f"{n}: {tuple(state[n].shape)}, the model has {tuple(want[n].shape)}"
        for n in want
        if state[n].shape != want[n].shape
    ]
    if shapes:
        raise WeightsError(f"{where} does not fit {type(model).__name__}: other shapes: {_few(shapes)}")
    model.load_state_dict(state, strict=True)
    return all_finite(model, where).eval()


def misfit(missing: Sequence[str], extra: Sequence[str]) -> str:
    """Which weights are missing from a file, and which the model does not have."""
    parts = [f"missing {len(missing)}: {_few(missing)}"] if missing else []
    parts += [f"unexpected {len(extra)}: {_few(extra)}"] if extra else []
    return "; ".join(parts) + ". Choose the model, key or prefix that belongs to these weights"


def all_finite(model: nn.Module, where: str) -> nn.Module:
    """The model, whose parameters are all finite and whose buffers have no NaN.

    One pass of `aminmax` over each tensor, without a copy: a NaN or an infinity shows in its extremes.

    Raises:
        WeightsError: one is not.
    """
    bad = [name for name, value in model.named_parameters() if not _finite(value, infinity=False)]
    bad += [name for name, value in model.named_buffers() if not _finite(value, infinity=True)]
    if bad:
        raise WeightsError(f"{where}: {len(bad)} weights are NaN or infinite: {_few(bad)}; this checkpoint is left out")
    return model


def _finite(value: Tensor, *, infinity: bool) -> bool:
    if not value.is_floating_point() or not value.numel() or value.is_meta:
        return True
    low, high = (float(end) for end in torch.aminmax(value.detach()))
    return low == low and high == high and (infinity or abs(low) != float("inf") != abs(high))


def resolve(model: Factory) -> Callable[..., nn.Module]:
    """A class or function; a text "module:attr" is imported, from the current folder too.

    Raises:
        ConfigError: not of that form, or not there.
    """
    found = object_at(model)
    if not callable(found):
        raise ConfigError(f"model {model!r} is a {type(found).__name__}, neither a class nor a function")
    return found  # type: ignore[no-any-return]


def make(factory: Callable[..., nn.Module], options: Mapping[str, Any], where: str) -> nn.Module:
    """A new model.

    Args:
        factory: class or function.
        options: what a class was made with when it was saved; those its constructor takes are passed. A function is
            called without any.
        where: for messages.

    Raises:
        WeightsError: it cannot be called like that, or returns no module.
    """
    try:
        model = factory(**_accepted(factory, options)) if inspect.isclass(factory) else factory()
    except TypeError as error:
        raise WeightsError(
            f"{where}: {getattr(factory, '__name__', factory)} cannot be made: {error}. Give a function without "
            "arguments instead"
        ) from error
    if not isinstance(model, nn.Module):
        raise WeightsError(f"{where}: model= gave a {type(model).__name__}, expected a torch module")
    return model


def _accepted(factory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(options)
    return {name: value for name, value in options.items() if name in parameters}


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def why(error: Exception) -> str:
    """In our words: torch's own advise to load it unsafely."""
    text = " ".join(str(error).split())
    if found := re.search(r"GLOBAL (\S+)", text):
        return (
            f"holds {found[1]}, for which code would have to be run; nothing was. Save only a state_dict, or name the "
            "class in allow= if you know it"
        )
    return f"cannot be read safely: {type(error).__name__}: {text[:200]}"
