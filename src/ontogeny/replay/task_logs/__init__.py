"""Task series for free: what a run logged, or others measured, read as task rows with their own step and source."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from ontogeny.errors import DataError
from ontogeny.replay.task_logs.lm_eval import from_lm_eval
from ontogeny.replay.task_logs.readers import from_csv_logger, from_tensorboard, from_trainer_state, from_wandb
from ontogeny.scores import Score

__all__ = ["from_csv_logger", "from_lm_eval", "from_tensorboard", "from_trainer_state", "from_wandb", "read_task_log"]


def read_task_log(path: str | os.PathLike[str], *, run: str = "") -> list[Score]:
    """Task rows of whatever log this is, told from its name and content.

    Args:
        path: trainer_state.json or a Trainer's folder, metrics.csv or its folder, TensorBoard events or their folder, a
            .wandb file or its folder, an exported W&B history (.csv, .json, .jsonl), or lm-evaluation-harness results.
        run: name of the run.

    Raises:
        DataError: nothing there, or nothing that is known.
    """
    place = Path(path)
    if not place.exists():
        raise DataError(f"there is no log at {place}")
    return _reader(place)(place, run=run)


def _reader(place: Path) -> Callable[..., list[Score]]:
    if place.is_dir():
        return _folder_reader(place)
    if place.suffix == ".wandb" or place.suffix == ".jsonl":
        return from_wandb
    if "tfevents" in place.name:
        return from_tensorboard
    if place.suffix == ".csv":
        with place.open(encoding="utf-8") as handle:
            head = handle.readline().strip().split(",")
        return from_wandb if "_step" in (name.strip('"') for name in head) else from_csv_logger
    if place.suffix == ".json":
        return _json_reader(place)
    raise DataError(f"{place} is no log that is known: trainer_state.json, metrics.csv, events, .wandb, or results")


def _folder_reader(place: Path) -> Callable[..., list[Score]]:
    if (place / "trainer_state.json").is_file() or any(place.glob("checkpoint-*/trainer_state.json")):
        return from_trainer_state
    if (place / "metrics.csv").is_file():
        return from_csv_logger
    if any(place.glob("*.wandb")):
        return from_wandb
    return from_tensorboard if any(place.glob("*tfevents*")) else from_lm_eval


def _json_reader(place: Path) -> Callable[..., list[Score]]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{place} cannot be read as JSON: {error}") from error
    if isinstance(content, list):
        return from_wandb
    return from_trainer_state if "log_history" in content else from_lm_eval
