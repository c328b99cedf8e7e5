"""Metrics by name: the one list that `metrics=`, YAML and benchmark folders read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ontogeny._import_string import call_with, import_from_string, made
from ontogeny.errors import ConfigError, nearest
from ontogeny.metrics.cca import CCA
from ontogeny.metrics.cka import CKA
from ontogeny.metrics.encoding_models.encoding import Encoding
from ontogeny.metrics.metric import Metric
from ontogeny.metrics.neighbors import CKNNA, CycleKNN, MutualKNN
from ontogeny.metrics.procrustes import Procrustes
from ontogeny.metrics.ridge.ridge import Ridge
from ontogeny.metrics.ridge.unique_variance import UniqueVariance
from ontogeny.metrics.rsa import RSA

__all__ = ["METRICS", "as_metric", "frozen"]

METRICS: Mapping[str, Callable[..., Metric]] = {
    "ridge": Ridge,
    "unique-variance": UniqueVariance,
    "rsa": RSA,
    "cka": CKA,
    "cknna": CKNNA,
    "mutual-knn": MutualKNN,
    "cycle-knn": CycleKNN,
    "procrustes": Procrustes,
    "cca": CCA,
}


def as_metric(given: Any) -> Metric:
    """A metric from whatever names one.

    Args:
        given: a metric; a name, "rsa", with options, "ridge(rule='loo')"; an address "module:attribute" or
            "module:Class(option=1)" of a metric or of a regressor of scikit-learn's kind; such a regressor; or a
            mapping of the options with "metric", a name or address, as YAML has it, or its JSON text.

    Raises:
        ConfigError: there is none of this name, it refuses its options, or what is there is no metric.

    Example:
        >>> [as_metric(m).name for m in ("rsa", "ridge(rule='loo')", {"metric": "mutual-knn", "k": 5})]
        ['rsa-correlation-spearman', 'ridge-loo', 'mutual-knn-5-cosine']
    """
    if isinstance(given, str) and given.lstrip().startswith("{"):  # a mapping, as a command line has it
        return as_metric(_mapping(given))
    if isinstance(given, Mapping):
        name, options = given.get("metric"), {key: frozen(value) for key, value in given.items() if key != "metric"}
        if not isinstance(name, str):
            raise ConfigError(f"a metric as a mapping has its name under 'metric', got {dict(given)}")
        return as_metric(made(_found(name), (), options, of=f"metric {name!r}"))
    if isinstance(given, str):
        name = given.partition("(")[0]
        if ":" in name:
            found = import_from_string(given)
            return as_metric(found() if isinstance(found, type) else found)
        metric: Metric = call_with(_found(name), given if "(" in given else f"{given}()", of=given)
        return metric
    if callable(getattr(given, "prepare", None)) and hasattr(given, "name"):
        return given  # type: ignore[no-any-return]
    if callable(getattr(given, "fit", None)) and callable(getattr(given, "predict", None)):
        return Encoding(given)
    names = ", ".join(METRICS)
    raise ConfigError(f"expected a metric, its name or a regressor, got {type(given).__name__}; names: {names}")


def _mapping(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ConfigError(f'a metric as a mapping is JSON, {{"metric": "rsa"}}, got {text!r}: {error}') from error
    return found


def _found(name: str) -> Callable[..., Any]:
    if ":" in name:
        found: Callable[..., Any] = import_from_string(name)
        return found
    if name not in METRICS:
        raise ConfigError(f"no metric is called {name!r}. {nearest(name, METRICS)}")
    return METRICS[name]


def frozen(value: Any) -> Any:
    """Lists of JSON and YAML as the tuples that metrics have."""
    return tuple(frozen(part) for part in value) if isinstance(value, list) else value
