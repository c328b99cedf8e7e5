"""The history of a Weights & Biases run: its offline file, an export of it, or the run on the server."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny._csv_files import csv_rows
from ontogeny.errors import DataError, require
from ontogeny.record.score import Score
from ontogeny.record.task_logs._task_rows import TrainerKind, task_rows, writer_of_keys
from ontogeny.record.task_logs._wandb_offline_file import wandb_history
from ontogeny.record.task_logs.log import Log, step_column

__all__ = ["from_wandb", "is_wandb_run", "wandb_account_log", "wandb_log"]

Location = str | os.PathLike[str]

_RUN = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w. -]*/[A-Za-z0-9][\w-]*")
_SECONDS = 20


def from_wandb(
    path: Location,
    *,
    run: str = "",
    metrics: Sequence[str] | None = None,
    writer: TrainerKind | None = None,
    step: str = "",
) -> list[Score]:
    """The history of a Weights & Biases run.

    Args:
        path: an offline run's `.wandb` file or its folder (needs wandb), or an exported history as .csv, .json or
            .jsonl.
        run: name of the run.
        metrics: which keys; None: all about the task.
        writer: who logged them; inferred from the keys where not given.
        step: key that holds the optimizer updates; inferred from the keys where not given.

    Raises:
        DataError: not there, not a history, or no number in it.
        MissingExtraError: an offline run and wandb is not installed.
    """
    log = wandb_log(path, step=step)
    known_writer = writer or writer_of_keys(log.columns)
    return task_rows(log.logged(), known_writer, run=run, note=f"from {Path(log.place).name}", metrics=metrics)


def wandb_log(path: Location, *, step: str = "") -> Log:
    """The same, row by row.

    Raises:
        DataError: not there, not a history, or no step in it.
        MissingExtraError: an offline run and wandb is not installed.
    """
    file = _wandb_file(Path(path))
    return _log(list(_history(file)), str(file), step)


def is_wandb_run(name: str) -> bool:
    """Whether a name may be "entity/project/run"; never where it begins as something on this machine does."""
    return bool(_RUN.fullmatch(name)) and not Path(name.partition("/")[0]).exists()


def wandb_account_log(name: str, *, step: str = "") -> Log:
    """The history of a run on the server, all of its rows.

    Args:
        name: "entity/project/run", the last being the run's id.
        step: see `from_wandb`.

    Raises:
        DataError: no key, no connection, no such run, or no step in it.
        MissingExtraError: wandb is not installed.
    """
    wandb = require("wandb", "wandb")
    try:
        rows = list(wandb.Api(timeout=_SECONDS).run(name).scan_history())
    except Exception as error:
        raise DataError(
            f"there is nothing at {name} on this machine, and Weights & Biases did not give a run of that name: "
            f"{error}. It needs a connection and a key (`wandb login`, or the variable WANDB_API_KEY)"
        ) from error
    return _log(rows, name, step)


def _log(rows: Sequence[Mapping[str, Any]], place: str, step: str) -> Log:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return Log(place=place, rows=rows, step=step_column(keys, place, step), writer=writer_of_keys(keys))


def _wandb_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.wandb")) or sorted(path.glob("*run-*/*.wandb"))
    if len(found) > 1:
        names = ", ".join(str(file.relative_to(path)) for file in found[:8])
        raise DataError(f"{path} has {len(found)} Weights & Biases runs; name one of them: {names}")
    if not found:
        raise DataError(f"there is no Weights & Biases history at {path}")
    return found[0]


def _history(file: Path) -> Iterable[Mapping[str, Any]]:
    if file.suffix == ".wandb":
        return wandb_history(file)
    if file.suffix == ".csv":
        return csv_rows(file)
    try:
        text = file.read_text(encoding="utf-8")
        rows = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as {file.suffix.lstrip('.') or 'JSON lines'}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file} is not a list of rows; export the run's history, one object a row")
    return rows
