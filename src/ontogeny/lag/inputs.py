"""Records, series and tables -> runs: alignment and performance on common steps, never interpolated."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ontogeny._arrays import Numbers
from ontogeny.errors import LagError, nearest, require
from ontogeny.lag.pair import leads
from ontogeny.lag.results import Leads
from ontogeny.series import Record, Series

__all__ = ["Run", "paired", "run_from_record", "run_leads", "runs_from_table"]

_LOWER = ("loss", "ppl", "perplexity", "bits", "nll", "error", "wer")
_THRESHOLDED = ("acc", "exact", "em", "error", "top1", "top5", "wer")

# Measured at one set of weights, by us or by somebody else: an evaluation of the trainer, one training batch, published
# results. Whatever else a source says is taken for an average.
_AT_THE_WEIGHTS = ("measured", "trainer_eval", "trainer_batch", "harness")

AVERAGED = (
    "Performance is a trainer's own averaged loss: it belongs to weights before each checkpoint, and averaging alone "
    "delays it. Measure the task at the probed weights instead (task=HeldOutLoss(...))."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One training run: two series on the same checkpoints.

    Args:
        name: of the run.
        steps: optimizer updates, rising.
        alignment: one value a checkpoint; NaN where missing.
        performance: one value a checkpoint; NaN where missing.
        group: runs of one group are replicates of each other (a model size); "" where there is one group only.
        higher_is_better: of performance.
        thresholded: whether performance is an accuracy or the like.
        averaged: whether performance is a trainer's own averaged loss.
    """

    name: str
    steps: Numbers
    alignment: Numbers
    performance: Numbers
    group: str = ""
    higher_is_better: bool = True
    thresholded: bool = False
    averaged: bool = False


def run_leads(run: Run, *, seed: int = 0, surrogates: int = 999) -> Leads:
    """`leads` of a run, with the warnings that its source calls for."""
    found = leads(
        run.steps,
        run.alignment,
        run.performance,
        higher_is_better=run.higher_is_better,
        smoothed=run.averaged,
        thresholded=run.thresholded,
        seed=seed,
        surrogates=surrogates,
    )
    return replace(found, warnings=(AVERAGED, *found.warnings)) if run.averaged else found


def paired(alignment: Series, performance: Series, *, name: str = "", group: str = "") -> Run:
    """Two series on the steps that both have.

    Raises:
        LagError: they share no step.
    """
    steps, at_a, at_p = np.intersect1d(alignment.steps, performance.steps, return_indices=True)
    if not len(steps):
        raise LagError(
            f"{alignment.name!r} and {performance.name!r} share no step: alignment has {_few(alignment.steps)}, "
            f"performance {_few(performance.steps)}. Values between checkpoints are not made up"
        )
    return Run(
        name=name or alignment.name,
        group=group,
        steps=steps,
        alignment=alignment.values[at_a],
        performance=performance.values[at_p],
        higher_is_better=not _is(performance.name, _LOWER),
        thresholded=_is(performance.name, _THRESHOLDED),
        averaged=performance.source not in _AT_THE_WEIGHTS,
    )


def _is(name: str, words: Sequence[str]) -> bool:
    """Whether a metric's name has one of the words in it, as "acc" is in "arc_easy acc_norm"."""
    parts = re.split(r"[^a-z0-9]+", name.lower())
    return any(part == word or (word == "acc" and part == "accuracy") for part in parts for word in words)


def _few(steps: Int[np.ndarray, " steps"]) -> str:
    return ", ".join(str(s) for s in steps[:5]) + (", ..." if len(steps) > 5 else "")


def run_from_record(record: Record, *, task: str = "loss", name: str = "", group: str = "", **columns: Any) -> Run:
    """One curve of a record against its task.

    Args:
        record: of one run.
        task: metric of the task rows, "loss" or "accuracy".
        name: of the run; the record's name and the curve's where not given.
        group: see `Run`.
        **columns: which curve, e.g. roi="IT", layer="head", metric="rsa-correlation-spearman"; see `Record.series`.

    Raises:
        RecordError: no such curve, or several.
        LagError: no task rows of that name, or no common step.
    """
    known = list(dict.fromkeys(s.metric for s in record.select(kind="task")))
    if task not in known:
        raise LagError(f"record {record.folder} has no task {task!r}. {nearest(task, known)}")
    alignment = record.series(**columns)
    return paired(
        alignment, _task(record, task), name=name or f"{record.run}: {alignment.name} against {task}", group=group
    )


def _task(record: Record, task: str) -> Series:
    """The task's series: what was measured at the probed weights, where there is any."""
    sources = {s.source for s in record.select(kind="task", metric=task) if s.value is not None}
    source = "measured" if "measured" in sources or not sources else sorted(sources)[0]
    return record.series(kind="task", metric=task, source=source)


def runs_from_table(
    path: str | os.PathLike[str],
    *,
    step: str = "step",
    alignment: str = "alignment",
    performance: str = "performance",
    run: str | None = None,
    group: str | None = None,
    higher_is_better: bool | None = None,
) -> list[Run]:
    """Runs of a CSV or Parquet file with one row a checkpoint.

    Args:
        path: the file.
        step: column of optimizer updates.
        alignment: column.
        performance: column.
        run: column that names the run; the whole file is one run where not given.
        group: column of the group.
        higher_is_better: of performance; told from the column's name where not given (loss, perplexity: lower).

    Raises:
        LagError: the file cannot be read, lacks a column, or holds text where numbers should be.
    """
    table = _numbers(_read(Path(path)), Path(path), [step, alignment, performance], [c for c in (run, group) if c])
    parts = [("", table)] if run is None else list(table.groupby(run, sort=False))
    higher = not _is(performance, _LOWER) if higher_is_better is None else higher_is_better
    return [
        Run(
            name=str(name) or Path(path).stem,
            group="" if group is None else str(part[group].iloc[0]),
            steps=part[step].to_numpy(dtype=np.float64),
            alignment=part[alignment].to_numpy(dtype=np.float64),
            performance=part[performance].to_numpy(dtype=np.float64),
            higher_is_better=higher,
            thresholded=_is(performance, _THRESHOLDED),
        )
        for name, part in parts
    ]


def _numbers(table: Any, path: Path, numbers: list[str], texts: list[str]) -> Any:
    """The table with numbers where they should be; a missing value stays one, text is an error."""
    for name in (*numbers, *texts):
        if name not in table.columns:
            raise LagError(f"{path} has no column {name!r}. {nearest(name, [str(c) for c in table.columns])}")
    read = table[numbers].apply(require("pandas", "tables").to_numeric, errors="coerce")
    broken = read.isna() & table[numbers].notna()
    for name in numbers:
        if broken[name].any():
            bad = table[name][broken[name]].iloc[0]
            raise LagError(f"{path}, column {name!r} holds text where a number should be: {bad!r}")
    return table.assign(**{name: read[name] for name in numbers})


def _read(path: Path) -> Any:
    pandas = require("pandas", "tables")
    try:
        return pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path)
    except (OSError, ValueError) as error:
        raise LagError(f"{path} cannot be read as {path.suffix.lstrip('.') or 'a table'}: {error}") from error
