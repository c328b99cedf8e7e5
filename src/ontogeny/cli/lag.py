"""`ontogeny lag`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ontogeny.cli._output import print_answer, print_json, say
from ontogeny.cli._vocabulary import AsJson, Out, Selection
from ontogeny.errors import LagError

__all__ = ["lag"]

Match = Literal["same", "nearest", "interpolate"]
Writer = Literal["transformers", "lightning", "own"]
Factors = Annotated[tuple[Literal["seeds", "subjects", "stimuli"], ...], Parameter(consume_multiple=1)]


@Parameter(name="*", group="Columns of a table or log")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogColumns:
    """What a table or log calls its columns.

    Args:
        step: optimizer updates; else step, global_step, _step, ...
        alignment: alignment; else alignment, or alignment/mean.
        performance: performance; else performance, or task/loss.
        run: name of the run, where there are several.
        group: group of the run (model size), a block.
        lower_is_better: of performance; else its name tells.
        writer: whose log it is, where its names do not tell.
    """

    step: str = ""
    alignment: str = ""
    performance: str = ""
    run: str = ""
    group: str = ""
    lower_is_better: bool = False
    writer: Writer | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared, and how.

    Args:
        task: task metric to compare with; with --task-log its column.
        task_log: log of the same run in which performance is.
        match: of different steps those that both have (same), the nearest, or interpolated ones.
        map: every ROI and layer, corrected; so is what several values of --roi or --layer ask for.
        placebo: error rates and power on your own series (one pair).
        surrogates: conjugate flips.
        seed: of surrogates and bootstrap.
        details: statistics behind the answer: p, null, residuals, Granger's test, assumptions, warnings.
    """

    task: str | None = None
    task_log: str | None = None
    match: Match = "same"
    map: bool = False
    placebo: bool = False
    surrogates: int = 999
    seed: int = 0
    details: bool = False


@Parameter(name="*", group="Over what is drawn anew")
@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Would a trend lead be there for other seeds, subjects, stimuli? Of records.

    Args:
        over: what is drawn anew; the best of several layers or regions is chosen anew in each draw.
        features: folder of `ontogeny replay --features`, which stimuli need.
        draws: how many, 50 or more.
    """

    over: Factors = ()
    features: Path | None = None
    draws: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Lines for a terminal, content for lag.json, and what draws the pictures."""

    lines: Sequence[str]
    content: Callable[[], Any]
    figures: Callable[[], Sequence[Any]]


def lag(
    paths: Annotated[tuple[str, ...], Parameter(metavar="RECORD|LOG")],
    /,
    *,
    which: Selection = Selection(),
    how: Comparison = Comparison(),
    log: LogColumns = LogColumns(),
    drawing: Drawing = Drawing(),
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Which moves first, alignment or performance? From records, tables and logs.

    for example:
      ontogeny lag runs/a --roi IT --layer head --metric rsa-correlation-spearman    one curve against held-out loss
      ontogeny lag runs/a --metric rsa-correlation-spearman --map                     every ROI and layer, corrected
      ontogeny lag runs/seed0 runs/seed1 runs/seed2 --roi IT --layer head             several runs, pooled
      ontogeny lag runs/seed* --roi IT --over seeds subjects                         for further seeds and subjects
      ontogeny lag runs/a --roi IT --layer head --task-log out/ --task eval_loss      performance from the trainer's log
      ontogeny lag curves.csv --alignment rsa --performance loss                      a table, CSV or Parquet
      ontogeny lag curves.csv --run seed --group size                                 a table of several runs
      ontogeny lag wandb/offline-run-x --alignment alignment/IT --performance eval/loss --match nearest

    a log is a table with one row per checkpoint or with several rows of one step that complete each other (a W&B
    export), a TensorBoard folder, a .wandb file or its folder, entity/project/run of Weights & Biases (asked for only
    where nothing of that name is here; needs a key), trainer_state.json, Lightning's metrics.csv, results of
    lm-evaluation-harness.

    It begins with the answer: yes, no, cannot be told, not yet, or nothing to time; --details shows the statistics.
    Neither lead is causal. Several runs are better than one longer run.

    Args:
        paths: records' folders, tables or logs.
        out: folder for lag.json and pictures; no files where not given.
        as_json: print lag.json.
    """
    if not drawing.over and drawing != Drawing():
        raise LagError("--features and --draws are of --over; say what is drawn anew: --over seeds subjects stimuli")
    if drawing.over:
        found = _general(paths, which, how, drawing)
    elif how.map or len(which.roi) > 1 or len(which.layer) > 1:
        found = _map(paths, which, how)
    else:
        runs = _runs(paths, which, how, log)
        found = _pooled(paths, runs, how) if len(runs) > 1 else _one(runs[0], how)
    print_json(found.content()) if as_json else print_answer(found.lines)
    if out is not None:
        _write(found, out, quiet=as_json)


def _map(paths: Sequence[str], which: Selection, how: Comparison) -> _Found:
    from ontogeny.lag import lead_text, leads_map
    from ontogeny.record import Record

    if len(paths) > 1:
        raise LagError("--map reads one record at a time")
    task, columns = how.task or "loss", which.where
    cells: dict[str, Any] = {f"{name}s": which.lists[name] for name in ("roi", "layer") if columns.pop(name, None)}
    cells |= {"seed": how.seed, "surrogates": how.surrogates}
    found = leads_map(Record(paths[0]), task=task, **columns, **cells)
    lines = lead_text.map_lines(found, details=how.details)

    def figures() -> Sequence[Any]:
        from ontogeny.report.lead_figures import map_figure

        return [map_figure(found, paths[0])]

    return _Found(lines=lines, content=found.to_dict, figures=figures)


def _general(paths: Sequence[str], which: Selection, how: Comparison, drawing: Drawing) -> _Found:
    from ontogeny.lag.general_from_records import general_runs

    if how.map or how.placebo:
        raise LagError("--over is of one curve (the best of those that are named); leave out --map and --placebo")
    task = how.task or (None if how.task_log else "loss")
    if task is None or (how.task_log and len(paths) > 1):
        raise LagError("--task-log belongs to one record; name its column with --task")
    drawn: dict[str, Any] = {"over": drawing.over, "features": drawing.features, "draws": drawing.draws}
    of_task: dict[str, Any] = {"task": task, "task_log": how.task_log, "match": how.match}
    runs, general = general_runs(paths, **drawn, seed=how.seed, **of_task, **which.where)
    return _pooled(paths, runs, how, general) if len(runs) > 1 else _one(runs[0], how, general)


def _pooled(paths: Sequence[str], runs: Sequence[Any], how: Comparison, general: Any = None) -> _Found:
    from ontogeny.lag import lead_text, leads_over_runs

    found = replace(leads_over_runs(runs, seed=how.seed, surrogates=how.surrogates), general=general)
    lines = lead_text.runs_lines(found, details=how.details)

    def figures() -> Sequence[Any]:
        from ontogeny.report.lead_figures import runs_figure

        return [runs_figure(found, ", ".join(paths))]

    return _Found(lines=lines, content=found.to_dict, figures=figures)


def _one(run: Any, how: Comparison, general: Any = None) -> _Found:
    from ontogeny.lag import lead_text, placebo, run_leads

    found = replace(run_leads(run, seed=how.seed, surrogates=how.surrogates), general=general)
    lines, content = lead_text.pair_lines(found, details=how.details), found.to_dict()
    if how.placebo:
        series = (run.steps, run.alignment, run.performance)
        rates = placebo(*series, higher_is_better=run.higher_is_better, seed=how.seed, progress=True)
        lines += ["", *lead_text.placebo_lines(rates)]
        content["placebo"] = rates.to_dict()

    def figures() -> Sequence[Any]:
        from ontogeny.report.lead_figures import pair_figures

        return pair_figures(run, found, name="lag")

    return _Found(lines=lines, content=lambda: content, figures=figures)


def _runs(paths: Sequence[str], which: Selection, how: Comparison, log: LogColumns) -> Sequence[Any]:
    if len(paths) > 1 and how.task_log is not None:
        raise LagError("--task-log belongs to one run; name one record or log")
    return [run for path in paths for run in _runs_of(path, which, how, log, name=path if len(paths) > 1 else "")]


def _runs_of(path: str, which: Selection, how: Comparison, log: LogColumns, *, name: str) -> Sequence[Any]:
    from ontogeny.lag import run_from_record, runs_of_log
    from ontogeny.record import Record

    both: dict[str, Any] = {"name": name, "task_log": how.task_log, "match": how.match}
    if (Path(path) / "record.json").is_file():
        task = how.task or (None if how.task_log else "loss")
        if task is None:
            raise LagError(f"which column of {how.task_log} is the task? Name it with --task")
        return [run_from_record(Record(path), task=task, **both, **which.where)]
    return runs_of_log(
        path,
        alignment=log.alignment,
        performance=log.performance or how.task or "",
        step=log.step,
        run=log.run,
        group=log.group,
        higher_is_better=False if log.lower_is_better else None,
        writer=log.writer,
        **both,
    )


def _write(found: _Found, out: Path, *, quiet: bool) -> None:
    from ontogeny.report import write_figures

    out.mkdir(parents=True, exist_ok=True)
    (out / "lag.json").write_text(json.dumps(found.content(), indent=1, allow_nan=False), encoding="utf-8")
    pngs = write_figures(found.figures(), out)
    if not quiet:
        many = "a picture" if len(pngs) == 1 else f"{len(pngs)} pictures"
        say(f"\nWrote {out / 'lag.json'} and {many} beside it.")
