"""Promise 4 for rows that move into Parquet: killed after every file operation, at every size of a file and at random
moments, nothing is lost or doubled, and the run goes on as if it had been left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def seen(how, folder):
    command = [sys.executable, "-m", "tests.helpers.moving", how, str(folder), "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kills", "stages"),
    [pytest.param("operations", 90, 8, marks=pytest.mark.long), ("bytes", 50, 3), ("moments", 10, 3)],
)
def test_killed_while_rows_move_nothing_is_lost_and_nothing_doubled(how, kills, stages, tmp_path):
    looks = seen(how, tmp_path)
    assert [look for look in looks if look["lost"] or look["wrong"] or look["doubled"] or not look["alike"]] == []
    assert sum(look["killed"] for look in looks) >= kills
    assert len({(look["acknowledged"], look["parts"]) for look in looks}) >= stages, "kills fell into different stages"


@pytest.mark.slow
def test_a_reader_never_misses_a_row_that_is_just_moving(tmp_path):
    looks = seen("reader", tmp_path)
    assert [look for look in looks if look["lost"] or look["wrong"] or look["doubled"] or not look["alike"]] == []
    assert {look["parts"] for look in looks} == {0, 1, 2}
