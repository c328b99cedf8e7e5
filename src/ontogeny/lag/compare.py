"""One door to the lag tests: arrays, Series, a record, several records, or a table of logged curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ontogeny.errors import LagError
from ontogeny.lag.across_runs import RunsLeads, leads_over_runs
from ontogeny.lag.general_from_records import general_runs
from ontogeny.lag.pairwise import leads
from ontogeny.lag.results import Leads
from ontogeny.lag.runs_from_logs import runs_of_log
from ontogeny.lag.runs_from_records import Run, paired, run_from_record, run_leads
from ontogeny.record import Record, Series
from ontogeny.record.task_logs import LoggedCurve

__all__ = ["compare"]


def compare(
    alignment: Any,
    performance: Any = None,
    *,
    over: Sequence[str] = (),
    seed: int = 0,
    surrogates: int = 999,
    **how: Any,
) -> Leads | RunsLeads:
    """Which curve moves first? `print(compare(...))` is what `ontogeny lag` prints.

    Args:
        alignment: one value per checkpoint; or a `Series`; or a `Record`, its folder, or several of these; or a table
            or log in which both curves stand (see `runs_of_log`); or `Run`s.
        performance: one value per checkpoint, or a `Series`; not beside a record, table or runs.
        over: also test the trend lead with these drawn anew, of records: "seeds", "subjects", "stimuli". The last need
            `features`, the folder of `ontogeny replay --features`; `draws` (500) says how many. Where `layer` or `roi`
            is left open, the curve that ends highest is taken, anew in every draw.
        seed: of surrogates and bootstrap.
        surrogates: conjugate flips.
        **how: for two arrays `steps` and `higher_is_better` (True where not given); for records which curve (roi,
            layer, metric, benchmark, pooling), `task` and `task_log`; for two series or logs `match`; for tables the
            columns' names.

    Returns:
        The leads of one run, or of several together.

    Raises:
        LagError: two arrays without steps, or what the source cannot be.

    Example:
        >>> import numpy as np
        >>> steps = np.unique(np.logspace(0, 4, 40).astype(int))
        >>> rise = lambda at: 1 / (1 + (at / steps) ** 3)
        >>> rng = np.random.default_rng(0)
        >>> early, late = (rise(at) + 0.01 * rng.standard_normal(len(steps)) for at in (100, 400))
        >>> compare(early, late, steps=steps).trend.verdict
        'alignment leads'
    """
    options: dict[str, Any] = {"seed": seed, "surrogates": surrogates}
    if not over and (lost := sorted({"features", "draws"} & set(how))):
        raise LagError(f"{' and '.join(f'{name}=' for name in lost)} are of over=; say what is drawn anew: over=[...]")
    if over:
        if performance is not None:
            raise LagError("over= needs records, in which the scores of each subject stand, not two series")
        sources = alignment if _is_several(alignment) else [alignment]
        runs, general = general_runs(sources, over=over, seed=seed, **how)
        return replace(_leads(runs, options), general=general)
    if performance is not None and not isinstance(alignment, Series | LoggedCurve):
        if how.get("steps") is None:
            raise LagError("two arrays need steps=..., the optimizer updates of their checkpoints")
        steps, higher = how.pop("steps"), how.pop("higher_is_better", True)
        return leads(steps, alignment, performance, higher_is_better=higher, **options, **how)
    if performance is not None:
        return run_leads(paired(alignment, performance, **how), **options)
    several = alignment if _is_several(alignment) else [alignment]
    runs = [run for one in several for run in _runs(one, named=len(several) > 1, how=how)]
    return _leads(runs, options)


def _leads(runs: Sequence[Run], options: dict[str, Any]) -> Leads | RunsLeads:
    return run_leads(runs[0], **options) if len(runs) == 1 else leads_over_runs(runs, **options)


def _is_several(source: Any) -> bool:
    kinds = (Record, Run, str, os.PathLike)
    return isinstance(source, Sequence) and not isinstance(source, str) and all(isinstance(s, kinds) for s in source)


def _runs(source: Any, *, named: bool, how: dict[str, Any]) -> list[Run]:
    if isinstance(source, Run):
        return [source]
    is_path = isinstance(source, str | os.PathLike)
    if is_path and (Path(source) / "record.json").is_file():
        source = Record(source)
    if isinstance(source, Record):
        return [run_from_record(source, **{"name": str(source.folder) if named else "", **how})]
    return runs_of_log(source, **{"name": str(source) if named and is_path else "", **how})
