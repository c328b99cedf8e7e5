"""What people have -> runs: tables and logs of every kind, through `ontogeny.record.task_logs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypedDict

from typing_extensions import Unpack

from ontogeny._csv_files import row_numbers
from ontogeny.errors import LagError
from ontogeny.lag.common_steps import FEWEST, Match
from ontogeny.lag.runs_from_records import Run, paired
from ontogeny.record.task_logs import Log, TrainerKind, curve_of, open_log
from ontogeny.record.task_logs.log import no_column

__all__ = ["Columns", "runs_of_log"]

_ALIGNMENT = ("alignment", "alignment/mean")
_PERFORMANCE = ("performance", "task/loss")


class Columns(TypedDict, total=False):
    """Names of columns.

    Args:
        alignment: "alignment" or "alignment/mean" where not given.
        performance: "performance" or "task/loss" where not given.
        step: optimizer updates; inferred where not given.
        run: names the run; the whole source is one run where not given.
        group: group of the run.
    """

    alignment: str
    performance: str
    step: str
    run: str
    group: str


def runs_of_log(
    source: Any,
    *,
    name: str = "",
    task_log: Any = None,
    higher_is_better: bool | None = None,
    match: Match = "same",
    writer: TrainerKind | None = None,
    **columns: Unpack[Columns],
) -> list[Run]:
    """Runs of a table or log in which alignment and performance stand, in the same rows or in rows of their own.

    Args:
        source: see `ontogeny.record.task_logs.open_log`: a CSV, Parquet or DataFrame table, a TensorBoard folder, a
            Weights & Biases run or export, trainer_state.json, metrics.csv, results of lm-evaluation-harness.
        name: of the run, where there is one.
        task_log: another log, in which performance stands, of the same run.
        higher_is_better: of performance; inferred from the column's name where not given (loss, perplexity: lower).
        match: how two series at different steps meet, see `ontogeny.lag.matched`.
        writer: whose log it is, where names do not tell: what Lightning logs at step k belongs to k + 1 updates.
        **columns: see `Columns`.

    Raises:
        DataError: it cannot be read, lacks a column, or has in it what is no number; rows are named.
        LagError: too few common steps, or several runs beside one `task_log`.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"step": range(20), "rsa": range(20), "loss": range(20, 0, -1)})
        >>> [run] = runs_of_log(table, alignment="rsa", performance="loss")
        >>> run.higher_is_better
        False
    """
    given = {key: columns.get(key, "") for key in ("alignment", "performance", "step", "run", "group")}
    log = _opened(source, str(given["step"]), writer)
    other = log if task_log is None else _opened(task_log, "", writer)
    curve = _column(log, str(given["alignment"]), _ALIGNMENT, "alignment")
    task = _column(other, str(given["performance"]), _PERFORMANCE, "performance")
    run, group = str(given["run"]), str(given["group"])
    if task_log is not None and run:
        raise LagError("a log of performance belongs to one run; put several runs into one table instead")
    runs = []
    for each in _names(log, run) if run else [name or f"{log.place}: {curve} against {task}"]:
        where = partial(_is_of, run=run, name=each)
        both = curve_of(log, curve, where=where), curve_of(other, task, where=where)
        found = paired(*both, name=each, group=_group(log, group, where), match=match, fewest=FEWEST)
        runs.append(found if higher_is_better is None else replace(found, higher_is_better=higher_is_better))
    return runs


def _opened(source: Any, step: str, writer: TrainerKind | None) -> Log:
    log = open_log(source, step=step)
    return log if writer is None else replace(log, writer=writer)


def _column(log: Log, given: str, usual: tuple[str, ...], what: str) -> str:
    found = given or next((name for name in usual if name in log.columns), "")
    if not found:
        raise no_column(usual[0], log.columns, log.place, f" (say which one it is: {what}=, --{what})")
    return found


def _names(log: Log, run: str) -> list[str]:
    """Names of the runs, in the order of their first rows."""
    if run not in log.columns:
        raise no_column(run, log.columns, log.place)
    empty = [i for i, row in enumerate(log.rows, 1) if row.get(run) is None]
    if empty:
        rows = row_numbers(empty)
        raise LagError(f"{log.place}: {rows} of {len(log.rows)} have no {run!r}, which says of which run they are")
    return list(dict.fromkeys(str(row[run]) for row in log.rows))


def _is_of(row: Mapping[str, Any], *, run: str, name: str) -> bool:
    return not run or str(row.get(run)) == name


def _group(log: Log, group: str, where: Callable[[Mapping[str, Any]], bool]) -> str:
    """The one group of these rows."""
    if not group:
        return ""
    if group not in log.columns:
        raise no_column(group, log.columns, log.place)
    found = list(dict.fromkeys(str(row[group]) for row in log.rows if where(row) and row.get(group) is not None))
    if len(found) > 1:
        raise LagError(f"{log.place}: one run is of several groups {group!r}: {', '.join(found[:5])}")
    return found[0] if found else ""
