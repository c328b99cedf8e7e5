"""Promise 3, on random labs: subjects, sessions, tasks, runs, repeats, orders, missing trials, blanks, more columns.

Five hundred of them by hand: `python -m tests.helpers.lab_checks 500`, and with stories `python -m
tests.helpers.story_labs 500`.
"""

from __future__ import annotations

import pytest
from tests.helpers import story_labs
from tests.helpers.lab_checks import check
from tests.helpers.lab_faults import FAULTS
from tests.helpers.labs import KINDS, expected, make


@pytest.mark.parametrize("seed", range(4 * len(KINDS)))
def test_a_lab_is_right_to_the_last_number(seed, tmp_path):
    assert check(seed, tmp_path) == KINDS[seed % len(KINDS)]


@pytest.mark.parametrize("seed", range(8))
def test_a_lab_with_stories_is_right_to_the_last_number(seed, tmp_path):
    assert story_labs.check(seed, tmp_path) in KINDS_OF_STORIES


KINDS_OF_STORIES = ("BOLD", "arrays", "BOLD, own stories", "arrays, own stories")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_refused_by_name(fault, tmp_path):
    """In the first lab that has a place for it."""
    for seed in range(100, 160):
        folder = tmp_path / str(seed)
        folder.mkdir()
        if check(seed, folder, [fault]):
            return
    pytest.fail(f"no lab had a place for {fault.__name__}")


def test_labs_differ_and_their_truth_is_z_scored():
    made = [make(seed) for seed in range(24)]
    assert {lab.kind for lab in made} == set(KINDS)
    assert {len(lab.subjects) for lab in made} == {1, 2}
    assert {key for lab in made for run in lab.runs for key in run.said} == {"ses", "task", "acq", "run"}
    every = [row for found in expected(made[0]).values() for rows in found.values() for row in rows]
    assert abs(sum(every)).max() < 1e-6
