"""Logs: what a run logged, or others measured, from whatever it was written into. One reader for all that take logs.

open_log(source)       rows of a log: columns as they were written, with the step of each
curve_of(log, column)  one curve at the steps of the weights that its values belong to
read_task_log(path)    all about the task, as rows of a record

read.py                  open_log(): by what the source is
log.py                   Log: rows as they were written
_task_rows.py            how a logged step relates to weights; task rows
_logged_curve.py         a column -> a curve
_plain_tables.py         CSV, Parquet, DataFrame
_trainer_logs.py         trainer_state.json, metrics.csv, TensorBoard
_wandb_history.py        Weights & Biases: offline, exported, on the server
_wandb_offline_file.py   the offline file's format
_lm_eval.py              results of lm-evaluation-harness
"""

from __future__ import annotations

from ontogeny.record.task_logs._lm_eval import (
    from_lm_eval,
)
from ontogeny.record.task_logs._logged_curve import (
    LoggedCurve,
    curve_of,
)
from ontogeny.record.task_logs._task_rows import (
    TrainerKind,
)
from ontogeny.record.task_logs._trainer_logs import (
    from_csv_logger,
    from_tensorboard,
    from_trainer_state,
)
from ontogeny.record.task_logs._wandb_history import (
    from_wandb,
)
from ontogeny.record.task_logs.log import (
    Log,
)
from ontogeny.record.task_logs.read import (
    open_log,
    read_task_log,
)

__all__ = [
    "Log",
    "LoggedCurve",
    "TrainerKind",
    "curve_of",
    "from_csv_logger",
    "from_lm_eval",
    "from_tensorboard",
    "from_trainer_state",
    "from_wandb",
    "open_log",
    "read_task_log",
]
