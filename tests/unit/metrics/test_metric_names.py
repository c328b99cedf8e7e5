"""Metrics by name, address, mapping, or as a regressor."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LinearRegression
from tests.helpers.models import tokenizer

from ontogeny import watch
from ontogeny.errors import ConfigError
from ontogeny.metrics import RSA, Encoding, MutualKNN, Ridge
from ontogeny.metrics.registry import METRICS, as_metric


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rsa", RSA()),
        ("ridge(rule='loo', alphas=(1.0, 10.0))", Ridge(rule="loo", alphas=(1.0, 10.0))),
        (MutualKNN(k=3), MutualKNN(k=3)),
        ({"metric": "mutual-knn", "k": 5}, MutualKNN(k=5)),
        ({"metric": "ridge", "alphas": [1.0, 2.0]}, Ridge(alphas=(1.0, 2.0))),
        ("ontogeny.metrics:Ridge(rule='loo')", Ridge(rule="loo")),
        ("ontogeny.metrics:RSA", RSA()),
    ],
)
def test_whatever_names_a_metric_is_that_metric(given, expected):
    assert as_metric(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        LinearRegression(),
        "sklearn.linear_model:LinearRegression",
        "sklearn.linear_model:LinearRegression()",
        {"metric": "sklearn.linear_model:LinearRegression"},
        '{"metric": "sklearn.linear_model:LinearRegression"}',
        {"metric": "ontogeny.metrics:Encoding", "estimator": "sklearn.linear_model:LinearRegression()"},
    ],
)
def test_a_regressor_is_an_encoding_metric(given):
    metric = as_metric(given)
    assert isinstance(metric, Encoding)
    assert metric.name == "encoding-LinearRegression()"


def test_a_splitter_has_an_address_too():
    given = {"metric": "ontogeny.metrics:Encoding", "estimator": LinearRegression(), "score": "r2"}
    metric = as_metric({**given, "cv": "sklearn.model_selection:ShuffleSplit(n_splits=10, random_state=1)"})
    assert metric.name == "encoding-LinearRegression()-r2-ShuffleSplit(random_state=1)"
    with pytest.raises(ConfigError, match="has no 'ShuffleSplits'. Did you mean 'ShuffleSplit'"):
        as_metric({**given, "cv": "sklearn.model_selection:ShuffleSplits()"})


@pytest.mark.parametrize("name", METRICS)
def test_every_name_makes_a_metric_with_its_defaults(name):
    assert as_metric(name).name


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("rsq", "no metric is called 'rsq'.*'rsa'"),
        ("ridge(penalty=1)", "refuses its options.*penalty"),
        ({"metric": "ridge", "penalty": 1}, "refuses its options.*penalty"),
        ({"k": 5}, "has its name under 'metric'"),
        (3, "expected a metric, its name or a regressor, got int; names: ridge"),
        ("sklearn.linear_model:NoSuch", "NoSuch"),
        ('{"metric": rsa}', "a metric as a mapping is JSON"),
    ],
)
def test_what_names_no_metric_is_refused(given, match):
    with pytest.raises(ConfigError, match=match):
        as_metric(given)


def test_a_monitor_takes_metrics_in_place_of_the_benchmark_s(text_benchmark, tmp_path):
    options = {"tokenizer": tokenizer, "metrics": ["rsa", LinearRegression()]}
    monitor = watch(text_benchmark, record=tmp_path / "r", **options)
    (watched,) = monitor.watched
    assert [m.name for m in watched.benchmark.benchmark.metrics] == [RSA().name, "encoding-LinearRegression()"]
    with pytest.raises(ConfigError, match="leave out metrics, or protocol"):
        watch(text_benchmark, record=tmp_path / "s", protocol="shen2026", **options)
