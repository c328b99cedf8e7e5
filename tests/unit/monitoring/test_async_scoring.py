"""Scoring in the background: the same scores, a queue of one, never a skip, nothing that the training could feel."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, TinyModule, image_data, image_loader, transform
from torch import nn

from ontogeny import Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback
from ontogeny.errors import ProbeError
from ontogeny.metrics import Value
from ontogeny.monitoring._async_scoring import Background

# The tests' own type checker draws random numbers, so that nothing would ever be scored in the background.
pytestmark = pytest.mark.usefixtures("unchecked")


@dataclass(frozen=True)
class Slow:
    """A metric that takes its time, says in which thread, and draws, or raises, if told to."""

    seconds: float = 0.0
    draws: bool = False
    breaks_after: int = 10**9
    name: str = "slow"
    unit: str = "r"

    def __post_init__(self):
        object.__setattr__(self, "threads", [])

    def prepare(self, targets, folds):
        return PreparedSlow(self, len(targets))


class PreparedSlow:
    def __init__(self, metric, count):
        self.metric, self.count = metric, count

    def score(self, view):
        self.metric.threads.append(threading.current_thread().name)
        time.sleep(self.metric.seconds)
        if self.metric.draws:
            np.random.rand()
        if len(self.metric.threads) > self.metric.breaks_after:
            raise ArithmeticError("the metric broke")
        return [Value(value=float(view.gram.trace()), chance=0.0, ceiling=None, ceiling_lower=None)] * self.count


def benchmark_with(benchmark, metric):
    from dataclasses import replace

    return replace(benchmark, metrics=(*benchmark.metrics, metric))


def train(monitor, steps=6, pause=0.0):
    torch.manual_seed(0)
    model = TinyCNN()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = image_data(16).tensors
    monitor(model, 0)
    for step in range(1, steps + 1):
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor(model, step)
        time.sleep(pause)
    monitor.finish(model, steps)
    return [p.detach().clone() for p in model.parameters()]


def monitor_for(benchmark, folder, **options):
    return watch(benchmark, record=folder, transform=transform, schedule="every:2", controls=False, **options)


def test_scores_are_identical_and_no_probe_is_skipped(image_benchmark, tmp_path):
    metric = Slow(seconds=0.02)
    slow = benchmark_with(image_benchmark, metric)
    weights = [
        train(monitor_for(slow, tmp_path / str(background), background=background)) for background in (False, True)
    ]
    assert all(map(torch.equal, *weights))
    rows = [
        [
            (s.key[1:], s.value, s.chance, s.ceiling, s.weights)
            for s in Record(tmp_path / name).scores
            if s.kind not in ("probe", "cost")
        ]
        for name in ("False", "True")
    ]
    assert rows[0] == rows[1]
    steps = [[s.step for s in Record(tmp_path / n).events(kind="probe")] for n in ("False", "True")]
    assert steps == [[0, 2, 4, 6]] * 2
    threads = set(metric.threads)
    assert "MainThread" in threads  # the first probe looks whether scoring draws random numbers
    assert any(name.startswith("ontogeny") for name in threads)


def test_the_model_trains_on_while_a_probe_is_scored(image_benchmark, tmp_path):
    slow = benchmark_with(image_benchmark, Slow(seconds=0.1))
    monitor = monitor_for(slow, tmp_path / "r", background=True)
    model = TinyCNN()
    monitor(model, 0)
    start = time.perf_counter()
    assert monitor(model, 2) == []
    assert time.perf_counter() - start < 0.2
    assert monitor(model, 3) == []
    time.sleep(0.6)
    assert {s.step for s in monitor(model, 3)} == {2}
    assert monitor.latest[0] == 2
    monitor(model, 4)
    assert {s.step for s in monitor.flush()} == {4}
    assert monitor.flush() == []


def test_a_second_probe_waits_for_the_first(image_benchmark, tmp_path):
    slow = benchmark_with(image_benchmark, Slow(seconds=0.1))
    monitor = monitor_for(slow, tmp_path / "r", background=True)
    model = TinyCNN()
    monitor(model, 0)
    monitor(model, 2)
    assert {s.step for s in monitor(model, 4)} == {2}
    assert {s.step for s in monitor.finish(model, 4)} == {4}


def test_a_metric_that_draws_random_numbers_stays_in_the_foreground(image_benchmark, tmp_path):
    metric = Slow(draws=True)
    monitor = monitor_for(benchmark_with(image_benchmark, metric), tmp_path / "r", background=True)
    with pytest.warns(UserWarning, match="drew from a global random state.*stays in the foreground"):
        train(monitor)
    assert set(metric.threads) == {"MainThread"}
    assert [s.step for s in monitor.record.events(kind="probe")] == [0, 2, 4, 6]


@pytest.mark.parametrize("on_error", ["warn", "raise"])
def test_what_fails_in_the_background_is_recorded_or_raised(image_benchmark, tmp_path, on_error, capfd):
    slow = benchmark_with(image_benchmark, Slow(breaks_after=3))
    monitor = monitor_for(slow, tmp_path / "r", background=True, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(
            ProbeError, match="the probe at step 2 is recorded, but for.*ArithmeticError: the metric broke"
        ):
            train(monitor)
        return
    train(monitor)
    assert "metric 'slow' is refused at step 2: the metric failed: ArithmeticError" in capfd.readouterr().err
    assert {s.step for s in monitor.record.events(kind="refusal", metric="slow")} == {2, 4, 6}
    assert [s.step for s in monitor.record.events(kind="probe")] == [0, 2, 4, 6]


class Crashes(pl.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 3:
            raise KeyboardInterrupt


def test_what_is_being_scored_is_written_when_training_is_interrupted(image_benchmark, tmp_path):
    slow = benchmark_with(image_benchmark, Slow(seconds=0.05))
    ours = AlignmentCallback(
        slow, record=tmp_path / "r", transform=transform, schedule="every:2", background=True, controls=False
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=5, logger=False, enable_checkpointing=False, callbacks=[ours, Crashes()]
    )
    with pytest.raises(SystemExit):
        trainer.fit(TinyModule(), image_loader())
    assert [s.step for s in Record(tmp_path / "r").events(kind="probe")] == [0, 2]
    assert ours.monitor.sinks == []


def test_one_job_at_a_time():
    background = Background()
    with pytest.raises(RuntimeError, match=r"there is no job to take out; call start\(job\) first"):
        background.take()
    background.start(torch.is_grad_enabled)
    with pytest.raises(RuntimeError, match=r"the job before was not taken out; call take\(\) first"):
        background.start(lambda: True)
    assert background.take() is False
    background.close()
