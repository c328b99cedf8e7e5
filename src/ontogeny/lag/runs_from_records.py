"""Records and series -> runs: alignment and performance on common steps, never interpolated unasked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ontogeny._arrays import Numbers
from ontogeny._display import one_line
from ontogeny.errors import LagError, nearest
from ontogeny.lag.answer import UNNAMED, Compared
from ontogeny.lag.common_steps import FEWEST, Match, matched
from ontogeny.lag.levels import level_of, record_levels
from ontogeny.lag.pairwise import leads
from ontogeny.lag.results import Leads
from ontogeny.record import Record, Score, Series
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.record.progress import progress_of
from ontogeny.record.series import curve
from ontogeny.record.task_logs import LoggedCurve, curve_of, open_log

__all__ = ["Run", "paired", "run_from_record", "run_leads", "run_of_curves", "task_series"]

_LOWER = ("loss", "ppl", "perplexity", "bits", "nll", "error", "wer")
_THRESHOLDED = ("acc", "exact", "em", "error", "top1", "top5", "wer")

# Measured at one set of weights, by us or elsewhere: an evaluation of the trainer, one training batch, published
# results, a table of one's own. Whatever else a source says is taken for an average.
_AT_THE_WEIGHTS = ("measured", "trainer_eval", "trainer_batch", "harness", "table")

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
        alignment: one value per checkpoint; NaN where missing.
        performance: one value per checkpoint; NaN where missing.
        group: runs of one group are replicates of each other (a model size); "" where there is one group only.
        higher_is_better: of performance.
        thresholded: whether performance is an accuracy or the like.
        averaged: whether performance is a trainer's own averaged loss.
        interpolated: whether values of either were made between measured ones.
        notes: what was done to bring the two together, sentences.
        about: what the two are of.
    """

    name: str
    steps: Numbers
    alignment: Numbers
    performance: Numbers
    group: str = ""
    higher_is_better: bool = True
    thresholded: bool = False
    averaged: bool = False
    interpolated: bool = False
    notes: tuple[str, ...] = ()
    about: Compared = UNNAMED

    __repr__ = one_line


def run_leads(run: Run, *, seed: int = 0, surrogates: int = 999) -> Leads:
    """`leads` of a run, with the warnings that its source calls for."""
    found = leads(
        run.steps,
        run.alignment,
        run.performance,
        higher_is_better=run.higher_is_better,
        smoothed=run.averaged or run.interpolated,
        thresholded=run.thresholded,
        seed=seed,
        surrogates=surrogates,
    )
    averaged = (AVERAGED,) if run.averaged else ()
    return replace(found, warnings=(*averaged, *run.notes, *found.warnings), about=run.about)


def paired(
    alignment: Series | LoggedCurve,
    performance: Series | LoggedCurve,
    *,
    name: str = "",
    group: str = "",
    match: Match = "same",
    fewest: int = 1,
) -> Run:
    """Two series on common steps.

    Args:
        alignment: one value per step.
        performance: the same.
        name: of the run.
        group: see `Run`.
        match: how series at different steps meet, see `matched`.
        fewest: common steps that are needed, see `matched`.

    Raises:
        LagError: they share no step, or few, and how to match the others is not given.
    """
    found = matched((alignment.steps, alignment.values), (performance.steps, performance.values), match, fewest=fewest)
    return Run(
        name=name or alignment.name,
        group=group,
        steps=found.steps,
        alignment=found.alignment,
        performance=found.performance,
        higher_is_better=not _is(performance.name, _LOWER),
        thresholded=_is(performance.name, _THRESHOLDED),
        averaged=performance.source not in _AT_THE_WEIGHTS,
        interpolated=match == "interpolate",
        notes=(*getattr(alignment, "notes", ()), *getattr(performance, "notes", ()), *found.notes),
        about=Compared(name=alignment.name or "alignment", task=performance.name or "performance"),
    )


def _is(name: str, words: Sequence[str]) -> bool:
    """Whether a metric's name has one of the words in it, as "acc" is in "arc_easy acc_norm"."""
    parts = re.split(r"[^a-z0-9]+", name.lower())
    return any(part == word or (word == "acc" and part == "accuracy") for part in parts for word in words)


def run_from_record(
    record: Record,
    *,
    task: str = "loss",
    task_log: Any = None,
    match: Match = "same",
    name: str = "",
    group: str = "",
    measure: bool = True,
    **columns: Any,
) -> Run:
    """One curve of a record against its task.

    Args:
        record: of one run.
        task: metric of the task rows, "loss" or "accuracy"; with `task_log` its column.
        task_log: a log of the same run in which the task stands, see `ontogeny.record.task_logs.open_log`; None: the
            record.
        match: how series at different steps meet, see `matched`.
        name: of the run; the record's name and the curve's where not given.
        group: see `Run`.
        measure: how high the curve is too, so that what never gets above the stimuli's surface is not timed.
        **columns: which curve, e.g. roi="IT", layer="head", metric="rsa-correlation-spearman"; see `Record.series`.

    Raises:
        RecordError: no such curve, or several.
        DataError: the log cannot be read, or has no such column.
        LagError: no task rows of that name, or too few common steps.
    """
    performance = task_series(record, task) if task_log is None else curve_of(open_log(task_log), task)
    alignment = record.series(**columns)
    named = name or f"{record.run}: {alignment.name} against {task}"
    fewest = 1 if task_log is None else FEWEST
    run = paired(alignment, performance, name=named, group=group, match=match, fewest=fewest)
    level = next(iter(record_levels(record, **columns).values()), None) if measure else None
    seen = progress_of(record.events(kind="progress"))
    return replace(run, about=replace(run.about, level=level, path=str(record.folder), seen=seen))


def run_of_curves(panel: CurveGroup, layer: str, task: Sequence[Score], *, name: str) -> Run:
    """The same of a record that was read already: one layer of a panel against the rows of one task measure.

    Args:
        panel: curves of a region.
        layer: which of them.
        task: rows of one measure.
        name: of the run.

    Raises:
        LagError: no task rows, or no common steps.
    """
    if not task:
        raise LagError(f"no task was measured beside {panel.roi} of {panel.benchmark}")
    values = panel.means.value[panel.layers.index(layer)]
    notes = tuple(f"{text[0].upper()}{text[1:]}." for text in panel.missing_of(layer))
    unknown = np.full(len(values), np.nan)
    steps = np.asarray(panel.steps, dtype=np.int64)
    alignment = Series(
        name=" · ".join(part for part in (panel.roi, panel.metric, layer, panel.pooling) if part),
        steps=steps,
        values=values,
        unit=panel.unit,
        chance=unknown,
        ceiling=unknown,
        notes=notes,
    )
    sources = {s.source for s in task}
    source = "measured" if "measured" in sources else sorted(sources)[0]
    run = paired(alignment, curve([s for s in task if s.source == source]), name=name)
    return replace(run, about=replace(run.about, level=level_of([(panel, layer)])))


def task_series(record: Record, task: str) -> Series:
    """The task's curve: what was measured at the probed weights, where there is any.

    Raises:
        LagError: no task rows of that name.
    """
    known = list(dict.fromkeys(s.metric for s in record.select(kind="task")))
    if task not in known:
        none = "It has no task at all: give the log that has one (task_log=, --task-log)."
        raise LagError(f"record {record.folder} has no task {task!r}. {nearest(task, known) if known else none}")
    sources = {s.source for s in record.select(kind="task", metric=task) if s.value is not None}
    source = "measured" if "measured" in sources or not sources else sorted(sources)[0]
    return record.series(kind="task", metric=task, source=source)
