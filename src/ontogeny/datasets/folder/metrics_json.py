"""Metrics <-> JSON, by a literal table: a folder names metrics of this package and their options, never code."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ontogeny.datasets.folder.benchmark_json import fact
from ontogeny.errors import DataError, MetricError, nearest
from ontogeny.metrics import Metric
from ontogeny.metrics.registry import METRICS, frozen

__all__ = ["metric_from_json", "metric_to_json"]


def metric_to_json(metric: Metric) -> dict[str, Any]:
    """{"metric": "ridge", options}.

    Raises:
        DataError: a metric that is not of this package, or has an option that JSON cannot hold.
    """
    for name in METRICS:
        if type(metric) is METRICS[name]:
            options = {field.name: getattr(metric, field.name) for field in dataclasses.fields(_class(name))}
            with suppress(TypeError):  # JSON has no word for an option
                json.dumps(options)
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
    name = fact(entry, "metric", str, owner)
    if name not in METRICS:
        raise DataError(f"{owner}: no metric is called {name!r}. {nearest(name, METRICS)}")
    options = {key: frozen(value) for key, value in entry.items() if key != "metric"}
    if name == "ridge" and options.get("alpha") in ("voxel", "roi"):  # as folders of an older ontogeny have it
        options["local_alpha"] = options.pop("alpha") == "voxel"
    allowed = [field.name for field in dataclasses.fields(_class(name))]
    hints = get_type_hints(METRICS[name])
    for option, value in options.items():
        if option not in allowed:
            raise DataError(f"{owner}: metric {name!r} has no option {option!r}. {nearest(option, allowed)}")
        if not _fits(value, hints[option]):
            raise DataError(f"{owner}: metric {name!r}: {option} should be {hints[option]}, got {value!r}")
    try:
        metric: Metric = METRICS[name](**options)
    except MetricError as error:
        raise DataError(f"{owner}: {error}") from error
    return metric


def _class(name: str) -> Any:
    return METRICS[name]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is of the kind that an option is declared to be."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(part, parts[0]) for part in value)
    if hint is float:
        return type(value) in (int, float)
    return hint in (bool, int, str, NoneType) and type(value) is hint
