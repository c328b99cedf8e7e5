"""Where in a file's content the weights are: the usual places, and in words what is there instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ontogeny.errors import WeightsError, nearest
from ontogeny.replay._loading.state_dict import State

__all__ = ["inner"]

_USUAL = ("state_dict", "model", "model_state_dict", "state.model", "module")
_RAW = "current_model_state"
_AVERAGED = ("ema", "averag", "swa")
_TRAINING = ("optimizer", "optim", "scheduler", "lr_scheduler", "scaler", "rng", "loops", "callbacks")


def inner(content: Mapping[str, Any], key: str | None, where: str) -> State:
    """The state dict within a checkpoint.

    Args:
        content: of the file.
        key: where it is, with dots between levels ("state.model"); None: the content itself where it is all tensors,
            else the usual place that is there.
        where: for messages.

    Raises:
        WeightsError: nothing there, or no tensors; or raw and averaged weights side by side, and no key.
    """
    if key is None and _is_state(content.get(_RAW)):
        raise WeightsError(
            f"{where} is a Lightning checkpoint with averaged weights at 'state_dict' and those as trained at "
            f"{_RAW!r}; say which with key=, or give its folder in place of a template"
        )
    found = _usual(content) if key is None else _at(content, key)
    if not _is_state(found):
        there = list(_states(content))
        raise WeightsError(f"{where} {_instead(content, there) if key is None else _elsewhere(content, key, there)}")
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _usual(content: Mapping[str, Any]) -> Any:
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return content
    key = next((usual for usual in _USUAL if _is_state(_at(content, usual))), None)
    if key is not None:
        return _at(content, key)
    named = any(isinstance(value, Tensor) and "." in str(name) for name, value in content.items())
    return content if named and not any(map(_is_state, content.values())) else None


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def _states(content: Mapping[Any, Any], before: str = "") -> Iterator[str]:
    """Keys of what may be weights, two levels down; not what an optimizer keeps."""
    for name, value in content.items():
        if not isinstance(value, Mapping) or "param_groups" in value or str(name).startswith(_TRAINING):
            continue
        if _is_state(value):
            yield f"{before}{name}"
        elif not before:
            yield from _states(value, f"{name}.")


def _instead(content: Mapping[str, Any], there: list[str]) -> str:
    """What a file holds that has no weights at a usual place."""
    has = ", ".join(repr(str(name)) for name in list(content)[:8]) or "nothing"
    if "param_groups" in content:
        return "is the state of an optimizer, which holds no weights of the model; give the file of the model"
    averaged = [key for key in there if any(word in key.casefold() for word in _AVERAGED)]
    if there and averaged == there:
        return (
            f"holds averaged weights alone (at {', '.join(map(repr, there))}), and none as trained, which a live run "
            f"is read with. If you want the average, say so with key={there[0]!r}"
        )
    if there:
        return f"has no state_dict; weights are at {', '.join(map(repr, there[:8]))}. Say which with key={there[0]!r}"
    if any(str(name).startswith(_TRAINING) for name in content):
        return f"holds the state of training ({has}) and no weights of the model; give the file that has them"
    return f"holds no weights: it has {has}; expected a state_dict, names with tensors"


def _elsewhere(content: Mapping[str, Any], key: str, there: list[str]) -> str:
    if _at(content, key) is not None:
        kind = type(_at(content, key)).__name__
        return f"has no state_dict at {key!r} but a {kind}. {nearest(key, there)} Say which with key="
    return f"has no state_dict at {key!r}. {nearest(key, there or map(str, content))} Say which with key="
