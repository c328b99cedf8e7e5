"""Records -> runs with the scores of each draw: which curves, which stimuli are drawn, and where features are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny._import_string import import_from_string
from ontogeny.errors import LagError
from ontogeny.lag.drawn_run import DrawnRun, draw_stimuli
from ontogeny.lag.general_lead import check_draws, check_factors, chosen_cells, general_lead, too_few
from ontogeny.lag.general_results import GeneralLead
from ontogeny.lag.results import Untestable
from ontogeny.lag.runs_from_records import Run, run_from_record
from ontogeny.record import Record
from ontogeny.record.subject_curves import SubjectCurves, subject_curves

__all__ = ["general_runs"]

# As texts, since they need torch and this room does not.
_LOAD, _DRAWN = "ontogeny.datasets:load", "ontogeny.benchmarks.drawn_scores:drawn_scores"
_OF_RUN = ("task", "task_log", "match", "name", "group", "measure")


def general_runs(
    sources: Sequence[Any],
    *,
    over: Sequence[str],
    features: str | os.PathLike[str] | None = None,
    draws: int = 500,
    seed: int = 0,
    **how: Any,
) -> tuple[list[Run], GeneralLead | Untestable]:
    """Each record's run by the curve that ends highest, and the lead over what is drawn anew.

    Args:
        sources: records or their folders, one per run.
        over: "seeds", "subjects", "stimuli".
        features: folder in which `ontogeny replay --features` kept them; only stimuli need it.
        draws: how many, 50 or more.
        seed: of the draws.
        **how: which curves, `task` and `task_log`, see `compare`; `benchmark` may be the benchmark itself or its
            folder, where it cannot be loaded by its name.

    Raises:
        LagError: sources that are no records, or other subjects in each; stimuli without features.
        RecordError: no such curves, or curves of several metrics.
        DataError: features that are not there.
    """
    factors, records = check_factors(over), [_record(source) for source in sources]
    check_draws(draws)
    if "stimuli" in factors and features is None:
        raise LagError(
            "over stimuli needs the features of every checkpoint: keep them by `ontogeny replay ... --features FOLDER`"
            ", and give the folder (features=, --features)"
        )
    given = how.pop("benchmark", None)
    if isinstance(given, str | os.PathLike) and Path(given).is_dir():
        given = import_from_string(_LOAD)(given)
    if given is not None:
        how["benchmark"] = getattr(given, "name", given)
    of_run = {name: how.pop(name) for name in _OF_RUN if name in how}
    curves = [subject_curves(record, **how) for record in records]
    if any(one.subjects != curves[0].subjects for one in curves):
        raise LagError(f"the records are of other subjects: {', '.join(str(list(one.subjects)) for one in curves)}")
    weights, benchmark = np.empty((0, 0)), None
    groups: tuple[str, ...] = ()
    if "stimuli" in factors:
        loadable = isinstance(given, str | None)
        benchmark = import_from_string(_LOAD)(curves[0].benchmark.partition("@")[0]) if loadable else given
        groups = _groups(benchmark.stimuli)
        weights = draw_stimuli(groups, draws, seed=seed)
    names = [{"name": str(record.folder)} if len(records) > 1 else {} for record in records]
    each = zip(records, curves, names, strict=True)
    runs = [_run(record, one, {**named, **of_run}, how) for record, one, named in each]
    units = {"seeds": len(runs), "subjects": len(curves[0].subjects), "stimuli": len(set(groups))}
    if refused := too_few({name: units[name] for name in factors}):
        return runs, refused
    drawn = [
        import_from_string(_DRAWN)(one, benchmark, Path(features), weights) if features and benchmark else None
        for one in curves
    ]
    ready = [_drawn(*parts) for parts in zip(runs, curves, drawn, strict=True)]
    return runs, general_lead(ready, over=factors, n_stimuli=units["stimuli"], draws=draws, seed=seed)


def _record(source: Any) -> Record:
    if isinstance(source, Record):
        return source
    if isinstance(source, str | os.PathLike) and (Path(source) / "record.json").is_file():
        return Record(source)
    raise LagError(f"over= needs records, in which the scores of each subject stand; {source!r} is none")


def _groups(stimuli: Any) -> tuple[str, ...]:
    """What is drawn together; stimuli that follow each other without groups are one."""
    return stimuli.groups or (("all",) * len(stimuli) if stimuli.contiguous else stimuli.ids)


def _run(record: Record, curves: SubjectCurves, of_run: Mapping[str, Any], how: Mapping[str, Any]) -> Run:
    roi, layer = curves.cells[int(chosen_cells(curves.values.mean(axis=2)))]
    named = {"metric": curves.metric, "pooling": curves.pooling, "benchmark": curves.benchmark}
    return run_from_record(record, **{**of_run, **how, **named, "roi": roi, "layer": layer})


def _drawn(run: Run, curves: SubjectCurves, drawn: np.ndarray | None) -> DrawnRun:
    """On the steps at which performance is known too."""
    known = {step: p for step, p in zip(np.asarray(run.steps).tolist(), run.performance, strict=True) if np.isfinite(p)}
    here = np.asarray([step in known for step in curves.steps.tolist()])
    steps = curves.steps[here]
    return DrawnRun(
        name=run.name,
        steps=steps.astype(np.float64),
        performance=np.asarray([known[step] for step in steps.tolist()], dtype=np.float64),
        cells=tuple(f"{roi}, {layer}" for roi, layer in curves.cells),
        scores=curves.values[here],
        drawn=None if drawn is None else drawn[:, here],
        higher_is_better=run.higher_is_better,
    )
