"""Options of `watch` on the command line: names, types and help are those of `Options`, their one declaration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field, fields, make_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from ontogeny.monitoring.factory import Options

__all__ = ["given", "watch_options"]

_SWITCHES = {"true": True, "false": False, "none": False}
_ALSO = {"layers": "--layer"}  # the word that other verbs have for it


def watch_options(*names: str) -> Any:
    """A class of some options of `watch`, as far as a text can name them; None stands for one that was not given.

    Args:
        names: of `Options`.

    Raises:
        KeyError: there is no option of this name.
    """
    hints = get_type_hints(Options)
    typed = [(name, Annotated[_as_text(hints[name]), _parameter(name)], field(default=None)) for name in names]
    about = re.sub(r"\n {12}", " ", Options.__doc__ or "")
    made = make_dataclass(
        "WatchOptions", typed, frozen=True, kw_only=True, namespace={"__doc__": about, "__module__": __name__}
    )
    return Parameter(name="*", group="How the model is read")(made)


def given(options: Any) -> dict[str, Any]:
    """Those that were given, as `watch` takes them; true, false and none are no names where it takes a bool."""
    named = {one.name: getattr(options, one.name) for one in fields(options)}
    return {name: _switched(name, value) for name, value in named.items() if value is not None}


def _switched(name: str, value: Any) -> Any:
    parts = _parts(get_type_hints(Options)[name])
    word = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    can_be = bool in parts or Literal[False] in parts
    if can_be and isinstance(word, str) and word.lower() in _SWITCHES:
        return _SWITCHES[word.lower()]
    return list(value) if isinstance(value, tuple) else value


def _parameter(name: str) -> Parameter:
    return Parameter(alias=_ALSO.get(name), consume_multiple=1, show_choices=True)


def _as_text(hint: Any) -> Any:
    """The part of a type that a text can stand for: a list of names, a word of several, a number, an address."""
    parts = _parts(hint)
    if any(get_origin(part) is Sequence for part in parts):
        return tuple[str, ...] | None
    words = [part for part in parts if part in (str, int, float, bool) or _is_choice(part)]
    return words[0] | None


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_choice(part: Any) -> bool:
    return get_origin(part) is Literal and all(isinstance(word, str) for word in get_args(part))
