"""CheckpointSeries: what it holds, fewer steps, and steps that are not there."""

from __future__ import annotations

import math

import pytest
from torch import nn

from ontogeny.errors import CheckpointError
from ontogeny.monitoring.schedule import log_spaced
from ontogeny.replay import CheckpointSeries
from ontogeny.replay.checkpoint_series import chosen


def series(**change):
    options = {"name": "run", "steps": (0, 10, 20), "load": lambda _: nn.Linear(1, 1), "where": str}
    return CheckpointSeries(**{**options, **change})


def test_files_on_this_machine_need_no_download_and_are_never_deleted():
    s = series()
    assert s.size(10) == 0
    assert s.fetch(10) is None
    assert s.forget(10) is None
    assert s.tokenizer is None
    assert s.transform is None
    assert s.unit == "optimizer updates"


def test_fewer_steps_keep_their_tokens_and_missing_ones_become_problems():
    s = series(tokens=(0, 100, None)).only([20, 0, 15, 0])
    assert s.steps == (0, 20)
    assert s.tokens == (0, None)
    assert s.tokens_at(0) == 0
    assert s.tokens_at(10) is None
    assert [str(p) for p in s.problems] == ["missing: run: no checkpoint at step 15; the nearest are 10 and 20"]
    assert s.problems[0].step == 15
    assert series().tokens_at(0) is None


def test_steps_have_to_rise_and_tokens_to_match():
    with pytest.raises(CheckpointError, match="the steps of 'run' are not rising: 10, 0"):
        series(steps=(10, 0))
    with pytest.raises(CheckpointError, match="the steps of 'run' are not rising: 1, 1"):
        series(steps=(1, 1))
    with pytest.raises(CheckpointError, match="'run' has 3 steps but 2 token counts"):
        series(tokens=(1, 2))


def test_a_step_that_is_not_there_names_the_nearest():
    with pytest.raises(CheckpointError, match="run has no checkpoint at step 12; the nearest are 10 and 20"):
        chosen({0: "a", 10: "b", 20: "c"}, 12, "run")
    with pytest.raises(CheckpointError, match="run has no checkpoint at step 12; it has none at all"):
        chosen({}, 12, "run")


def test_the_saved_steps_nearest_to_a_schedule():
    """Pythia saved at powers of two and at every thousand; a log schedule hits few of them exactly."""
    saved = (0, *(2**k for k in range(10)), *range(1000, 143_001, 1000))
    series = CheckpointSeries(name="p", steps=saved, load=lambda _: nn.Identity(), where=str)
    wanted = [step for step in range(143_001) if log_spaced(8).due(step)]
    chosen = series.nearest(wanted).steps
    by_hand = {min(saved, key=lambda s: abs(math.log1p(s) - math.log1p(w))) for w in wanted}
    assert set(chosen) == by_hand
    assert len(chosen) > 25
    assert chosen[-1] == 133_000
    assert series.nearest([5, 10**9]).steps == (4, 143_000)
    assert series.nearest(saved).steps == saved
    assert series.only([4]).nearest([0, 100]).steps == (4,)
    assert series.only([]).nearest([1]).steps == ()
