"""Many finished models: a list in YAML, each a series of one checkpoint, and what is known about how good they are.

    models:
      - EleutherAI/pythia-70m-deduped        # a repository of the hub
      - id: timm/resnet18.a1_in1k
        name: resnet18                       # default: the id
        family: resnet                       # to draw models by families; default: none
        parameters: 11689512                 # default: counted when it is loaded
        revision: main                       # branch, tag or commit; default: main
      - timm: vit_base_patch16_224.augreg_in21k    # a name of timm's: the repository timm/<name>
        performance: {imagenet: 0.845}
    tables:                                  # more columns of performance, from CSV files
      - path: leaderboard.csv                # under the list's own folder
        key: model                           # its column with the model's name, id or timm name
        columns: {mmlu: MMLU}                # our name: the table's; default: every column of numbers

A model that a table lacks, and a row of a table that no model of the list has, are in `ModelList.problems`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ontogeny._display import one_line
from ontogeny.errors import CheckpointError, ConfigError
from ontogeny.replay._performance_tables import RESERVED, Table, joined, read_table
from ontogeny.replay._strict_yaml import check_keys, inside, read_yaml
from ontogeny.replay.checkpoint_series import CheckpointProblem, CheckpointSeries
from ontogeny.replay.sources import finished
from ontogeny.replay.sources.hub_client import repository

__all__ = ["Model", "ModelList", "read_models"]

_NAME = re.compile(r"[A-Za-z0-9][\w .+@=()-]*(/[A-Za-z0-9][\w .+@=()-]*)*")
_TIMM = "timm/"
_OF_MODEL = ("id", "timm", "name", "family", "parameters", "revision", "performance")
_OF_TABLE = ("path", "key", "columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One finished model.

    Args:
        id: repository of the hub.
        name: what it is called in tables and records.
        family: models of one family are no independent cases; "" where not said.
        parameters: how many; None: as counted when it was loaded.
        revision: branch, tag or commit.
        performance: name -> value, as the list and its tables say it.
    """

    id: str
    name: str
    family: str = ""
    parameters: int | None = None
    revision: str = "main"
    performance: Mapping[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the folder of its record, one level."""
        return self.name.replace("/", "--")

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a table may call it: its name, its id, and its name in timm."""
        timm = (self.id.removeprefix(_TIMM),) if self.id.startswith(_TIMM) else ()
        return tuple(dict.fromkeys((self.name, self.id, *timm)))

    def series(self, *, cache_dir: str | os.PathLike[str] | None = None, **loading: Any) -> CheckpointSeries:
        """Its weights as a series of one checkpoint, at step 1; nothing is asked of the network before it is needed.

        Args:
            cache_dir: see `sources.hub`.
            **loading: see `Loading`.

        Raises:
            ConfigError: an unknown option.
        """
        return finished(self.id, revision=self.revision, name=self.name, cache_dir=cache_dir, **loading)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """Finished models, in the order of their file.

    Args:
        models: with all that is known of their performance.
        columns: names of all performance values, in the order of the file.
        problems: what models and tables do not have of each other.
    """

    models: tuple[Model, ...]
    columns: tuple[str, ...] = ()
    problems: tuple[CheckpointProblem, ...] = ()

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.models)


def read_models(path: str | os.PathLike[str]) -> ModelList:
    """A list of models from its file and the tables beside it; nothing is asked of the network.

    Args:
        path: YAML, as at the top of this module.

    Raises:
        ConfigError: not there, not YAML, an unknown or missing key, a value that cannot be, two models of one name, or
            a table that cannot be read.
    """
    file = Path(path)
    content = read_yaml(file)
    check_keys(str(file), content, ("models", "tables"))
    entries = _list(file, content, "models")
    if not entries:
        raise ConfigError(f"{file}: models holds at least one, an id or keys and values; there is none")
    models = [_model(f"{file}: models[{place}]", entry) for place, entry in enumerate(entries)]
    _unlike(file, models)
    tables = [_table(file, place, entry) for place, entry in enumerate(_list(file, content, "tables"))]
    inline = {model.name: model.performance for model in models}
    values, columns, problems = joined(inline, {model.name: model.aliases for model in models}, tables)
    complete = tuple(replace(model, performance=values[model.name]) for model in models)
    return ModelList(models=complete, columns=columns, problems=problems)


def _list(file: Path, content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ConfigError(f"{file}: {key} is a list, got {value!r}")
    return value


def _model(where: str, entry: Any) -> Model:
    entry_dict = {"id": entry} if isinstance(entry, str) else entry
    if not isinstance(entry_dict, dict):
        raise ConfigError(f"{where} is an id or keys and values, got {entry!r}")
    check_keys(where, entry_dict, _OF_MODEL)
    if ("id" in entry_dict) == ("timm" in entry_dict):
        got = "both" if "id" in entry_dict else "neither"
        raise ConfigError(f"{where} needs either id, a repository of the hub, or timm, a name of timm's; it has {got}")
    for key in ("id", "timm", "name", "family", "revision"):
        if key in entry_dict and (not isinstance(entry_dict[key], str) or not entry_dict[key].strip()):
            raise ConfigError(f"{where}: {key} is a text, got {entry_dict[key]!r}")
    number = entry_dict.get("parameters")
    if number is not None and (type(number) is not int or number < 1):
        raise ConfigError(f"{where}: parameters is a whole number above 0, got {number!r}")
    model = Model(
        id=entry_dict["id"] if "id" in entry_dict else _TIMM + entry_dict["timm"],
        name=entry_dict.get("name") or entry_dict.get("id") or _TIMM + entry_dict["timm"],
        family=entry_dict.get("family", ""),
        parameters=number,
        revision=entry_dict.get("revision", "main"),
        performance=_performance(where, entry_dict.get("performance") or {}),
    )
    return _named(where, model)


def _named(where: str, model: Model) -> Model:
    """A model whose id and name can be part of a path."""
    try:
        repository(model.id)
    except CheckpointError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not _NAME.fullmatch(model.name) or ".." in model.name:
        raise ConfigError(
            f"{where}: the name {model.name!r} cannot be that of a folder; use letters, digits and ._+-, and / "
            "between parts"
        )
    return model


def _performance(where: str, given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: performance holds names and numbers, got {given!r}")
    for name, value in given.items():
        if not isinstance(name, str) or type(value) not in (int, float) or not math.isfinite(value):
            raise ConfigError(f"{where}: performance holds names and numbers, got {name!r}: {value!r}")
        _free(where, name)
    return {name: float(value) for name, value in given.items()}


def _free(where: str, column: str) -> None:
    if column in RESERVED:
        raise ConfigError(f"{where}: {column!r} is a column of the table of scores; rename this performance")


def _unlike(file: Path, models: list[Model]) -> None:
    seen: dict[str, str] = {}
    for model in models:
        first = seen.setdefault(model.folder.casefold(), model.name)
        if first is not model.name:
            raise ConfigError(
                f"{file}: {model.name!r} and {first!r} would be one record, {model.folder}; give one another name"
            )


def _table(file: Path, place: int, entry: Any) -> Table:
    where = f"{file}: tables[{place}]"
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} holds path, key and columns, got {entry!r}")
    check_keys(where, entry, _OF_TABLE)
    for key in ("path", "key"):
        if not isinstance(entry.get(key), str):
            raise ConfigError(f"{where} needs {key}, as a text")
    columns = entry.get("columns")
    if columns is not None and not (
        isinstance(columns, dict) and columns and all(isinstance(t, str) for t in (*columns, *columns.values()))
    ):
        raise ConfigError(f"{where}: columns holds our names and the table's, got {columns!r}")
    table = read_table(inside(file, "path", entry["path"]), key=entry["key"], columns=columns, where=where)
    for column in table.columns:
        _free(where, column)
    return table
