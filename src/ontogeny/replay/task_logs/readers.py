"""Logs of trainers on disk: trainer_state.json, Lightning's metrics.csv, TensorBoard, W&B offline or exported."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, require
from ontogeny.replay.task_logs.rows import Logged, Writer, task_rows, told_writer
from ontogeny.replay.task_logs.wandb_file import wandb_history
from ontogeny.scores import Score

__all__ = ["from_csv_logger", "from_tensorboard", "from_trainer_state", "from_wandb"]

Location = str | os.PathLike[str]

_STEP_KEYS = ("train/global_step", "trainer/global_step", "global_step", "step", "_step")


def from_trainer_state(path: Location, *, run: str = "", metrics: Sequence[str] | None = None) -> list[Score]:
    """Losses and evaluations in a Hugging Face Trainer's `trainer_state.json`.

    Args:
        path: the file, a checkpoint folder, or a Trainer's output folder, of which the last checkpoint has it all.
        run: name of the run.
        metrics: which, as they are logged ("loss", "eval_loss"); None: all about the task.

    Raises:
        DataError: not there, not JSON, or no number in it.
    """
    file = _state_file(Path(path))
    history = _json(file).get("log_history")
    if not isinstance(history, list):
        raise DataError(f"{file} has no log_history; is it the trainer_state.json of a Trainer?")
    entries = [e for e in history if isinstance(e, dict) and "step" in e and "train_runtime" not in e]
    logged = [one for entry in entries for one in _numbers(entry, int(entry["step"]))]
    return task_rows(logged, "transformers", run=run, note=f"from {file.name}", metrics=metrics)


def _state_file(path: Path) -> Path:
    if path.is_file():
        return path
    here = [path / "trainer_state.json"] if (path / "trainer_state.json").is_file() else []
    below = [p for p in path.glob("checkpoint-*/trainer_state.json") if p.parent.name.rpartition("-")[2].isdigit()]
    found = here or sorted(below, key=lambda p: int(p.parent.name.rpartition("-")[2]))
    if not found:
        raise DataError(f"there is no trainer_state.json at {path} nor in a checkpoint-N folder of it")
    return found[-1]


def from_csv_logger(path: Location, *, run: str = "", metrics: Sequence[str] | None = None) -> list[Score]:
    """Lightning's `metrics.csv`.

    Args:
        path: the file, or the `version_N` folder with it.
        run: name of the run.
        metrics: which columns; None: all about the task.

    Raises:
        DataError: not there, no `step` column, or no number in it.
    """
    file = Path(path) / "metrics.csv" if Path(path).is_dir() else Path(path)
    rows = _csv(file)
    if not rows or "step" not in rows[0]:
        raise DataError(f"{file} has no column 'step'; is it the metrics.csv of Lightning's CSVLogger?")
    logged = [one for row in rows if row["step"] for one in _numbers(row, int(float(row["step"])))]
    return task_rows(logged, "lightning", run=run, note=f"from {file.name}", metrics=metrics)


def from_tensorboard(
    path: Location, *, run: str = "", metrics: Sequence[str] | None = None, writer: Writer | None = None
) -> list[Score]:
    """Scalars of TensorBoard event files. Our own (`alignment/...`, `task/...`) are in the record already.

    Args:
        path: an event file, or the folder with event files of one run.
        run: name of the run.
        metrics: which tags; None: all about the task.
        writer: who wrote them; told from the tags where not given.

    Raises:
        DataError: no event file there, or no number in it.
        MissingExtraError: tensorboard is not installed.
    """
    place = Path(path)
    if not place.is_file() and not any(place.glob("*tfevents*")):
        raise DataError(f"there is no TensorBoard event file at {place}")
    module = require("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
    events = module.EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    epochs = {e.step: e.value for e in events.Scalars("epoch")} if "epoch" in tags else {}
    logged = [
        Logged(step=e.step, metric=tag, value=float(e.value), epoch=epochs.get(e.step))
        for tag in tags
        for e in events.Scalars(tag)
    ]
    return task_rows(logged, writer or told_writer(tags), run=run, note="from TensorBoard", metrics=metrics)


def from_wandb(
    path: Location, *, run: str = "", metrics: Sequence[str] | None = None, writer: Writer | None = None, step: str = ""
) -> list[Score]:
    """The history of a Weights & Biases run.

    Args:
        path: an offline run's `.wandb` file or its folder (needs wandb), or an exported history as .csv, .json or
            .jsonl.
        run: name of the run.
        metrics: which keys; None: all about the task.
        writer: who logged them; told from the keys where not given.
        step: key that holds the optimizer updates; told from the keys where not given.

    Raises:
        DataError: not there, not a history, or no number in it.
        MissingExtraError: an offline run and wandb is not installed.
    """
    file = _wandb_file(Path(path))
    rows = list(_history(file))
    keys = list(dict.fromkeys(key for row in rows for key in row))
    by = step or next((key for key in _STEP_KEYS if key in keys), "")
    if by not in keys:
        raise DataError(f"{file} has no step: none of its keys is {by or ' or '.join(_STEP_KEYS)}; name it with step=")
    logged = [one for row in rows if _number(row.get(by)) is not None for one in _numbers(row, int(float(row[by])))]
    return task_rows(logged, writer or told_writer(keys), run=run, note=f"from {file.name}", metrics=metrics)


def _wandb_file(path: Path) -> Path:
    found = sorted(path.glob("*.wandb")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise DataError(f"there is no Weights & Biases history at {path}")
    return found[0]


def _history(file: Path) -> Iterable[Mapping[str, Any]]:
    if file.suffix == ".wandb":
        return wandb_history(file)
    if file.suffix == ".csv":
        return _csv(file)
    try:
        text = file.read_text(encoding="utf-8")
        rows = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as {file.suffix.lstrip('.') or 'JSON lines'}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file} is not a list of rows; export the run's history, one object a row")
    return rows


def _csv(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as CSV: {error}") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _numbers(row: Mapping[str, Any], step: int) -> Iterator[Logged]:
    epoch = _number(row.get("epoch"))
    for name, text in row.items():
        value = _number(text)
        if value is not None:
            yield Logged(step=step, metric=str(name), value=value, epoch=epoch)


def _number(value: Any) -> float | None:
    """A number, also NaN; None for text, truth values and nothing."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if not math.isinf(number) or not isinstance(value, str) else None
