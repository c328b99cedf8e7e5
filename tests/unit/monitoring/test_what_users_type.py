"""What a user types and reads: options by name, a `with` block, and objects that print in a line."""

from __future__ import annotations

import contextlib

import pytest
from tests.helpers.models import tiny_gpt, tokenizer

from ontogeny import Monitor, Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import ConfigError


@pytest.mark.parametrize("make", [LightningCallback, TransformersCallback, Monitor, watch])
def test_an_unknown_option_is_refused_when_it_is_typed(make, tmp_path):
    with pytest.raises(ConfigError, match="'transfrom'.*'transform'"):
        make("planted-vision", record=tmp_path / "r", transfrom=print)
    assert not (tmp_path / "r").exists()


def test_a_monitor_is_opened_by_its_constructor_and_watch_is_the_same(text_benchmark, tmp_path):
    options = {"tokenizer": tokenizer, "layers": "embeddings", "schedule": "at:0", "task": False, "run": "r"}
    made = [make(text_benchmark, record=tmp_path / make.__name__, **options) for make in (Monitor, watch)]
    rows = [monitor(tiny_gpt(), 0) for monitor in made]
    assert [type(monitor) for monitor in made] == [Monitor, Monitor]
    scores, others = ([row for row in found if row.kind not in ("probe", "cost")] for found in rows)
    assert scores == others
    assert {score.layer for score in scores if score.kind == "alignment"} == {"embeddings"}
    again = Monitor(made[0].watched, record=tmp_path / "again", schedule="at:0", task=False, run="r")
    assert [row for row in again(tiny_gpt(), 0) if row.kind not in ("probe", "cost")] == scores
    with pytest.raises(ConfigError, match="a monitor needs at least one benchmark to watch"):
        Monitor([], record=None)


def test_a_second_run_of_a_monitor_has_its_options(text_benchmark, tmp_path):
    options = {"schedule": "at:0,7", "weights": "ema", "task": False, "controls": False, "rehearsal": False}
    first = Monitor(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, run="mine", **options)
    second = first.another(tmp_path / "r-2")
    assert (second.record.run, second.weights, second.task) == ("mine-2", "ema", None)
    assert [step for step in range(9) if second(tiny_gpt(), step)] == [0, 7]
    assert second.record.events(kind="probe")[0].note.startswith("ema weights")


def test_the_end_of_a_with_block_probes_the_last_step(text_benchmark, tmp_path):
    model = tiny_gpt()
    with watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, schedule="at:0", task=False) as monitor:
        for step in range(4):
            monitor(model, step)
    assert [s.step for s in Record(tmp_path / "r").events(kind="probe")] == [0, 3]


def test_a_with_block_that_fails_closes_the_record_and_probes_no_more(text_benchmark, tmp_path):
    model = tiny_gpt()
    with (
        contextlib.suppress(ZeroDivisionError),
        watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, schedule="at:0", task=False) as monitor,
    ):
        monitor(model, 0)
        monitor(model, 2)
        raise ZeroDivisionError
    again = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, task=False)
    assert [s.step for s in again.record.events(kind="probe")] == [0]


def test_objects_print_in_one_line_that_names_them(text_benchmark, tmp_path):
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, task=False)
    monitor(tiny_gpt(), 0)
    for shown in (repr(monitor), repr(monitor.record)):
        assert str(tmp_path / "r") in shown
        assert "\n" not in shown
        assert len(shown) < 250
    assert text_benchmark.name in repr(monitor)
    assert "1 probe, steps 0 to 0" in repr(monitor.record)
