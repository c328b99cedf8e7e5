"""Addresses: "module:attribute", so that YAML and the command line can name an object."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ontogeny.errors import ConfigError

__all__ = ["object_at"]


def object_at(address: Any) -> Any:
    """The object at "module:attribute", looked for in the current folder too; anything but a text is given back.

    Raises:
        ConfigError: no such module or attribute.
    """
    if not isinstance(address, str):
        return address
    module, _, attribute = address.partition(":")
    if not module or not attribute:
        raise ConfigError(f"expected module:attribute, got {address!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot load {address!r}: {error}") from error
