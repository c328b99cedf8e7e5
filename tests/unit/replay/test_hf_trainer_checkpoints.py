"""Checkpoints of real Trainer runs: whole, half-written, deleted by save_total_limit, renamed."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.models import TinyCNN, fast_tokenizer, tiny_gpt, token_rows
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny.errors import CheckpointError, ConfigError, MissingExtraError, WeightsError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import hf_trainer


class Hashes(TrainerCallback):
    """What the weights were at every step."""

    def __init__(self):
        self.at = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.at[state.global_step] = weights_hash(model)


def train(folder, *, steps=12, save_steps=3, **options):
    hashes = Hashes()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=8,
        save_strategy="steps",
        save_steps=save_steps,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **options,
    )
    Trainer(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        processing_class=fast_tokenizer(),
        callbacks=[hashes],
    ).train()
    return hashes.at


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hf") / "out"
    return folder, train(folder)


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "out")
    return tmp_path / "out", run[1]


def test_checkpoints_have_the_weights_that_training_had(run):
    folder, hashes = run
    series = hf_trainer(folder, tokens_per_step=64)
    assert series.steps == (3, 6, 9, 12)
    assert series.tokens == (192, 384, 576, 768)
    assert series.problems == ()
    assert series.name == "out"
    for step in series.steps:
        model = series.load(step)
        assert type(model).__name__ == "GPT2LMHeadModel"
        assert not model.training
        assert weights_hash(model) == hashes[step]
    assert series.tokenizer(3)("dog tree")["input_ids"] == [1, 3]
    series.forget(3)
    assert (folder / "checkpoint-3").is_dir()


def test_what_save_total_limit_deleted_is_a_gap(tmp_path):
    hashes = train(tmp_path / "out", steps=13, save_total_limit=2)
    series = hf_trainer(tmp_path / "out")
    assert series.steps == (12, 13)
    assert [(p.kind, p.reason) for p in series.problems] == [
        ("gap", "3 checkpoints, one every 3 steps, are gone (3, 6, 9): save_total_limit deletes them")
    ]
    assert weights_hash(series.load(13)) == hashes[13]


def test_a_run_that_saved_by_epoch_has_no_gaps(tmp_path):
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        save_strategy="epoch",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    Trainer(model=tiny_gpt(), args=arguments, train_dataset=token_rows()).train()
    series = hf_trainer(tmp_path / "out")
    assert series.steps == (8, 16)
    assert series.problems == ()


def test_half_written_folders_are_named_and_the_rest_goes_on(copy):
    folder, hashes = copy
    weights = folder / "checkpoint-6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    (folder / "checkpoint-9" / "config.json").unlink()
    (folder / "checkpoint-12" / "model.safetensors").unlink()
    (folder / "checkpoint-15").mkdir()
    (folder / "checkpoint-18").mkdir()
    (folder / "checkpoint-18" / "config.json").write_text('{"model_type": "gp')
    shutil.copy(folder / "checkpoint-3" / "model.safetensors", folder / "checkpoint-18")
    (folder / "checkpoint-best").mkdir()
    series = hf_trainer(folder)
    assert series.steps == (3,)
    assert weights_hash(series.load(3)) == hashes[3]
    told = {p.what.rsplit("/", 1)[-1]: (p.kind, p.step, p.reason) for p in series.problems}
    assert told["checkpoint-6"][:2] == ("damaged", 6)
    assert "model.safetensors has 5000 bytes, its header announces" in told["checkpoint-6"][2]
    assert told["checkpoint-9"] == (
        "unusable",
        9,
        "has no config.json, which says what model the weights belong to: copy it from another checkpoint of the run, "
        "or name what makes the model with model=; left out",
    )
    expected = "xpected model.safetensors, pytorch_model.bin or an adapter's adapter_model.safetensors; left out"
    assert told["checkpoint-12"][:2] == ("unusable", 12)
    assert told["checkpoint-12"][2].startswith("has no weights of a model, only the state of training (optimizer.pt, ")
    assert told["checkpoint-12"][2].endswith(expected)
    assert told["checkpoint-15"][::2] == ("unusable", f"is empty: was the run ended while it saved? E{expected}")
    assert told["checkpoint-18"][::2] == ("damaged", "config.json cannot be read as JSON (half-written?); left out")
    assert told["checkpoint-best"][0] == "unread"
    with pytest.raises(CheckpointError, match="out has no checkpoint at step 6; the nearest are 3"):
        series.load(6)


def test_sharded_checkpoints_with_an_index_that_was_half_written(tmp_path):
    tiny_gpt().save_pretrained(tmp_path / "checkpoint-1", max_shard_size="5KB")
    for step in (2, 3, 4):
        shutil.copytree(tmp_path / "checkpoint-1", tmp_path / f"checkpoint-{step}")
    index = "model.safetensors.index.json"
    (tmp_path / "checkpoint-2" / index).write_text('{"metadata": {}, "wei')
    (tmp_path / "checkpoint-3" / index).write_text('{"metadata": {}}')
    next((tmp_path / "checkpoint-4").glob("model-00002-of-*")).unlink()
    series = hf_trainer(tmp_path)
    assert series.steps == (1,)
    assert weights_hash(series.load(1)) == weights_hash(tiny_gpt())
    told = {p.step: (p.kind, p.reason) for p in series.problems}
    assert told[2] == ("damaged", f"{index} cannot be read as JSON (half-written?); left out")
    assert told[3] == (
        "unusable",
        f"{index} has no weight_map, which says in which file each weight is; save it again; left out",
    )
    shards = len(list((tmp_path / "checkpoint-1").glob("model-*")))
    assert told[4][0] == "unusable"
    assert told[4][1].startswith(f"{index} names {shards} files, of which 1 are missing: model-00002-of-")
    assert told[4][1].endswith("copy or save all of them; left out")


def test_a_renamed_folder_is_noticed_by_its_own_state(copy):
    folder, _ = copy
    (folder / "checkpoint-6").rename(folder / "checkpoint-7")
    series = hf_trainer(folder)
    assert series.steps == (3, 9, 12)
    assert "damaged" not in {p.kind for p in series.problems}
    renamed = next(p for p in series.problems if p.kind == "unusable")
    assert renamed.reason == (
        "its trainer_state.json says step 6, its name 7: was it renamed? Give it the name of its step; left out"
    )
    assert [p.reason for p in series.problems if p.kind == "gap"] == [
        "1 checkpoints, one every 3 steps, are gone (6): save_total_limit deletes them"
    ]


def test_a_step_that_appears_twice_is_named(copy):
    folder, hashes = copy
    shutil.copytree(folder / "checkpoint-9", folder / "checkpoint-09")
    series = hf_trainer(folder)
    assert series.steps == (3, 6, 9, 12)
    assert [(p.kind, p.what, p.reason) for p in series.problems] == [
        ("twice", "checkpoint-9", "duplicate of step 9; checkpoint-09 is used")
    ]
    assert weights_hash(series.load(9)) == hashes[9]


def test_nan_weights_and_weights_of_another_model_are_said_when_loaded(copy):
    folder, _ = copy
    path = folder / "checkpoint-3" / "model.safetensors"
    weights = load_file(path)
    weights["transformer.h.0.mlp.c_fc.weight"][0, 0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    series = hf_trainer(folder)
    with pytest.raises(
        WeightsError, match=r"checkpoint-3: 1 weights are NaN or infinite: transformer.h.0.mlp.c_fc.weight"
    ):
        series.load(3)
    path = folder / "checkpoint-6" / "model.safetensors"
    weights = load_file(path)
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file({**weights, "new": torch.zeros(1)}, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"GPT2LMHeadModel: missing 1: transformer.h.1.mlp.*; unexpected 1: new"):
        series.load(6)
    config = json.loads((folder / "checkpoint-9" / "config.json").read_text())
    (folder / "checkpoint-9" / "config.json").write_text(json.dumps(config | {"n_embd": 8}))
    with pytest.raises(WeightsError, match="checkpoint-9 (does not fit|cannot be loaded by) GPT2LMHeadModel"):
        series.load(9)


def test_a_model_of_ones_own_needs_no_config(tmp_path):
    for step in (1, 2):
        (tmp_path / f"checkpoint-{step}").mkdir()
        torch.manual_seed(step)
        save_file(TinyCNN().state_dict(), tmp_path / f"checkpoint-{step}" / "model.safetensors")
    series = hf_trainer(tmp_path, model="tests.helpers.nets:TinyCNN")
    torch.manual_seed(2)
    saved = weights_hash(TinyCNN())
    assert series.problems == ()
    assert weights_hash(series.load(2)) == saved
    with pytest.raises(WeightsError, match="no tokenizer that can be loaded"):
        series.tokenizer(2)


MODULE = "sentence_transformers.base.modules.transformer.Transformer"


@pytest.mark.parametrize(
    ("modules", "error", "words"),
    [
        ([{"type": MODULE}], MissingExtraError, "was written by sentence-transformers, which is not installed: pip"),
        ([{"type": "mine.Encoder"}], WeightsError, "modules.json names mine.Encoder, .* its code is not run"),
        ({"type": MODULE}, WeightsError, "modules.json does not list modules with their type"),
    ],
)
def test_a_folder_of_sentence_transformers_is_not_read_under_other_names_unasked(
    copy, monkeypatch, modules, error, words
):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    (copy[0] / "checkpoint-3" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(error, match=words) as caught:
        hf_trainer(copy[0]).load(3)
    assert "--model AutoModel" in str(caught.value)
    assert hf_trainer(copy[0], model="AutoModelForCausalLM").load(3)


def test_revisions_that_lie_side_by_side_under_other_names(run, tmp_path):
    folder, hashes = run
    for step in (3, 9):
        shutil.copytree(folder / f"checkpoint-{step}", tmp_path / f"step{step}-tokens1B")
    (tmp_path / "logs").mkdir()
    series = hf_trainer(tmp_path, names="step{step}-tokens{tokens:B}")
    assert series.steps == (3, 9)
    assert series.tokens == (1_000_000_000, 1_000_000_000)
    assert weights_hash(series.load(9)) == hashes[9]
    assert [p.kind for p in series.problems] == ["gap"]


def test_no_folder_no_checkpoint_and_wrong_options(tmp_path):
    with pytest.raises(CheckpointError, match="there is no folder .*none; give the output_dir of a Trainer"):
        hf_trainer(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"has no folder checkpoint-\{step\}; give the output_dir of a Trainer"):
        hf_trainer(tmp_path)
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(ConfigError, match="there is no option 'modle'. Did you mean 'model'"):
        hf_trainer(tmp_path, modle="auto")
    assert hf_trainer(tmp_path).steps == ()
