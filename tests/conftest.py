"""What tests share: where real data are, seeded generators, and a tiny text and image benchmark."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from ontogeny import _messages as messages
from tests.helpers.shape_checks import check_again

# Workers of xdist have the width of a terminal, in which lines are wrapped; what is captured goes to no terminal.
os.environ.pop("COLUMNS", None)

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
if "ONTOGENY_DATA" not in os.environ and _BESIDE.is_dir():
    os.environ["ONTOGENY_DATA"] = str(_BESIDE)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
torch.set_num_threads(1)
gc.disable()  # until all is imported


@pytest.fixture(autouse=True)
def warnings_are_errors(monkeypatch):
    """A user's training outlives a warning that `-W error` made an error; a test does not."""

    def end(error: UserWarning) -> None:
        raise error

    monkeypatch.setattr(messages, "_as_error", end)


def pytest_collection_finish():
    """What was imported stays: the garbage collector need not look through torch again and again."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup():
    """Shapes are checked in the first calls of each test."""
    check_again()


def pytest_collection_modifyitems(items):
    """Two marks: `slow`, those that `slow.txt` names; `long`, which are run before a release alone.

    What is long takes minutes, and shorter tests of its family are run at each change.
    """
    slow = set(Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").split())
    for item in items:
        if item.nodeid.partition("[")[0] in slow:
            item.add_marker(pytest.mark.slow)
    if "ONTOGENY_LONG" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: make long"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def unchecked(monkeypatch):
    """As users run it: without the tests' type checker, which would catch wrong arguments before our errors do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def text_benchmark():
    from tests.helpers import benchmarks

    return benchmarks.text_benchmark()


@pytest.fixture
def image_benchmark():
    from tests.helpers import benchmarks

    return benchmarks.image_benchmark()
