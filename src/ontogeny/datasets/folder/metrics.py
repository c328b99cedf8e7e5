"""Metrics <-> JSON, by a literal table: a folder names metrics of this package and their options, never code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ontogeny.errors import DataError, MetricError, nearest
from ontogeny.metrics import Metric
from ontogeny.metrics.cka import CKA
from ontogeny.metrics.encoding import Ridge
from ontogeny.metrics.neighbours import CKNNA, CycleKNN, MutualKNN
from ontogeny.metrics.rsa import RSA

__all__ = ["METRICS", "metric_from_json", "metric_to_json"]

METRICS: dict[str, Any] = {
    "ridge": Ridge,
    "rsa": RSA,
    "cka": CKA,
    "cknna": CKNNA,
    "mutual-knn": MutualKNN,
    "cycle-knn": CycleKNN,
}


def metric_to_json(metric: Metric) -> dict[str, Any]:
    """{"metric": "ridge", options}.

    Raises:
        DataError: a metric that is not of this package.
    """
    for name in METRICS:
        if type(metric) is METRICS[name]:
            options = {field.name: getattr(metric, field.name) for field in dataclasses.fields(METRICS[name])}
            return {"metric": name, **options}
    raise DataError(
        f"metric {metric.name!r} ({type(metric).__name__}) cannot be written into a folder, which names only "
        f"{', '.join(METRICS)}; write the folder with one of these and read it with metrics=(...)"
    )


def metric_from_json(entry: Any, owner: str) -> Metric:
    """What `metric_to_json` wrote.

    Raises:
        DataError: no such metric or option, or options that it refuses.
    """
    name = entry.get("metric") if isinstance(entry, dict) else entry
    if name not in METRICS:
        raise DataError(f"{owner}: no metric is called {name!r}. {nearest(str(name), METRICS)}")
    options = {key: _frozen(value) for key, value in entry.items() if key != "metric"}
    allowed = [field.name for field in dataclasses.fields(METRICS[name])]
    for option in options:
        if option not in allowed:
            raise DataError(f"{owner}: metric {name!r} has no option {option!r}. {nearest(option, allowed)}")
    try:
        metric: Metric = METRICS[name](**options)
    except (MetricError, TypeError, ValueError) as error:
        raise DataError(f"{owner}: metric {name!r} cannot be made of {options} ({error})") from error
    return metric


def _frozen(value: Any) -> Any:
    return (
        tuple(_frozen(part) for part in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    )
