"""Strict YAML for manifests and lists of models: known keys alone, and no path that leads out of the file's folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ontogeny.errors import ConfigError, nearest

__all__ = ["check_keys", "inside", "read_yaml"]


def read_yaml(file: Path) -> dict[Any, Any]:
    """The keys and values of a file.

    Raises:
        ConfigError: not there, not YAML, or something else than keys and values.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected keys and values, got {type(content).__name__}")
    return content


def check_keys(where: str, content: Mapping[Any, Any], known: Iterable[str]) -> None:
    """Refuse a key that is not known.

    Raises:
        ConfigError: there is one; the nearest that is known is named.
    """
    choices = tuple(known)
    for key in content:
        if key not in choices:
            raise ConfigError(f"{where}: there is no key {key!r}. {nearest(str(key), choices)}")


def inside(file: Path, what: str, place: str) -> Path:
    """A path that a file names, under the file's own folder.

    Raises:
        ConfigError: it leads out of that folder.
    """
    home, found = file.parent.resolve(), (file.parent / place).resolve()
    if not found.is_relative_to(home):
        raise ConfigError(f"{file}: {what} {place!r} leads out of {home}; name one under it")
    return found
