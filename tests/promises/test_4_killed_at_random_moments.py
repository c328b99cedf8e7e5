"""Promise 4, with real kills: a run killed again and again and resumed has the curve of one that was left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ontogeny import Record

KILLS = 22 if "ONTOGENY_LONG" in os.environ else 8
ROOT = Path(__file__).resolve().parents[2]


def run(kind, folder, kills):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.helpers.killing", kind, str(folder), str(kills), "1"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "seen.json").read_text())


def rows(folder):
    record = Record(folder / "record")
    return {s.key: (s.value, s.chance, s.ceiling, s.weights) for s in record.scores}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lightning", "transformers"])
def test_a_killed_run_loses_nothing_doubles_nothing_and_ends_alike(kind, tmp_path):
    killed = run(kind, tmp_path / "killed", KILLS)
    run(kind, tmp_path / "whole", 0)
    assert not killed["done_early"]
    assert all(not look["lost"] and not look["doubled"] for look in killed["seen"])
    assert len({look["acknowledged"] for look in killed["seen"]}) >= 5, "the kills fell into different stages"
    assert [s.step for s in Record(tmp_path / "killed" / "record").events(kind="probe")] == list(range(151))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
