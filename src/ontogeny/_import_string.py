"""Addresses: "module:attribute", so that YAML and the command line can name an object."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ontogeny.errors import ConfigError, nearest

__all__ = ["import_from_string"]


def import_from_string(address: Any) -> Any:
    """The object at "module:attribute", looked for in the current folder too; anything but a text is given back.

    Raises:
        ConfigError: no such module or attribute, or one that cannot be imported.
    """
    if not isinstance(address, str):
        return address
    module, _, attribute = address.partition(":")
    if not module or not attribute:
        raise ConfigError(f"expected module:attribute, got {address!r}")
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"cannot load {address!r}: {error}; is the module in this folder or installed?") from error
    except (Exception, SystemExit) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"cannot load {address!r}: importing {module!r} raised {told}") from error
    finally:
        sys.path.remove("")
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"cannot load {address!r}: {module!r} has no {attribute!r}. {nearest(part, dir(found))}")
        found = getattr(found, part)
    return found
