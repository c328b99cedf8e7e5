"""A walk that is killed (SIGKILL) at random moments and started again ends as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ontogeny import Record
from ontogeny.cli import main

ROOT = Path(__file__).resolve().parents[3]
STEPS = [0, *(2**k for k in range(11))]
KILLS = 8

# One process that imports once and forks a walk an attempt, so that the kills fall into the walk and not into imports.
WALKER = """
import os, sys
from ontogeny.cli import main
import ontogeny.replay, ontogeny.monitoring.factory, recipes.tiny_series, safetensors.torch, scipy.stats
print("ready", flush=True)
for line in sys.stdin:
    if (child := os.fork()) == 0:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main(line.split()))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def command(folder: Path) -> list[str]:
    task = ["--task", "recipes.tiny_series:held_out"]
    return ["replay", "tiny", "--benchmark", "planted-vision", *task, "--record", str(folder)]


def rows(folder: Path) -> dict:
    """All that a row says, but for the run's name and what it cost."""
    scores = Record(folder).scores
    return {s.key[1:]: (s.value, s.chance, s.ceiling, s.weights, s.note) for s in scores}


def lines(folder: Path) -> int:
    """Whole rows on disk."""
    path = folder / "scores.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def walker():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WALKER],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def attempt(walker, folder: Path, *, more: int | None, wait: float = 0.0) -> int:
    """One walk; killed `wait` seconds after `more` rows came. Its wait status."""
    before = lines(folder)
    walker.stdin.write(" ".join(command(folder)) + "\n")
    walker.stdin.flush()
    child = int(walker.stdout.readline())
    if more is not None:
        deadline = time.monotonic() + 20
        while lines(folder) < before + more and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    return int(walker.stdout.readline())


@pytest.mark.long
@pytest.mark.slow
def test_a_walk_that_is_killed_again_and_again_ends_as_one_that_was_left_alone(tmp_path, monkeypatch, capsys, walker):
    monkeypatch.chdir(ROOT)
    assert main(command(tmp_path / "whole")) == 0
    killed, rng, seen = tmp_path / "killed", random.Random(1), []
    a_step = lines(tmp_path / "whole") // len(STEPS)
    for _ in range(KILLS):
        status = attempt(walker, killed, more=rng.choice([0, 1, 1, a_step]), wait=rng.uniform(0, 0.15))
        assert os.WIFSIGNALED(status), "it was killed before it ended"
        if (killed / "record.json").exists():
            record = Record(killed)
            assert lines(killed) == len(record.scores), "no row is there twice"
            done = [s.step for s in record.events(kind="probe")]
            assert done == STEPS[: len(done)]
            seen.append(len(done))
    assert len(set(seen)) >= 4, "the kills fell into different steps"
    assert 0 < seen[-1] < len(STEPS)
    capsys.readouterr()
    assert main(command(killed)) == 0
    assert f"12 checkpoints: {12 - seen[-1]} scored, {seen[-1]} known" in capsys.readouterr().out
    assert [s.step for s in Record(killed).events(kind="probe")] == STEPS
    assert lines(killed) == len(Record(killed).scores)
    assert rows(killed) == rows(tmp_path / "whole")
