"""Addresses: "module:attribute" or "module:Class(option=1)", so that YAML and the command line can name an object."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ontogeny.errors import ConfigError, nearest

__all__ = ["call_with", "import_from_string", "made"]


def import_from_string(address: Any) -> Any:
    """The object at "module:attribute", looked for in the current folder too; anything but a text is given back.

    "module:Class(option=1)" calls what is found with these options, which are plain values.

    Raises:
        ConfigError: no such module or attribute, one that cannot be imported, or one that refuses its options.

    Example:
        >>> import_from_string("fractions:Fraction(1, denominator=3)")
        Fraction(1, 3)
    """
    if not isinstance(address, str):
        return address
    module, _, attribute = address.partition(":")
    if not module or not attribute:
        raise ConfigError(f"expected module:attribute, got {address!r}")
    if "(" in attribute:
        return call_with(import_from_string(address.partition("(")[0]), attribute, of=address)
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"cannot load {address!r}: {error}; is the module in this folder or installed?") from error
    except (Exception, SystemExit) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"cannot load {address!r}: importing {module!r} raised {message}") from error
    finally:
        sys.path.remove("")
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"cannot load {address!r}: {module!r} has no {attribute!r}. {nearest(part, dir(found))}")
        found = getattr(found, part)
    return found


def call_with(function: Callable[..., Any], text: str, *, of: str) -> Any:
    """A function or class called with the options of a text, "name(1, option='a')", which are plain values.

    Args:
        function: what is called.
        text: a name with options in brackets.
        of: what the user wrote, for errors.

    Raises:
        ConfigError: no plain values, or options that it refuses.
    """
    name, _, options = text.partition("(")
    try:
        call = ast.parse(f"called({options}", mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError("expected one call")
        given = [ast.literal_eval(value) for value in call.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigError(
            f"cannot read the options of {of!r}: {error}; expected plain values, {name}(option=1, name='a')"
        ) from error
    return made(function, given, named, of=repr(of))


def made(function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any], *, of: str) -> Any:
    """What a function or class gives for these options.

    Raises:
        ConfigError: it refuses them, in whatever way; `of` says what was asked for.
    """
    try:
        return function(*given, **named)
    except Exception as error:
        raise ConfigError(f"{of} refuses its options: {type(error).__name__}: {error}") from error
