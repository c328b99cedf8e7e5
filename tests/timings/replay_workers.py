"""Replay of GPT-2 124M by one local worker and by two, one thread each: how near to half the time.

Wall seconds, so both cores have to be idle. Eight checkpoints of 500 MB are written to a temporary folder.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2Model

from ontogeny import watch
from ontogeny.replay import Local, files, replay
from tests.timings import Row
from tests.timings.isolation import benchmark, texts

_CHECKPOINTS = int(os.environ.get("ONTOGENY_CHECKPOINTS", "8"))


def gpt2() -> GPT2Model:
    """In its default size, with random weights."""
    return GPT2Model(GPT2Config())


def numbers(text: str) -> list[int]:
    """Texts are numbers of tokens."""
    return [int(word) for word in text.split()]


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for step in range(_CHECKPOINTS):
            torch.save(gpt2().state_dict(), Path(folder) / f"step{step}.pt")
        one, two = (_walk(Path(folder), workers) for workers in (1, 2))
    what = f"{_CHECKPOINTS} checkpoints of GPT-2 124M, 100 texts"
    yield f"replay by one worker, {what}", one, "with starting it"
    yield f"replay by two, {what}", two, f"{one / two / 2:.2f} of linear"


def _walk(folder: Path, workers: int) -> float:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        monitor = watch(benchmark(texts()), record=Path(place) / "r", tokenizer=numbers, run="r")
        series = files(folder / "step{step}.pt", model="tests.timings.replay_workers:gpt2")
        report = replay(series, monitor, engine=Local(workers=workers))
    if any(one.outcome != "scored" for one in report.results):
        raise RuntimeError(str(report))
    return time.perf_counter() - start
