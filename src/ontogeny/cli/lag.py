"""`ontogeny lag`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import LagError

__all__ = ["add_parser"]

_MATCHES = ("same", "nearest", "interpolate")
_WRITERS = ("transformers", "lightning", "own")
_ABOUT = """\
Which moves first, alignment or performance? From records, tables and logs.

  ontogeny lag runs/a --roi IT --layer head --metric rsa-correlation-spearman    one curve against held-out loss
  ontogeny lag runs/a --metric rsa-correlation-spearman --map                     every ROI and layer, corrected
  ontogeny lag runs/seed0 runs/seed1 runs/seed2 --roi IT --layer head             several runs, pooled
  ontogeny lag runs/a --roi IT --layer head --task-log out/ --task eval_loss      performance from the trainer's own log
  ontogeny lag curves.csv --alignment rsa --performance loss                      a table, CSV or Parquet
  ontogeny lag curves.csv --run seed --group size                                 a table of several runs
  ontogeny lag wandb/offline-run-x --alignment alignment/IT --performance eval/loss --match nearest

a log is a table with one row a checkpoint or with several rows of one step that complete each other (a W&B export), a
TensorBoard folder, a .wandb file or its folder, entity/project/run of Weights & Biases (asked for only where nothing of
that name is here; needs a key), trainer_state.json, Lightning's metrics.csv, results of lm-evaluation-harness.

what each line means:
  trend lead        which curve first reaches half of its own gain. +0.30 log10 steps: alignment needs half as many
                    steps. Refused where a plateau was not observed, where there is no rise, or with fewer than 12
                    checkpoints. Where a curve overshoots or dips, a lead is claimed only if it holds for every shape
                    that may describe it.
  fluctuation lead  whether checkpoint-to-checkpoint fluctuations of alignment come first. Needs 30 checkpoints; its
                    null allows any drive that both share, however unequal their noise.
  p(A leads)        one-sided p of "alignment is not earlier"; p(P leads) the other way. A verdict needs p < .025.
  uniform           the direction holds at 25, 50 and 75 % of the gain.
  Granger, usual    the test as people know it, on the levels, and how often it rejects in replicates of your own
                    series in which nothing leads. Where that is far above 5 %, its p means nothing.
  re-pairing        (5 runs or more) whether alignment of one run also leads performance of another.
Neither lead is causal. Several runs are better than one longer run.
"""


def add_parser(commands: Any) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "lag",
        help="which moves first, alignment or performance",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="RECORD|LOG", help="records' folders, tables or logs")
    record = parser.add_argument_group("which curve of a record")
    for name in ("benchmark", "metric", "roi", "layer", "pooling"):
        record.add_argument(f"--{name}", default=None, help="as written in the record")
    record.add_argument("--task", default=None, help="task metric to compare with; with --task-log its column")
    record.add_argument("--map", action="store_true", help="every ROI and layer")
    table = parser.add_argument_group("columns of a table or log")
    table.add_argument("--step", default="", help="optimizer updates (default: step, global_step, _step, ...)")
    table.add_argument("--alignment", default="", help="alignment (default: alignment, or alignment/mean)")
    table.add_argument("--performance", default="", help="performance (default: performance, or task/loss)")
    table.add_argument("--run", dest="run_column", default="", help="name of the run, where there are several")
    table.add_argument("--group", default="", help="group of the run (model size), a block")
    table.add_argument("--lower-is-better", action="store_true", help="of performance (told from its name otherwise)")
    table.add_argument("--writer", choices=_WRITERS, help="whose log it is, where its names do not tell")
    steps = parser.add_argument_group("two series")
    steps.add_argument("--task-log", default=None, metavar="LOG", help="log of the same run in which performance is")
    steps.add_argument(
        "--match",
        default="same",
        choices=_MATCHES,
        help="of different steps: those that both have (same, the default), the nearest, or interpolated ones",
    )
    parser.add_argument("--placebo", action="store_true", help="error rates and power on your own series (one pair)")
    parser.add_argument("--surrogates", type=int, default=999, help="conjugate flips (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of surrogates and bootstrap (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=None, help="folder for lag.json and pictures (default: no files)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.lag import lead_text, leads_map, leads_over_runs, placebo, run_leads
    from ontogeny.report.lead_figures import map_figure, pair_figures, runs_figure

    title = ", ".join(str(path) for path in arguments.paths)
    options = {"seed": arguments.seed, "surrogates": arguments.surrogates}
    if arguments.map:
        task = arguments.task or "loss"
        found_map = leads_map(_record(arguments), task=task, **_where(arguments), **options)
        lines = lead_text.map_lines(f"{title} against held-out {task}", found_map)
        return _write(arguments, lines, found_map.to_dict(), lambda: [map_figure(found_map, title)])
    runs = _runs(arguments)
    if len(runs) > 1:
        found_runs = leads_over_runs(runs, **options)
        lines = lead_text.runs_lines(title, found_runs)
        return _write(arguments, lines, found_runs.to_dict(), lambda: [runs_figure(found_runs, title)])
    run = runs[0]
    found = run_leads(run, **options)
    lines, content = lead_text.pair_lines(run.name, found), found.to_dict()
    if arguments.placebo:
        rates = placebo(
            run.steps,
            run.alignment,
            run.performance,
            higher_is_better=run.higher_is_better,
            seed=arguments.seed,
            progress=True,
        )
        lines += ["", *lead_text.placebo_lines(rates)]
        content["placebo"] = rates.to_dict()
    return _write(arguments, lines, content, lambda: pair_figures(run, found, name="lag"))


def _runs(arguments: argparse.Namespace) -> Sequence[Any]:
    if len(arguments.paths) > 1 and arguments.task_log is not None:
        raise LagError("--task-log belongs to one run; name one record or log")
    return [run for path in arguments.paths for run in _runs_of(arguments, path)]


def _runs_of(arguments: argparse.Namespace, path: str) -> Sequence[Any]:
    from ontogeny.lag import run_from_record, runs_of_log
    from ontogeny.record import Record

    name = path if len(arguments.paths) > 1 else ""
    both = {"name": name, "task_log": arguments.task_log, "match": arguments.match}
    if (Path(path) / "record.json").is_file():
        task = arguments.task or (None if arguments.task_log else "loss")
        if task is None:
            raise LagError(f"which column of {arguments.task_log} is the task? Name it with --task")
        return [run_from_record(Record(path), task=task, **both, **_where(arguments))]
    return runs_of_log(
        path,
        alignment=arguments.alignment,
        performance=arguments.performance,
        step=arguments.step,
        run=arguments.run_column,
        group=arguments.group,
        higher_is_better=False if arguments.lower_is_better else None,
        writer=arguments.writer,
        **both,
    )


def _record(arguments: argparse.Namespace) -> Any:
    from ontogeny.record import Record

    if len(arguments.paths) > 1:
        raise LagError("--map reads one record at a time")
    return Record(arguments.paths[0])


def _where(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("benchmark", "metric", "roi", "layer", "pooling")
    given: dict[str, Any]
    if arguments.map:
        given = {name: getattr(arguments, name) for name in ("benchmark", "metric", "pooling")}
        given |= {f"{name}s": [value] for name in ("roi", "layer") if (value := getattr(arguments, name)) is not None}
    else:
        given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _write(arguments: argparse.Namespace, lines: Sequence[str], content: Any, figures: Any) -> int:
    sys.stdout.write("\n".join(lines) + "\n")
    if arguments.out is not None:
        from ontogeny.report import write_pngs

        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "lag.json").write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        pngs = write_pngs(figures(), arguments.out)
        sys.stdout.write(f"\nWrote {arguments.out / 'lag.json'} and {len(pngs)} pictures beside it.\n")
    return 0
