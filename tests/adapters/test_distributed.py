"""Two real processes: stimuli are shared out, scored once, equal to one process; nobody is left waiting."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tests.distributed import batches_run
from tests.helpers import benchmarks
from tests.helpers.models import TinyModule, image_data, tiny_gpt, token_rows, tokenizer, transform
from tests.helpers.processes import run_python
from torch import nn

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.errors import ConfigError
from ontogeny.extraction.process_group import is_first, require_supported_sharding

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def lightning(folder: Path, kind: str) -> list[dict]:
    return torchrun("lightning_run", folder, kind)


def torchrun(module: str, folder: Path, kind: str, *, ranks: int = 2) -> list[dict]:
    """Several processes, run to their end; those that hang are ended, and fail."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = run_python(
        ["-m", f"tests.distributed.{module}", folder, kind],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        timeout=180,
        ranks=ranks,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(ranks)]


def same_as_one_process(record: Record, folder: Path, model: nn.Module, monitor, steps: list[int]) -> None:
    """Every row of the two processes' record, against one process that reads the saved weights."""
    assert [s.step for s in record.events(kind="probe")] == steps
    for step in steps:
        if not (folder / f"step{step}.pt").exists():
            continue
        state = torch.load(folder / f"step{step}.pt", weights_only=True)
        model.load_state_dict(state)
        alone = {s.key[1:]: s for s in monitor.measure(model, step) if s.kind in ("alignment", "task", "confound")}
        together = {
            s.key[1:]: s for s in record.scores if s.step == step and s.kind in ("alignment", "task", "confound")
        }
        assert together.keys() == alone.keys()
        assert len(alone) > 8
        for key, score in together.items():
            assert score.value == pytest.approx(alone[key].value, abs=1e-6), key
            assert score.weights == alone[key].weights


def test_lightning_ddp_scores_as_one_process_does_and_no_loss_moves(tmp_path):
    watched, bare = lightning(tmp_path / "a", "watch"), lightning(tmp_path / "b", "none")
    assert [r["losses"] for r in watched] == [r["losses"] for r in bare]
    assert watched[0]["losses"] != watched[1]["losses"]
    numbers = [{k: v for k, v in r["metrics"].items() if k.startswith(("alignment", "task"))} for r in watched]
    assert numbers[0] == numbers[1]
    assert "alignment/IT" in numbers[1]
    assert watched[0]["best"]
    assert watched[0]["best"] == watched[1]["best"]
    task = HeldOutLoss(batches=[tuple(image_data(30, seed=9).tensors)])
    monitor = watch(benchmarks.image_benchmark(n=20), record=tmp_path / "r", transform=transform, task=task)
    same_as_one_process(
        Record(tmp_path / "a" / "record"), tmp_path / "a", TinyModule(), monitor, [0, 2, 4, 6, 8, 10, 12]
    )


def test_lightning_ddp_goes_on_when_one_rank_fails(tmp_path):
    first, second = lightning(tmp_path, "break")
    assert first["step"] == second["step"] == 12
    record = Record(tmp_path / "record")
    assert [s.step for s in record.events(kind="probe")] == [0]
    notes = {s.step: s.note for s in record.events(kind="refusal")}
    assert list(notes) == [2, 4, 6, 8, 10, 12]
    assert "rank 1 of 2: ProbeError" in notes[2]
    assert "this rank ran out of memory, say" in notes[2]


def test_the_hugging_face_trainer_under_torchrun(tmp_path):
    watched = torchrun("transformers_run", tmp_path / "a", "watch")
    bare = torchrun("transformers_run", tmp_path / "b", "none")
    assert watched[0]["losses"] == bare[0]["losses"]
    assert watched[0]["latest"] == watched[1]["latest"]
    assert watched[0]["best"] == watched[1]["best"]
    assert watched[0]["weights"] == watched[1]["weights"]
    record = Record(tmp_path / "a" / "record")
    curve = record.series(roi="left", layer="transformer.h.1")
    assert curve.steps.tolist() == [0, 2, 3, 4, 6]
    best = max((max(s.value for s in record.select(kind="alignment", roi="left", step=k)), k) for k in (2, 4, 6))
    assert watched[0]["best"] == pytest.approx(list(best))
    task = HeldOutLoss(batches=[{"input_ids": torch.stack([row["input_ids"] for row in token_rows(24, seed=3)])}])
    monitor = watch(
        benchmarks.text_benchmark(), record=tmp_path / "r", tokenizer=tokenizer, pooling="mean", task=task, batch_size=7
    )
    same_as_one_process(record, tmp_path / "a", tiny_gpt(), monitor, [0, 2, 3, 4, 6])


@pytest.mark.parametrize(
    "kind", ["fsdp2", "hsdp", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("ddp", "background"))]
)
def test_a_plain_loop_on_several_ranks(kind, tmp_path):
    first, *others = torchrun("plain_run", tmp_path, kind, ranks=4 if kind == "hsdp" else 2)
    assert {one["error"] for one in (first, *others)} == {""}
    assert all(one["latest"] == first["latest"] for one in others)
    assert first["latest"][0] == 5
    task = HeldOutLoss(batches=[{"input_ids": torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])}])
    monitor = watch(
        benchmarks.text_benchmark(), record=tmp_path / "r", tokenizer=tokenizer, pooling="mean", task=task, batch_size=7
    )
    same_as_one_process(Record(tmp_path / "record"), tmp_path, tiny_gpt(), monitor, [0, 2, 4, 5])


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_what_one_rank_finds_of_large_batches_holds_for_all(kind, tmp_path):
    first, second = torchrun("batches_run", tmp_path, kind)
    assert first["alone"] == second["alone"] == [False, True]
    assert "one stimulus at a time, since features were others in large batches" in first["notes"]
    right = next(iter(batches_run.probe(batch_size=1)(batches_run.Crowded()).values.values()))
    for found in torch.load(tmp_path / "features.pt", weights_only=True):
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_a_failing_probe_ends_training_on_every_rank_if_asked_to(tmp_path):
    first, second = torchrun("plain_run", tmp_path, "raise")
    assert "rank 1 of 2" in first["error"]
    assert "ran out of memory, say" in first["error"]
    assert "ran out of memory, say" in second["error"]


def test_what_exits_on_one_rank_ends_training_on_none(tmp_path):
    first, second = torchrun("plain_run", tmp_path, "exits")
    assert len(first["losses"]) == len(second["losses"]) == 5
    record = Record(tmp_path / "record")
    assert [s.step for s in record.events(kind="probe")] == [0, 2, 5]
    refused = [(s.step, s.layer, s.note) for s in record.events(kind="refusal")]
    task = [(step, "(task)", "SystemExit: the task has had enough") for step in (0, 2, 5)]
    assert [row for row in refused if row[1] == "(task)"] == task
    ((step, layer, note),) = [row for row in refused if row[1] != "(task)"]
    assert (step, layer) == (4, "(whole probe)")
    assert "rank 1 of 2: SystemExit: the model has had enough" in note


@pytest.mark.parametrize(("kind", "ranks"), [("hangs", 3), ("fsdp2-hangs", 2)], ids=["ddp", "fsdp2"])
def test_the_others_go_on_after_the_limit_where_one_rank_hangs(kind, ranks, tmp_path):
    first, second, *others = torchrun("plain_run", tmp_path, kind, ranks=ranks)
    assert all(3 < one["waited"] < 20 for one in (first, *others))
    assert second["waited"] >= first["waited"] - 1
    assert all(one["latest"] == first["latest"] for one in (second, *others))
    assert {len(one["losses"]) for one in (first, second, *others)} == {5}
    record = Record(tmp_path / "record")
    assert [s.step for s in record.events(kind="probe")] == [0, 4, 5]
    ((step, note),) = [(s.step, s.note) for s in record.events(kind="refusal") if s.layer == "(whole probe)"]
    assert step == 2
    assert f"rank 0 of {ranks} waited for another rank" in note
    assert "needs longer than 4 s (probe_timeout=seconds)" in note


@pytest.mark.parametrize(
    ("kind", "ranks"), [("fsdp2", 2), pytest.param("hsdp", 4, marks=pytest.mark.long)], ids=["fsdp2", "hsdp"]
)
def test_a_rank_that_fails_in_the_middle_of_a_sharded_forward_pass(kind, ranks, tmp_path):
    whole = torchrun("plain_run", tmp_path / "whole", kind, ranks=ranks)
    broken = torchrun("plain_run", tmp_path / "broken", f"{kind}-breaks", ranks=ranks)
    assert [one["losses"] for one in broken] == [one["losses"] for one in whole]
    assert {one["error"] for one in broken} == {""}
    record = Record(tmp_path / "broken" / "record")
    assert [s.step for s in record.events(kind="probe")] == [0, 4, 5]
    ((step, note),) = [(s.step, s.note) for s in record.events(kind="refusal") if s.layer == "(whole probe)"]
    assert step == 2
    assert f"rank 1 of {ranks}: ProbeError" in note
    assert "this rank ran out of memory, say" in note
    weights = [
        [s.weights for s in Record(tmp_path / one / "record").events(kind="probe")] for one in ("whole", "broken")
    ]
    assert weights[0][-2:] == weights[1][-2:]


@pytest.mark.long
def test_ranks_that_train_models_of_their_own_are_watched_apart(tmp_path):
    first, second = torchrun("plain_run", tmp_path, "alone")
    assert first["latest"] != second["latest"]
    for rank in (0, 1):
        assert [s.step for s in Record(tmp_path / f"record{rank}").events(kind="probe")] == [0, 2, 4, 5]


def test_models_whose_weights_are_never_whole_are_refused():
    model = nn.Linear(2, 2)
    model.weight.ds_id = 0
    with pytest.raises(ConfigError, match="DeepSpeed ZeRO stage 3"):
        require_supported_sharding(model)


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_the_launchers_environment_says_who_writes(variables, first, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first() is first
