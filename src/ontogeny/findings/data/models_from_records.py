"""Records of one's own as models: alignment, task, parameters and effective dimension at each record's last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ontogeny.errors import DataError
from ontogeny.findings.data.cells import ABOVE_CHANCE, Cells
from ontogeny.findings.data.model_columns import Models
from ontogeny.findings.statistics._score_array import picked, shared_cubes
from ontogeny.record import Record

__all__ = ["models_of_records"]

_SPREAD = "participation ratio"


def models_of_records(
    records: Sequence[Record],
    *,
    benchmark: str | None = None,
    metric: str | None = None,
    lower_is_better: Sequence[str] = ("loss", "perplexity"),
    raw: bool = False,
) -> Models:
    """Each record a model, at its last step with alignment.

    Alignment is the mean over subjects and regions of the value at the layer that is best for the other subjects, less
    chance. Performance is the task's measures at that step; parameters are those of the
    header; participation ratio is the mean over layers.

    Args:
        records: one per model.
        benchmark: which, where there are several.
        metric: which, where there are several.
        lower_is_better: measures of the task whose sign is turned.
        raw: values as they are, where chance is not known; the finding says so.

    Raises:
        DataError: several benchmarks or metrics, no task, no subject or region that all models have, or chance is not
            known and `raw` is not said.
    """
    lasts = [_last(record) for record in records]
    asked = {"benchmark": benchmark, "metric": metric}
    wanted = {name: value for name, value in asked.items() if value is not None}
    each = [Cells.of_records([record], step=step).where(**wanted) for record, step in zip(records, lasts, strict=True)]
    for column in ("benchmark", "metric"):
        have = list(dict.fromkeys(name for cells in each for name in cells.names(column)))
        if len(have) > 1:
            raise DataError(f"models are compared by one {column}; the records hold {have}: name one")
    rows = [_row(record, step, cells) for record, step, cells in zip(records, lasts, each, strict=True)]
    cubes = shared_cubes(each, raw=raw)
    alignment = [float(picked(cube.values).mean()) for cube in cubes]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names} | {"alignment": alignment}
    tasks = [name for name in names if name not in ("model", "parameters", _SPREAD)]
    if not tasks:
        raise DataError(
            "no record has a task at its last step; performance is needed. Watch with task=..., or use a table"
        )
    models = Models.of_table(
        table,
        alignment="alignment",
        performance=tasks,
        given=[_SPREAD] if _SPREAD in names else [],
        lower_is_better=[name for name in lower_is_better if name in tasks],
        chance_removed=cubes[0].said == ABOVE_CHANCE,
        source=f"{len(records)} records, {each[0].benchmark[0]}",
    )
    return Models(**{name: getattr(models, name) for name in models.__slots__} | {"metric": str(each[0].metric[0])})


def _last(record: Record) -> int:
    steps = [s.step for s in record.select(kind="alignment") if s.value is not None]
    if not steps:
        raise DataError(f"record {record.folder} holds no alignment score; the first probe writes some")
    return max(steps)


def _row(record: Record, step: int, cells: Cells) -> dict[str, Any]:
    spread = [
        s.value
        for s in record.select(kind="confound", step=step, metric=_SPREAD, benchmark=str(cells.benchmark[0]))
        if s.value is not None
    ]
    task = {s.metric: s.value for s in record.select(kind="task", step=step) if s.value is not None}
    counted = record.header.get("parameters")
    return {
        "model": record.run,
        **({"parameters": counted} if isinstance(counted, int) else {}),
        **({_SPREAD: float(np.mean(spread))} if spread else {}),
        **task,
    }
