"""Logs of trainers on disk: trainer_state.json, Lightning's metrics.csv, TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny._csv_files import csv_rows
from ontogeny.errors import DataError, require
from ontogeny.record.score import Score
from ontogeny.record.task_logs._task_rows import TrainerKind, task_rows, writer_of_keys
from ontogeny.record.task_logs.log import Log

__all__ = [
    "csv_logger",
    "from_csv_logger",
    "from_tensorboard",
    "from_trainer_state",
    "tensorboard",
    "trainer_state",
]

Location = str | os.PathLike[str]


def from_trainer_state(path: Location, *, run: str = "", metrics: Sequence[str] | None = None) -> list[Score]:
    """Losses and evaluations in a Hugging Face Trainer's `trainer_state.json`.

    Args:
        path: the file, a checkpoint folder, or a Trainer's output folder, of which the last checkpoint has it all.
        run: name of the run.
        metrics: which, as they are logged ("loss", "eval_loss"); None: all about the task.

    Raises:
        DataError: not there, not JSON, or no number in it.
    """
    log = trainer_state(path)
    return task_rows(log.logged(), "transformers", run=run, note="from trainer_state.json", metrics=metrics)


def trainer_state(path: Location) -> Log:
    """The log history of a Trainer, without its closing summary.

    Raises:
        DataError: not there, not JSON, or no history in it.
    """
    file = _state_file(Path(path))
    history = _json(file).get("log_history")
    if not isinstance(history, list):
        raise DataError(f"{file} has no log_history; is it the trainer_state.json of a Trainer?")
    entries = [e for e in history if isinstance(e, dict) and "step" in e and "train_runtime" not in e]
    return Log(place=str(file), rows=entries, step="step", writer="transformers")


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
    log = csv_logger(path)
    note = f"from {Path(log.place).name}"
    return task_rows(log.logged(), "lightning", run=run, note=note, metrics=metrics)


def csv_logger(path: Location) -> Log:
    """Lightning's `metrics.csv`, or the folder with it.

    Raises:
        DataError: not there, or no `step` column.
    """
    file = Path(path) / "metrics.csv" if Path(path).is_dir() else Path(path)
    rows = csv_rows(file)
    if not rows or "step" not in rows[0]:
        raise DataError(f"{file} has no column 'step'; is it the metrics.csv of Lightning's CSVLogger?")
    return Log(place=str(file), rows=rows, step="step", writer="lightning")


def from_tensorboard(
    path: Location, *, run: str = "", metrics: Sequence[str] | None = None, writer: TrainerKind | None = None
) -> list[Score]:
    """Scalars of TensorBoard event files. Our own (`alignment/...`, `task/...`) are in the record already.

    Args:
        path: an event file, or the folder with event files of one run, or with one such folder below it.
        run: name of the run.
        metrics: which tags; None: all about the task.
        writer: who wrote them; inferred from the tags where not given.

    Raises:
        DataError: no event file there, event files of several runs, or no number in them.
        MissingExtraError: tensorboard is not installed.
    """
    log = tensorboard(path)
    note = "from TensorBoard"
    return task_rows(log.logged(), writer or writer_of_keys(log.columns), run=run, note=note, metrics=metrics)


def tensorboard(path: Location) -> Log:
    """All scalars of one run, one per row.

    Raises:
        DataError: no event file there, or event files of several runs.
        MissingExtraError: tensorboard is not installed.
    """
    place = _event_place(Path(path))
    module = require("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
    events = module.EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    scalars = {tag: [(e.step, float(e.value)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    scalars |= _new_style(events)
    epochs = dict(scalars.get("epoch", ()))
    rows = [
        {"step": step, tag: value, **({"epoch": epochs[step]} if step in epochs else {})}
        for tag, points in scalars.items()
        for step, value in points
        if tag != "step"
    ]
    return Log(place=str(place), rows=rows, step="step", writer=writer_of_keys(scalars))


def _new_style(events: Any) -> dict[str, list[tuple[int, float]]]:
    """Scalars as TensorFlow 2 and `new_style=True` write them, which are tensors of one number."""
    util = require("tensorboard.util.tensor_util", "tensorboard")
    found = {}
    for tag in events.Tags()["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            found[tag] = [(e.step, float(util.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
    return found


def _event_place(place: Path) -> Path:
    """The file or folder itself, or the only folder below that has events."""
    if place.is_file() or any(place.glob("*tfevents*")):
        return place
    below = sorted({file.parent for file in place.rglob("*tfevents*")})
    if len(below) > 1:
        names = ", ".join(str(folder.relative_to(place)) for folder in below[:8])
        raise DataError(f"{place} has TensorBoard events of {len(below)} runs; name one of them: {names}")
    if not below:
        raise DataError(f"there is no TensorBoard event file at {place}")
    return below[0]


def _json(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}
