"""A file, folder, table or run -> a log, by what it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ontogeny._csv_files import csv_rows
from ontogeny.errors import DataError
from ontogeny.record.score import Score
from ontogeny.record.task_logs._lm_eval import from_lm_eval
from ontogeny.record.task_logs._plain_tables import frame_rows, is_frame, parquet_rows
from ontogeny.record.task_logs._task_rows import task_rows, writer_of_keys
from ontogeny.record.task_logs._trainer_logs import (
    csv_logger,
    tensorboard,
    trainer_state,
)
from ontogeny.record.task_logs._wandb_history import is_wandb_run, wandb_account_log, wandb_log
from ontogeny.record.task_logs.log import Log, step_column

__all__ = ["open_log", "read_task_log"]

_KNOWN = (
    "CSV, Parquet, trainer_state.json, Lightning's metrics.csv, TensorBoard events, a .wandb file, an exported W&B "
    "history (.csv, .json, .jsonl), lm-evaluation-harness results, or entity/project/run of Weights & Biases"
)


def open_log(source: Any, *, step: str = "") -> Log:
    """The rows of a log, inferred from its name and content.

    Args:
        source: a path: a CSV or Parquet table, trainer_state.json or a Trainer's folder, metrics.csv or its folder,
            TensorBoard events or their folder, a .wandb file or its folder, an exported W&B history (.csv, .json,
            .jsonl), lm-evaluation-harness results or their folder; or "entity/project/run" of Weights & Biases, which
            is asked for only where nothing of that name is here; or a DataFrame (pandas, polars, pyarrow).
        step: column of the optimizer updates; inferred where not given.

    Raises:
        DataError: nothing there, nothing that is known, or no step in it.
        MissingExtraError: the library that reads it is not installed.
    """
    if not isinstance(source, str | os.PathLike):
        if not is_frame(source):
            raise DataError(f"a {type(source).__name__} is no log; expected a DataFrame or the path of {_KNOWN}")
        return _table(frame_rows(source), "the table", step)
    place = Path(source)
    if not place.exists():
        if is_wandb_run(str(source)):
            return wandb_account_log(str(source), step=step)
        raise DataError(f"there is no log at {place}; a log is {_KNOWN}")
    return _opener(place)(place, step)


def read_task_log(path: str | os.PathLike[str], *, run: str = "") -> list[Score]:
    """Task rows of whatever log this is.

    Args:
        path: see `open_log`.
        run: name of the run.

    Raises:
        DataError: nothing there, or nothing that is known.
    """
    if Path(path).exists() and _opener(Path(path)) is _lm_eval:
        return from_lm_eval(path, run=run)
    log = open_log(path)
    note = f"from {Path(log.place).name}" if log.writer is None or Path(log.place).is_file() else f"from {log.place}"
    return task_rows(log.logged(), log.writer or writer_of_keys(log.columns), run=run, note=note)


def _opener(place: Path) -> Callable[[Path, str], Log]:
    if place.is_dir():
        return _folder_opener(place)
    if place.suffix in (".wandb", ".jsonl"):
        return _wandb
    if "tfevents" in place.name:
        return _tensorboard
    if place.suffix == ".csv":
        return _csv
    if place.suffix in (".parquet", ".pq"):
        return _parquet
    if place.suffix == ".json":
        return _json_opener(place)
    raise DataError(f"{place} is no log that is known: {_KNOWN}")


def _folder_opener(place: Path) -> Callable[[Path, str], Log]:
    if (place / "trainer_state.json").is_file() or any(place.glob("checkpoint-*/trainer_state.json")):
        return _trainer_state
    if (place / "metrics.csv").is_file():
        return _csv
    if any(place.glob("*.wandb")) or any(place.glob("*run-*/*.wandb")):
        return _wandb
    if any(place.rglob("*tfevents*")):
        return _tensorboard
    if not any(place.rglob("*.json")):
        raise DataError(f"{place} is neither a record (it has no record.json) nor a log that is known: {_KNOWN}")
    return _lm_eval


def _json_opener(place: Path) -> Callable[[Path, str], Log]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{place} cannot be read as JSON: {error}") from error
    if isinstance(content, list):
        return _wandb
    return _trainer_state if "log_history" in content else _lm_eval


def _wandb(place: Path, step: str) -> Log:
    return wandb_log(place, step=step)


def _trainer_state(place: Path, step: str) -> Log:
    return _with_step(trainer_state(place), step)


def _tensorboard(place: Path, step: str) -> Log:
    return _with_step(tensorboard(place), step)


def _csv(place: Path, step: str) -> Log:
    """Lightning's by its name, W&B's by its own columns; else a table."""
    if place.is_dir() or place.name == "metrics.csv":
        return _with_step(csv_logger(place), step)
    rows = csv_rows(place)
    if rows and {"_step", "_timestamp", "train/global_step", "trainer/global_step"} & rows[0].keys():
        return wandb_log(place, step=step)
    return _table(rows, str(place), step)


def _parquet(place: Path, step: str) -> Log:
    return _table(parquet_rows(place), str(place), step)


def _lm_eval(place: Path, step: str) -> Log:
    at: dict[int, dict[str, Any]] = {}
    for score in from_lm_eval(place):
        at.setdefault(score.step, {"step": score.step})[score.metric] = score.value
    return _with_step(Log(place=str(place), rows=list(at.values()), step="step", source="harness"), step)


def _table(rows: Iterable[dict[str, Any]], place: str, step: str) -> Log:
    listed = list(rows)
    columns = list(dict.fromkeys(name for row in listed for name in row))
    if not listed:
        raise DataError(f"{place} has no rows; a line of names and a line per checkpoint are expected")
    return Log(place=place, rows=listed, step=step_column(columns, place, step), repeats=False)


def _with_step(log: Log, step: str) -> Log:
    """Another column of the step, where one was named."""
    if not step:
        return log
    return replace(log, step=step_column(log.columns, log.place, step))
