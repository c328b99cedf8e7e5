"""Strict YAML: keys are the Python names of a command's options, and nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from ontogeny.errors import ConfigError, nearest

__all__ = ["add_config_option", "apply_config"]


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Give a command `--config FILE`."""
    parser.add_argument("--config", type=Path, help="YAML file whose keys are these options' names (with _ for -)")


def apply_config(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> argparse.Namespace:
    """Options from `--config`, where the command line did not set them.

    Args:
        parser: the command's own parser: it knows the options, their types and defaults.
        arguments: as parsed; one that still has its default takes the file's value.

    Returns:
        The same namespace, completed.

    Raises:
        ConfigError: a file that is not there or not a mapping, an unknown key, or a value of the wrong type.
    """
    if arguments.config is None:
        return arguments
    options = {action.dest: action for action in parser._actions if action.dest not in ("help", "config")}
    for key, value in _read(arguments.config).items():
        if key not in options:
            raise ConfigError(f"{arguments.config}: there is no option {key!r}. {nearest(str(key), options)}")
        if getattr(arguments, key) == options[key].default:
            setattr(arguments, key, _checked(arguments.config, options[key], value))
    return arguments


def _read(path: Path) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    return content


def _checked(path: Path, action: argparse.Action, value: Any) -> Any:
    if action.choices is not None and value not in action.choices:
        raise ConfigError(f"{path}: {action.dest} is one of {', '.join(map(str, action.choices))}, got {value!r}")
    if isinstance(action.default, bool | int) and type(value) is not type(action.default):
        kind = type(action.default).__name__
        raise ConfigError(f"{path}: {action.dest} should be of type {kind}, got {value!r}")
    return Path(str(value)) if isinstance(action.default, Path) else value
