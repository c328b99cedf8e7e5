"""Schedules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.errors import ConfigError
from ontogeny.monitoring.schedule import at, every, log_spaced, parse_schedule


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
