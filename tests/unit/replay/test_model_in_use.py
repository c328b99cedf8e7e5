"""Replay: the model is made once, checkpoints are loaded into it, and the rows are the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from tests.helpers.models import tiny_gpt, tokenizer
from tests.helpers.orders import orders
from tests.unit.replay.test_engines import rows
from torch import nn
from typing_extensions import override

from ontogeny import watch
from ontogeny.replay import CheckpointSeries, files, hf_trainer, lightning, replay
from ontogeny.replay._loading.state_dict import fills
from ontogeny.replay._prefetch import prefetched

MADE: list[int] = []


class Moving(nn.Module):
    """Changes what it holds whenever it is read: a buffer that is saved, one that is not, and an attribute."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        MADE.append(1)
        self.gpt = tiny_gpt(seed=seed)
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("unsaved", torch.ones(1), persistent=False)
        self.calls = 0

    @override
    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        self.unsaved *= 1.5
        self.calls += 1
        return self.gpt(input_ids).logits * self.unsaved + self.calls


@pytest.fixture
def series(tmp_path):
    (tmp_path / "w").mkdir()
    for step in (0, 1, 2, 5):
        torch.save(Moving(step).state_dict(), tmp_path / "w" / f"step{step}.pt")
    MADE.clear()
    return files(tmp_path / "w" / "step{step}.pt", model=Moving)


def walked(series, benchmark, folder):
    monitor = watch(benchmark, record=folder, tokenizer=tokenizer, run="r")
    return replay(series, monitor), rows(monitor.record)


def test_one_model_gives_the_rows_of_one_made_for_each_checkpoint(series, text_benchmark, tmp_path):
    _, apart = walked(dataclasses.replace(series, reload=None), text_benchmark, tmp_path / "apart")
    assert len(MADE) == 4
    MADE.clear()
    found, together = walked(series, text_benchmark, tmp_path / "together")
    assert len(MADE) == 1
    assert [one.outcome for one in found.results] == ["scored"] * 4
    assert len(together) > 40
    assert together == apart
    assert len({row[2] for row in together.values() if len(row) == 4} - {""}) == 4, "each step has weights of its own"


def test_what_does_not_fit_or_fails_is_said_as_ever_and_the_next_one_is_made_anew(series, text_benchmark, tmp_path):
    file = tmp_path / "w" / "step1.pt"
    state = torch.load(file)
    _, whole = walked(series, text_benchmark, tmp_path / "whole")
    for name, spoilt, reason in (
        ("other", {**state, "seen": torch.zeros(2)}, "seen: (2,), the model has (1,)"),
        ("fewer", {key: value for key, value in state.items() if key != "seen"}, "seen"),
        ("nan", {**state, "seen": torch.full((1,), torch.nan)}, "NaN"),
    ):
        torch.save(spoilt, file)
        MADE.clear()
        found, left = walked(series, text_benchmark, tmp_path / name)
        assert [one.outcome for one in found.results] == ["scored", "failed", "scored", "scored"]
        assert reason in found.results[1].reason
        assert len(MADE) == (2 if name == "nan" else 3)
        assert {key: row for key, row in left.items() if key[0] in (0, 2, 5) and key[1] != "refusal"} == {
            key: row for key, row in whole.items() if key[0] in (0, 2, 5)
        }


class Wide(Moving):
    def __init__(self, factor: float = 1.0, weights: Any = None) -> None:
        super().__init__()
        self.factor = factor

    @override
    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return super().forward(input_ids) * self.factor


def lightning_folder(folder, hyperparameters):
    folder.mkdir()
    for step, options in hyperparameters.items():
        content = {"pytorch-lightning_version": "2.5", "global_step": step, "state_dict": Moving(step).state_dict()}
        torch.save({**content, "hyper_parameters": options}, folder / f"{step}.ckpt")
    MADE.clear()
    return lightning(folder, model=Wide)


def test_lightning_modules_are_made_once_while_their_hyperparameters_stay(text_benchmark, tmp_path):
    series = lightning_folder(tmp_path / "w", {s: {"factor": 2.0 if s < 5 else 3.0} for s in (0, 1, 2, 5)})
    _, apart = walked(dataclasses.replace(series, reload=None), text_benchmark, tmp_path / "apart")
    assert len(MADE) == 4
    MADE.clear()
    _, together = walked(series, text_benchmark, tmp_path / "together")
    assert len(MADE) == 2, "one for three steps, one for the last, which was made with another factor"
    assert len(together) > 40
    assert together == apart


def test_hyperparameters_that_cannot_be_compared_make_the_module_anew(text_benchmark, tmp_path):
    series = lightning_folder(tmp_path / "w", {s: {"weights": torch.ones(2)} for s in (0, 1)})
    found, _ = walked(series, text_benchmark, tmp_path / "r")
    assert [one.outcome for one in found.results] == ["scored", "scored"]
    assert len(MADE) == 2


@pytest.fixture
def folders(tmp_path):
    for step in (1, 2, 3):
        (tmp_path / "hf" / f"checkpoint-{step}").mkdir(parents=True)
        torch.save(Moving(step).state_dict(), tmp_path / "hf" / f"checkpoint-{step}" / "pytorch_model.bin")
    MADE.clear()
    return tmp_path / "hf"


def test_a_model_of_ones_own_is_made_once_for_all_folders(folders, text_benchmark, tmp_path):
    series = hf_trainer(folders, model=Moving)
    _, apart = walked(dataclasses.replace(series, reload=None), text_benchmark, tmp_path / "apart")
    assert len(MADE) == 3
    MADE.clear()
    found, together = walked(series, text_benchmark, tmp_path / "together")
    assert len(MADE) == 1
    assert [one.outcome for one in found.results] == ["scored"] * 3
    assert len(together) > 40
    assert together == apart


def test_a_folder_whose_weights_are_not_finite_fails_as_ever(folders, text_benchmark, tmp_path):
    spoilt = {**Moving(2).state_dict(), "seen": torch.full((1,), torch.nan)}
    torch.save(spoilt, folders / "checkpoint-2" / "pytorch_model.bin")
    found, _ = walked(hf_trainer(folders, model=Moving), text_benchmark, tmp_path / "r")
    assert [one.outcome for one in found.results] == ["scored", "failed", "scored"]
    assert "NaN" in found.results[1].reason


def test_a_folder_of_transformers_is_made_anew(tmp_path):
    for step in (1, 2):
        tiny_gpt(seed=step).save_pretrained(tmp_path / f"checkpoint-{step}")
    series = hf_trainer(tmp_path)
    assert not series.reload(series.load(1), 2)


def test_a_state_fills_a_model_when_nothing_of_the_old_one_stays():
    model = nn.Linear(2, 2)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert fills(model, state)
    assert fills(model, {f"module.{name}": value for name, value in state.items()}) is False
    assert not fills(model, {"weight": state["weight"]})
    assert not fills(model, {**state, "more": torch.zeros(1)})
    assert not fills(model, {**state, "bias": torch.zeros(3)})


def test_the_next_file_is_read_while_one_is_used_and_an_error_of_it_waits_for_its_turn():
    read = []

    def read_ahead(step):
        read.append(step)
        if step == 1:
            raise OSError("gone")

    series = CheckpointSeries(name="s", steps=(0, 1, 2), load=lambda _: nn.Identity(), where=str, read_ahead=read_ahead)
    assert [(order[1].step, error) for order, error in prefetched(orders(series))] == [(0, None), (1, None), (2, None)]
    assert read == [0, 1, 2]


def test_a_file_is_read_through_and_stays_as_it_is(series, tmp_path):
    before = (tmp_path / "w" / "step2.pt").read_bytes()
    series.read_ahead(2)
    assert (tmp_path / "w" / "step2.pt").read_bytes() == before
    with pytest.raises(OSError, match="step5"):
        (tmp_path / "w" / "step5.pt").unlink() or series.read_ahead(5)
