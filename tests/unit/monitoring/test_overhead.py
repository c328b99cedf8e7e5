"""What watching costs, and a budget that thins the schedule by itself."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest
import torch
from tests.helpers.models import TinyCNN
from torch import nn

import ontogeny
from ontogeny.errors import ConfigError
from ontogeny.monitoring._overhead import OverheadBudget
from ontogeny.monitoring._progress import progress_line
from ontogeny.monitoring.heldout.loss import Measured
from ontogeny.report._first_screen import cost_of
from ontogeny.report.run_data import RunFacts


@dataclass
class Slow:
    """A task that takes its time."""

    seconds: float

    def __call__(self, model):
        time.sleep(self.seconds)
        return [Measured(metric="loss", value=1.0, unit="nats", n=1)]


def tensor(image):
    return torch.as_tensor(image).permute(2, 0, 1).float() / 255


def watch(benchmark, folder, **options):
    return ontogeny.watch(benchmark, record=folder, transform=tensor, layers="early", controls=False, **options)


def train(monitor, model, steps, seconds):
    monitor(model, 0)
    for step in range(1, steps + 1):
        time.sleep(seconds)
        monitor(model, step)
    monitor.finish(model, steps)


def test_every_probe_records_its_share_of_the_wall_time(image_benchmark, tmp_path, capsys):
    monitor = watch(image_benchmark, tmp_path / "r", schedule="every:2", task=Slow(0.02))
    train(monitor, TinyCNN(), 4, 0.02)
    shares = monitor.record.events(kind="cost", metric="share of wall time")
    assert [s.step for s in shares] == [0, 2, 4]
    assert all(0 < s.value <= 1 for s in shares)
    assert shares[-1].value == pytest.approx(monitor.cost.share, abs=0.05)
    line = capsys.readouterr().err
    assert re.search(
        r"ontogeny: 3 probes, \d+\.\d % of wall time \(\d+\.\d s: [^)]*task \d\.\d[^)]*\); record ",
        line.replace("%", " %"),
    )
    assert line.count("of wall time") == 1
    assert set(monitor.cost.stages) == {"hash", "forward", "task", "score"}
    assert monitor.cost.stages["task"] >= 3 * 0.02
    assert 0 < sum(monitor.cost.stages.values()) <= sum(monitor.cost.seconds)
    monitor.close()
    assert not capsys.readouterr().err
    share, said = cost_of([RunFacts.of(monitor.record)])
    assert re.fullmatch(r"\d+\.\d % of wall time", share)
    assert said == "3 probes, none failed"


def test_a_budget_leaves_probes_out_and_the_record_says_so(image_benchmark, tmp_path, capsys):
    monitor = watch(image_benchmark, tmp_path / "r", schedule="every:1", task=Slow(0.03), budget=0.3)
    train(monitor, TinyCNN(), 40, 0.01)
    probed = [s.step for s in monitor.record.events(kind="probe")]
    left_out = monitor.record.events(kind="cost", metric="left out")
    assert probed[0] == 0
    assert probed[-1] == 40
    assert 3 <= len(probed) < 30
    assert sorted([*probed, *(s.step for s in left_out)]) == list(range(41))
    assert left_out[0].note == "left out to stay within 30.0% of wall time"
    assert monitor.cost.share < 0.45
    assert f"{len(left_out)} left out to stay within 30.0%" in capsys.readouterr().err
    assert f"{len(left_out)} due probes were left out" in cost_of([RunFacts.of(monitor.record)])[1]


class Thinks(nn.Module):
    """Takes its time to give its weights, as a large model does to have them hashed."""

    def __init__(self):
        super().__init__()
        self.net = TinyCNN()
        self.seconds = 0.0

    def forward(self, x):
        return self.net(x)

    def state_dict(self, *args, **kwargs):
        time.sleep(self.seconds)
        return super().state_dict(*args, **kwargs)


def test_the_hash_of_a_checkpoint_is_part_of_the_cost(image_benchmark, tmp_path, capsys):
    model, monitor = Thinks(), watch(image_benchmark, tmp_path / "r", schedule="at:3")
    monitor(model, 0)
    model.seconds = 0.2
    for step in (0, 1, 2):
        monitor.saved(model, step)
    model.seconds = 0.0
    assert 0.4 <= monitor.cost.hashing < 2
    assert monitor.cost.spent == monitor.cost.hashing + sum(monitor.cost.seconds) + monitor.cost.drawing
    for row in (noted := monitor.record.events(kind="checkpoint")):
        assert row.value >= 0.2
        assert row.unit == "s"
    assert [row.step for row in noted] == [1, 2]
    spent, elapsed = monitor.cost.spent, monitor.cost.elapsed
    monitor.finish(model, 3)
    assert f"; {monitor.cost.hashing:.1f} s of them to hash weights at checkpoints); record" in capsys.readouterr().err
    again = watch(image_benchmark, tmp_path / "r").cost
    assert again.hashing == pytest.approx(monitor.cost.hashing)
    assert again.earlier >= elapsed > spent


def test_without_a_budget_nothing_is_left_out(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, tmp_path / "r", schedule="every:1", task=Slow(0.03))
    train(monitor, TinyCNN(), 5, 0.0)
    assert [s.step for s in monitor.record.events(kind="probe")] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("budget", [0.0, -0.1, 2.0])
def test_a_budget_is_a_share(budget):
    with pytest.raises(ConfigError, match="a share of wall time above 0 and up to 1"):
        OverheadBudget(budget=budget)


def test_a_clock_that_was_never_started_has_no_share():
    assert OverheadBudget().share == 0.0
    assert OverheadBudget().allows_probe()
    assert OverheadBudget(seconds=[1.0]).line() == "1 probe in the record (1.0 s)"


def test_a_plain_line_after_every_other_probe(image_benchmark, tmp_path, capsys, caplog):
    caplog.set_level("INFO", logger="ontogeny")
    monitor = watch(image_benchmark, tmp_path / "r", schedule="every:1", task=Slow(0.0), say_every=2)
    train(monitor, TinyCNN(), 4, 0.0)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ontogeny: step ")]
    assert len(lines) == 2
    best = r"IT (at chance|\d\.\d\d \(\d+ % of ceiling\))"
    assert re.fullmatch(f"ontogeny: step 1  {best}  loss 1", lines[0])
    assert [r.message for r in caplog.records if r.name == "ontogeny"] == [x.removeprefix("ontogeny: ") for x in lines]
    assert progress_line([]) == "step 0  nothing could be scored"


def test_a_plain_line_stays_short_with_many_rois():
    from ontogeny.record import Score

    blank = {"run": "r", "step": 3, "kind": "alignment", "layer": "l", "metric": "ridge", "value": 0.25}
    line = progress_line([Score(**blank, roi=f"area {i}") for i in range(180)])
    assert line.startswith("step 3  area 0 0.25  area 1 0.25")
    assert line.endswith("and 176 more regions")
    assert len(f"ontogeny: {line}") < 100


def test_a_resumed_run_goes_on_counting(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, tmp_path / "r", schedule="every:1", task=Slow(0.02), budget=0.5)
    train(monitor, TinyCNN(), 5, 0.05)
    again = watch(image_benchmark, tmp_path / "r", schedule="every:1", task=Slow(0.02), budget=0.5)
    assert len(again.cost.seconds) == len(monitor.cost.seconds)
    assert again.cost.skipped == monitor.cost.skipped
    assert again.cost.earlier == pytest.approx(monitor.cost.elapsed, rel=0.2)
