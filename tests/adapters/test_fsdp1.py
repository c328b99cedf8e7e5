"""FSDP1 in two real processes: read by all ranks as one process reads the saved weights, and no loss moves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tests.adapters.test_distributed import same_as_one_process, torchrun
from tests.helpers import benchmarks
from tests.helpers.models import TinyModule, image_data, tiny_gpt, token_rows, tokenizer, transform

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.extraction.weights import weights_hash

pytestmark = pytest.mark.slow

# Each takes two processes for some seconds; the others before a release (make long).
KINDS = ("checkpointed", "mixed", "parts")
KINDS += ("flat", "grad_op", "hybrid", "one_unit") if "ONTOGENY_LONG" in os.environ else ()
LAYERS = {"tiny-text": ["embeddings", "transformer.h.0", "transformer.h.1"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fsdp1")
    return folder, torchrun("fsdp1_run", folder, ",".join((*KINDS, "breaks")))


def one_process(folder: Path):
    task = HeldOutLoss(batches=[{"input_ids": torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])}])
    return watch(
        benchmarks.text_benchmark(), record=folder, tokenizer=tokenizer, pooling="mean", task=task, batch_size=7
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_hashes_are_those_of_the_consolidated_weights_and_no_loss_moves(kind, trained, tmp_path):
    folder, ranks = trained
    last = tiny_gpt()
    last.load_state_dict(torch.load(folder / kind / "step5.pt", weights_only=True))
    for rank in ranks:
        assert rank[kind]["watched"] == rank[kind]["bare"]
        assert rank[kind]["moved"] == []
        assert rank[kind]["layers"] == LAYERS
        assert rank[kind]["latest"] == ranks[0][kind]["latest"]
        assert rank[kind]["inside"].count("held by an FSDP1 unit around it") == (0 if kind == "parts" else 2)
        assert rank[kind]["by_sha256"] == weights_hash(last, like="0" * 16)
    assert ranks[0][kind]["bare"] != ranks[1][kind]["bare"]
    assert ranks[0][kind]["latest"][0] == 5
    same_as_one_process(
        Record(folder / kind / "record"), folder / kind, tiny_gpt(), one_process(tmp_path / "r"), [0, 2, 4, 5]
    )


def test_lightnings_strategy(tmp_path):
    ranks = torchrun("fsdp1_trainers_run", tmp_path, "lightning")
    assert [rank["model"] for rank in ranks] == [["FullyShardedDataParallel", "None"]] * 2
    assert [rank["watched"] for rank in ranks] == [rank["bare"] for rank in ranks]
    record = Record(tmp_path / "record")
    assert {s.layer for s in record.select(kind="alignment")} == {"net.early", "net.late", "net.head"}
    task = HeldOutLoss(batches=[tuple(image_data(30, seed=9).tensors)])
    monitor = watch(benchmarks.image_benchmark(n=20), record=tmp_path / "r", transform=transform, task=task)
    same_as_one_process(record, tmp_path, TinyModule(), monitor, [0, 2, 4, 6])


def test_the_hugging_face_trainers_full_shard(tmp_path):
    ranks = torchrun("fsdp1_trainers_run", tmp_path, "transformers")
    assert [rank["model"] for rank in ranks] == [["FullyShardedDataParallel", "torch.bfloat16"]] * 2
    assert [rank["watched"] for rank in ranks] == [rank["bare"] for rank in ranks]
    record = Record(tmp_path / "record")
    assert record.series(roi="left", layer="transformer.h.1").steps.tolist() == [0, 2, 4]
    task = HeldOutLoss(batches=[{"input_ids": torch.stack([row["input_ids"] for row in token_rows(24, seed=3)])}])
    monitor = watch(
        benchmarks.text_benchmark(), record=tmp_path / "r", tokenizer=tokenizer, pooling="mean", task=task, batch_size=7
    )
    same_as_one_process(record, tmp_path, tiny_gpt(), monitor, [0, 2, 4])


def test_a_rank_that_fails_costs_one_probe_and_no_loss(trained):
    folder, ranks = trained
    for rank in ranks:
        assert rank["breaks"]["watched"] == rank["breaks"]["bare"]
        assert rank["breaks"]["moved"] == []
    record = Record(folder / "breaks" / "record")
    assert [s.step for s in record.events(kind="probe")] == [0, 4, 5]
    ((step, note),) = [(s.step, s.note) for s in record.events(kind="refusal")]
    assert step == 2
    assert "rank 0 of 2: ProbeError" in note
    assert "this rank ran out of memory, say" in note
