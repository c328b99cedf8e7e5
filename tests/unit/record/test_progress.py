"""Tokens and epochs beside the steps: what a trainer knows, checked, kept, and shared by runs or not."""

from __future__ import annotations

import math

import pytest

from ontogeny import Record
from ontogeny.errors import ConfigError
from ontogeny.record.progress import known_progress, progress_events, progress_of, seen_at, seen_text, shared_progress


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ({"token": 5}, "seen counts tokens or epochs, got 'token'. Did you mean 'tokens'"),
        ({"tokens": -1}, r"seen\['tokens'\] is a number from 0 on, got -1"),
        ({"epochs": math.nan}, "number from 0 on, got nan"),
        ({"epochs": "1"}, "number from 0 on, got '1'"),
    ],
)
def test_what_is_no_count_is_refused(seen, message, unchecked):
    with pytest.raises(ConfigError, match=message):
        known_progress(seen)


def test_progress_is_kept_by_a_record_and_read_back_also_from_parquet(tmp_path):
    record = Record(tmp_path / "r", create=True, run="r")
    for step in (0, 10, 100):
        record.append(progress_events({"tokens": 512 * step, "epochs": None}, run="r", step=step))
    expected = {"tokens": {0: 0.0, 10: 5120.0, 100: 51200.0}}
    assert progress_of(Record(tmp_path / "r").events(kind="progress")) == expected
    assert len(Record(tmp_path / "r")) == 0, "it is no score"


def test_a_unit_that_does_not_rise_or_is_known_once_is_no_axis():
    flat = [e for step in (0, 1, 2) for e in progress_events({"epochs": 1}, run="r", step=step)]
    once = progress_events({"tokens": 5}, run="r", step=0)
    assert progress_of([*flat, *once]) == {}


def test_runs_share_an_axis_only_where_they_count_alike():
    one, same, other = ({"tokens": {0: 0.0, 100: 100.0 * size}} for size in (512, 513, 1024))
    assert set(shared_progress([one, same])) == {"tokens"}
    assert shared_progress([one, other]) == {}
    assert shared_progress([one, {}]) == {}


def test_between_two_known_steps_it_is_a_straight_line_and_outside_not_known():
    at = {0: 0.0, 10: 5120.0, 20: 6000.0}
    assert (seen_at(at, 5), seen_at(at, 15)) == (2560.0, 5560.0)
    assert math.isnan(seen_at(at, 21))
    assert seen_text({"tokens": at}, (5, 21)) == ""
    assert seen_text({"tokens": at, "epochs": {0: 0.0, 20: 2.0}}, (5, 10)) == (
        "2,560 against 5,120 tokens; 0.5 against 1 epochs"
    )
