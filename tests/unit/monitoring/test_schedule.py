"""Schedules."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.models import TinyCNN, transform

from ontogeny import watch
from ontogeny.errors import ConfigError
from ontogeny.monitoring.schedule import at, every, log_spaced, parse_schedule, update_count


def due(schedule, last=1000):
    return [step for step in range(last + 1) if schedule.due(step)]


def test_log_spaced_is_even_in_log_step():
    assert due(log_spaced(2)) == [0, 1, 3, 10, 32, 100, 316, 1000]
    assert due(log_spaced(8), 20) == [0, 1, 2, 3, 4, 6, 7, 10, 13, 18]


@given(per_decade=st.integers(1, 20), decade=st.integers(1, 6))
def test_every_power_of_ten_is_due(per_decade, decade):
    schedule = log_spaced(per_decade)
    assert schedule.due(10**decade)
    assert schedule.due(0)


def test_words_give_the_same_as_functions():
    assert due(parse_schedule("log:2")) == due(log_spaced(2))
    assert due(parse_schedule("log")) == due(log_spaced())
    assert due(parse_schedule("every:100")) == due(every(100)) == list(range(0, 1001, 100))
    assert due(parse_schedule("at:10,20")) == due(at([10, 20])) == [0, 10, 20]
    assert parse_schedule(every(3)) == every(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sometimes", "a schedule is 'log', 'log:8', 'every:100' or 'at:0,10,100', got 'sometimes'"),
        ("every:x", "schedule 'every:x' cannot be read"),
        ("every:0", "needs n of at least 1, got 0"),
        ("log:0", "needs at least 1, got 0"),
        ("at:-1", "needs steps of 0 or more"),
    ],
)
def test_words_that_mean_nothing(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_schedule(text)


@pytest.mark.parametrize("step", [3, np.int64(3), np.array(3), torch.tensor(3)], ids=lambda step: type(step).__name__)
def test_a_step_of_numpy_or_torch_is_a_step(step):
    assert type(update_count(step)) is int
    assert update_count(step) == 3


@pytest.mark.parametrize("step", [-5, 1.0, "1", None, True, torch.tensor(1.0), np.array([1, 2])], ids=repr)
def test_what_counts_no_updates_is_no_step(step):
    with pytest.raises(
        ConfigError, match="step is the number of optimizer updates done: a whole number from 0 on, got"
    ):
        update_count(step)


@pytest.mark.usefixtures("unchecked")
def test_a_monitor_takes_no_step_that_counts_no_updates(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    with pytest.raises(ConfigError, match="got -5"):
        monitor(TinyCNN(), -5)
    with pytest.raises(ConfigError, match=r"got 0\.5"):
        monitor(TinyCNN(), 0.5)
    monitor(TinyCNN(), np.int64(0))
    assert [event.step for event in monitor.record.events(kind="probe")] == [0]
