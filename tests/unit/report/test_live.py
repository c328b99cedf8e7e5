"""The page while training runs: what it says, when it is written, and what it must never do."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import warnings

import pytest
import torch
from tests.helpers.models import TinyCNN, transform
from tests.helpers.page_records import STEPS, world, write_world

from ontogeny import Record, watch
from ontogeny.record import is_written
from ontogeny.report.live_page import live_html
from ontogeny.report.watch_record import watch_record
from ontogeny.sinks import Refresher


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "a"
    write_world(folder, world({"V1": 300.0, "IT": 800.0}))
    return Record(folder)


def test_the_page_says_what_is_known_so_far_and_that_it_is_no_stopping_rule(record):
    running = live_html(record, primary="IT")
    assert re.search(r"<h1>So far: Yes, in this run: the model is half-way to its alignment with IT in 2\.\d×", running)
    assert "no stopping rule" in running
    assert f"running, step {STEPS[-1]:,}" in running
    assert '<meta http-equiv="refresh" content="10">' in running
    assert running.count("<polyline") == 7  # six layers and the task
    assert "<script" not in running
    done = live_html(record, primary="IT", running=False)
    assert "<h1>Yes, in this run" in done
    assert f"finished, step {STEPS[-1]:,}" in done
    assert "http-equiv" not in done


STATES = """
import random, sys
import numpy as np, torch
from ontogeny import Record
from ontogeny.report.live_page import LivePage
random.seed(1), np.random.seed(1), torch.manual_seed(1)
before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state().clone()
LivePage().refresh(Record(sys.argv[1]))
assert random.getstate() == before[0]
assert (np.random.get_state()[1] == before[1]).all()
assert torch.equal(torch.get_rng_state(), before[2])
"""


def test_drawing_touches_no_random_state(record):
    """In a process of its own: the checks of types in these tests draw numbers themselves."""
    subprocess.run([sys.executable, "-c", STATES, str(record.folder)], check=True)
    assert (record.folder / "report.html").exists()


class Drawing:
    """A sink that takes its time to draw."""

    name = "slow"

    def __init__(self, seconds, first=0.0, error=None):
        self.seconds, self.first_refresh, self.error, self.drawn = seconds, first, error, 0

    def write(self, step, metrics):
        pass

    def refresh(self, record):
        self.drawn += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error


def test_what_is_drawn_stays_under_one_percent_of_the_probes():
    refresh, at_once, later = Refresher(), Drawing(0.01), Drawing(0.01, first=0.02)
    for probes in range(1, 101):
        refresh([at_once, later], None, 0.1 * probes)  # 10 s of probes: 0.1 s may be drawn
        if probes == 1:
            assert (at_once.drawn, later.drawn) == (1, 0)
    assert later.drawn >= 1
    assert 2 <= at_once.drawn - 1 + later.drawn <= 10


def test_a_drawing_that_fails_warns_once_and_is_left_alone():
    refresh, broken, sound = Refresher(), Drawing(0, error=ValueError("no ink")), Drawing(0)
    with pytest.warns(UserWarning, match="slow draws nothing more while training runs: no ink"):
        refresh([broken, sound], None, 100.0)
    for probes in range(2, 6):
        refresh([broken, sound], None, 100.0 * probes)  # a second warning would be an error
    assert (broken.drawn, sound.drawn) == (1, 5)


def train(benchmark, folder, **options):
    torch.manual_seed(0)
    model = TinyCNN()
    monitor = watch(benchmark, record=folder, transform=transform, task=False, schedule="every:1", **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    drawn = []
    for step in range(4):
        monitor(model, step)
        drawn.append((folder / "report.html").exists())
        optimizer.zero_grad()
        sum(p.square().sum() for p in model.parameters()).backward()
        optimizer.step()
    during = (folder / "report.html").read_text(encoding="utf-8") if drawn[-1] else ""
    monitor.finish(model, 3)
    return model, monitor, during


def test_the_page_option_writes_it_from_the_first_probe_on(image_benchmark, tmp_path):
    model, monitor, during = train(image_benchmark, tmp_path / "with", page=True)
    plain, *_ = train(image_benchmark, tmp_path / "without")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    assert "running, step 0" in during
    page = (tmp_path / "with" / "report.html").read_text(encoding="utf-8")
    assert "finished, step 3" in page
    assert "No held-out task was measured" in page
    assert not (tmp_path / "without" / "report.html").exists()
    assert monitor.cost.drawing > 0


WRITER = """
import sys, time
from tests.helpers.page_records import world, write_world
from ontogeny import Record
from ontogeny.record import Event
from pathlib import Path
folder = Path(sys.argv[1])
record = Record(folder, create=True)
record.identify()
write_world(folder, world({"IT": 800.0}))
record = Record(folder)
record.append([Event(run=record.run, step=200_000, kind="probe", metric="seconds", value=1.0)])
sys.stdin.readline()
record.close()
"""


def test_a_record_that_another_process_writes_is_watched_until_it_ends(tmp_path):
    folder, said = tmp_path / "a", []
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdin=subprocess.PIPE, text=True) as writer:

        def hears(line):
            said.append(line)
            if line.startswith("step 200,000"):
                page = (folder / "report.html").read_text(encoding="utf-8")
                assert "running, step 200,000" in page
                assert is_written(folder)
                writer.stdin.write("\n")
                writer.stdin.flush()

        assert watch_record(folder, folder, say=hears, look=0.05)
    assert not is_written(folder)
    assert said[-1] == f"step 200,000: {folder / 'report.html'}"
    assert not watch_record(folder, folder, say=said.append, look=0.05)


def test_asking_whether_a_record_is_written_takes_no_lock(tmp_path):
    record = Record(tmp_path / "r", create=True)
    record.identify()
    assert is_written(tmp_path / "r")
    record.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not is_written(tmp_path / "r")
    assert not is_written(tmp_path / "nowhere")
