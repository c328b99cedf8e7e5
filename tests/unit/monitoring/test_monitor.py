"""The monitor's door: due or not, sinks, and arguments that cannot be used."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer, transform

from ontogeny import Monitor, watch
from ontogeny.benchmarks.shen2026 import shen2026
from ontogeny.errors import ConfigError, DataError


class Collects:
    def __init__(self):
        self.rows = {}

    def write(self, step, metrics):
        self.rows[step] = metrics


class Breaks:
    def write(self, step, metrics):
        raise OSError("the wire is cut")


def test_a_plain_loop_probes_due_steps_once_and_the_last(image_benchmark, tmp_path):
    sink = Collects()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:3", sinks=[sink])
    model = TinyCNN()
    for step in range(8):
        monitor(model, step, seen={"tokens": 100 * step})
        assert monitor(model, step) == []
        with torch.no_grad():
            model.head.weight.add_(0.01)
    monitor.finish(model, 7, seen={"tokens": 700, "epochs": 0.5})
    assert list(sink.rows) == [0, 3, 6, 7]
    seen = [(e.step, e.metric, e.value) for e in monitor.record.events(kind="progress")]
    assert seen == [(0, "tokens", 0), (3, "tokens", 300), (6, "tokens", 600), (7, "tokens", 700), (7, "epochs", 0.5)]
    assert "alignment/IT.rsa-correlation-spearman.early.spatial_mean" in sink.rows[0]


def test_a_broken_sink_warns_and_the_others_get_their_numbers(image_benchmark, tmp_path):
    sink = Collects()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, sinks=[Breaks(), sink])
    with pytest.warns(UserWarning, match="Breaks could not log step 0: the wire is cut"):
        monitor(TinyCNN(), 0)
    assert list(sink.rows) == [0]


def test_two_benchmarks_in_one_monitor(image_benchmark, tmp_path):
    from dataclasses import replace

    other = replace(image_benchmark, name="tiny-image-again")
    monitor = watch([image_benchmark, other], record=tmp_path / "r", transform=transform)
    monitor(TinyCNN(), 0)
    assert set(monitor.record.header["benchmarks"]) == {"tiny-image", "tiny-image-again"}
    assert monitor.record.select(kind="baseline", benchmark="tiny-image-again")


def test_without_controls_only_the_layers_are_scored(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, controls=False)
    assert {s.kind for s in monitor(TinyCNN(), 0)} == {"alignment", "confound", "probe", "cost"}


def test_arguments_that_cannot_be_used(image_benchmark, tmp_path, unchecked):
    with pytest.raises(ConfigError, match="at least one benchmark"):
        Monitor([], record=tmp_path / "r")
    with pytest.raises(DataError, match="planted-vision"):
        watch("planted-visoin", record=tmp_path / "r")
    with pytest.raises(ConfigError, match="on_error is 'warn' or 'raise', got 'ignore'"):
        watch(image_benchmark, record=tmp_path / "r", transform=transform, on_error="ignore")
    for seconds in (0, -1, True, float("nan"), float("inf"), "5", None):
        with pytest.raises(ConfigError, match="probe_timeout is a number of seconds above 0 and up to 604800"):
            watch(image_benchmark, record=tmp_path / "r", transform=transform, probe_timeout=seconds)


def test_a_published_protocol_in_place_of_the_benchmarks_own_metrics(text_benchmark, tmp_path):
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, protocol="shen2026", controls=False)
    rows = monitor(tiny_gpt(), 0)
    record = monitor.record
    assert list(record.header["benchmarks"]) == ["tiny-text@shen2026"]
    study = shen2026("text")
    scored = {s.metric for s in rows if s.kind == "alignment"}
    assert scored == {m.name for m in study.metrics_for(40)}
    assert {s.pooling for s in rows if s.kind == "alignment"} == {"last"}
    assert study.curve(rows)[0] > 0
    for wrong, said in (
        ({"protocol": "shen2062"}, "there is no protocol 'shen2062'. Did you mean 'shen2026'"),
        ({"protocol": "shen2026", "layers": "embeddings"}, "says what is read; leave out layers"),
    ):
        with pytest.raises(ConfigError, match=said):
            watch(text_benchmark, record=tmp_path / "q", tokenizer=tokenizer, **wrong)


def test_a_protocol_that_leaves_the_layers_to_the_user(text_benchmark, tmp_path):
    options = {"tokenizer": tokenizer, "protocol": "brainscore-language", "controls": False}
    monitor = watch(text_benchmark, record=tmp_path / "r", layers="embeddings", **options)
    rows = [row for row in monitor(tiny_gpt(), 0) if row.kind == "alignment"]
    assert {row.layer for row in rows} == {"embeddings"}
    assert {row.pooling for row in rows} == {"last"}
    assert [name.split("-")[1].split("(")[0] for name in sorted({row.metric for row in rows})] == [
        "LinearRegression",
        "RidgeCV",
    ]
    with pytest.raises(ConfigError, match="says what is read; leave out pooling"):
        watch(text_benchmark, record=tmp_path / "q", pooling="mean", **options)
    with pytest.raises(ConfigError, match="protocol 'brainscore-vision' is for images"):
        watch(text_benchmark, record=tmp_path / "q", tokenizer=tokenizer, protocol="brainscore-vision")
