"""`--config FILE`: strict YAML whose keys are the names of a verb's options, with _ for -."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclopts.argument import update_argument_collection

from ontogeny.errors import ConfigError, nearest

__all__ = ["YamlConfig"]


class YamlConfig:
    """Values of options that the command line did not set.

    Args:
        path: the file.

    Raises:
        ConfigError: a file that is not there or not a mapping.
    """

    def __init__(self, path: Path) -> None:
        import yaml

        self._path = path
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"--config: {path} cannot be read as YAML: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"--config: {path}: expected keys and values, got {type(content).__name__}")
        self._content = {key: value for key, value in content.items() if value is not None}

    def __call__(self, app: Any, _commands: Any, arguments: Any) -> None:
        """Give values to the arguments of a verb (called by cyclopts).

        Raises:
            ConfigError: there is no option of this name, or its value is of another kind.
        """
        known = {name.removeprefix("--").replace("-", "_"): one for one in arguments for name in one.names}
        for key, value in self._content.items():
            if key not in known:
                raise ConfigError(f"--config: {self._path}: there is no option {key!r}. {nearest(str(key), known)}")
            if known[key].hint is bool and not isinstance(value, bool):
                raise ConfigError(f"--config: {self._path}: {key} should be true or false, got {value!r}")
        source, apps = str(self._path), app.app_stack.stack[-1]
        update_argument_collection(self._content, source, arguments, apps, root_keys=(), allow_unknown=False)
