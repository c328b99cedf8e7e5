"""What lies on disk, as other people's scripts wrote it: the step is found, contradictions and strangers are named."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.helpers.models import TinyCNN, tiny_gpt

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import CheckpointError, ConfigError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import Naming, files, on_disk
from ontogeny.replay._step_inference import by_content, by_folder, by_name, stem
from ontogeny.replay.sources import hub_client, is_place

CNN = "tests.helpers.nets:TinyCNN"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A name that exists here is never asked of the hub."""

    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    for name in ("commits", "head", "files", "download"):
        monkeypatch.setattr(hub_client, name, asked)


def weights(seed=0):
    torch.manual_seed(seed)
    return TinyCNN().state_dict()


def nano(path, step=2000, seed=0):
    """As nanoGPT's train.py saves a compiled model."""
    state = {f"_orig_mod.{name}": value for name, value in weights(seed).items()}
    content = {"model": state, "optimizer": {"state": {}, "param_groups": []}, "model_args": {"n_layer": 2}}
    torch.save(content | {"iter_num": step, "best_val_loss": torch.tensor(3.2), "config": {"out_dir": "out"}}, path)


def timm(path, epoch, seed=0):
    """As timm's train.py saves: options as a Namespace, a metric of numpy, averaged weights beside the raw ones."""
    args = argparse.Namespace(model="tiny", lr=0.1, data_dir=Path("data"), mean=(0.5, 0.5, 0.5))
    content = {"epoch": epoch, "arch": "tiny", "state_dict": weights(seed), "version": 2, "args": args}
    torch.save(content | {"metric": np.float64(71.3), "state_dict_ema": weights(99)}, path)


@pytest.mark.parametrize("name", ["a{step}", "a[1]", "a*", "-a", "a b", "a\nb", "a%d"])
def test_a_folder_that_is_there_is_read_whatever_its_name_looks_like(tmp_path, name):
    (tmp_path / name).mkdir()
    torch.save({"model": weights(), "step": 7}, tmp_path / name / "last.pt")
    series = on_disk(tmp_path / name, model=CNN)
    assert series.steps == (7,)
    assert all(torch.equal(value, weights()[key]) for key, value in series.load(7).state_dict().items())


@pytest.mark.parametrize(
    ("name", "number", "unit"),
    [
        ("epoch=1-step=400", 400, "updates"),
        ("step_20k", 20_000, "updates"),
        ("global_step1000", 1000, "updates"),
        ("model-iter-7", 7, "updates"),
        ("iteration_12", 12, "updates"),
        ("ep3", 3, "epochs"),
        ("resnet18_epoch-12", 12, "epochs"),
        ("ckpt_7", 7, "numbers"),
        ("checkpoint12", 12, "numbers"),
        ("17", 17, "numbers"),
        ("resnet18", None, None),
        ("model_best", None, None),
        ("ckpt", None, None),
        ("deep3", None, None),
        ("timestep", None, None),
    ],
)
def test_what_a_name_says(name, number, unit):
    said = by_name(name)
    assert (said and said.number, said and said.unit) == (number, unit)


def test_names_have_suffixes_of_two_parts_and_a_trainers_folder_counts_updates():
    assert stem("checkpoint-3.pth.tar") == "checkpoint-3"
    assert stem("a.b") == "a.b"
    assert by_name("checkpoint-500").unit == "numbers"
    assert by_folder("checkpoint-500").unit == "updates"


@pytest.mark.parametrize(
    ("content", "number", "by"),
    [
        ({"iter_num": 5, "epoch": 1}, 5, "its iter_num"),
        ({"step": torch.tensor(7), "epoch": 1}, 7, "its step"),
        ({"global_step": 9.0, "step": 3}, 9, "its global_step"),
        ({"epoch": 2}, 2, "its epoch"),
        ({"step": "12"}, 12, "its step"),
    ],
)
def test_what_a_file_says(content, number, by):
    said = by_content(content)
    assert (said.number, said.by) == (number, by)


@pytest.mark.parametrize("value", [True, -1, 1.5, float("nan"), float("inf"), "x", [1], None, torch.zeros(2)])
def test_what_is_no_step_says_nothing(value):
    assert by_content({"step": value}) is None


def test_nanogpts_file_is_read_at_its_iteration_and_compiled_names_fit(tmp_path, monkeypatch):
    nano(tmp_path / "ckpt.pt")
    monkeypatch.chdir(tmp_path)
    for place in ("ckpt.pt", "./ckpt.pt", tmp_path / "ckpt.pt", str(tmp_path), "."):
        series = on_disk(place, model=CNN)
        assert series.steps == (2000,)
        assert series.unit == "optimizer updates"
        assert series.notes == ("steps from its iter_num (1 file)",)
    model = TinyCNN()
    model.load_state_dict(weights())
    assert weights_hash(series.load(2000)) == weights_hash(model)


def test_timms_files_count_epochs_and_the_last_and_best_are_no_others(tmp_path):
    for epoch in (0, 1, 2):
        timm(tmp_path / f"checkpoint-{epoch}.pth.tar", epoch, seed=epoch)
    timm(tmp_path / "last.pth.tar", 2, seed=2)
    timm(tmp_path / "model_best.pth.tar", 1, seed=1)
    (tmp_path / "summary.csv").write_text("epoch\n")
    series = on_disk(tmp_path, model=CNN)
    assert (series.steps, series.unit, series.problems) == ((0, 1, 2), "epochs", ())
    updates = on_disk(tmp_path, model=CNN, naming=Naming(templates=(), updates_per_count=50, zero_count=-1))
    assert (updates.steps, updates.unit) == ((50, 100, 150), "optimizer updates")
    assert "model_best" not in updates.where(100)
    assert any(
        "say zero_count=-1" in n
        for n in files(tmp_path, model=CNN, naming=Naming(templates=(), updates_per_count=50)).notes
    )
    hashes = {weights_hash(s.load(1)) for s in (series, on_disk(tmp_path, model=CNN, key="state_dict_ema"))}
    assert len(hashes) == 2
    with pytest.raises(ConfigError, match="timm: --key state_dict_ema"):
        on_disk(tmp_path, model=CNN, weights="ema")


def test_a_name_that_contradicts_the_content_is_named_and_left_out(tmp_path):
    nano(tmp_path / "step100.pt", step=100)
    nano(tmp_path / "step300.pt", step=200, seed=1)
    series = on_disk(tmp_path, model=CNN)
    assert series.steps == (100,)
    (problem,) = series.problems
    assert problem.kind == "unusable"
    assert problem.reason.startswith("its name says step 300, its iter_num says step 200: was it renamed?")
    templated = on_disk(tmp_path / "step{step}.pt", model=CNN)
    assert templated.steps == (100, 300)
    assert templated.notes == ("step300.pt: its iter_num says step 200, the template step 300, which counts",)
    given = on_disk(tmp_path / "step300.pt", model=CNN, step=250)
    assert given.steps == (250,)
    assert [note.split("; ")[1] for note in given.notes] == ["step 250 was given and counts"] * 2


def test_lightnings_name_that_contradicts_its_global_step(tmp_path):
    content = {"pytorch-lightning_version": "2.6", "global_step": 400, "epoch": 1, "state_dict": weights()}
    torch.save(content, tmp_path / "epoch=1-step=400.ckpt")
    torch.save(content | {"global_step": 800}, tmp_path / "epoch=1-step=500.ckpt")
    assert on_disk(tmp_path / "epoch=1-step=400.ckpt", model=CNN).steps == (400,)
    series = on_disk(tmp_path, model=CNN)
    assert series.steps == (400,)
    assert "its name says step 500, its global_step says step 800" in series.problems[0].reason
    with pytest.raises(ConfigError, match="is of Lightning: choose by weights="):
        on_disk(tmp_path, model=CNN, key="state_dict")


def test_raw_and_averaged_weights_side_by_side_have_to_be_chosen(tmp_path):
    content = {"pytorch-lightning_version": "2.6", "global_step": 4, "state_dict": weights(1)}
    torch.save(content | {"current_model_state": weights(2)}, tmp_path / "step4.ckpt")
    series = on_disk(tmp_path / "step{step}.ckpt", model=CNN)
    with pytest.raises(CheckpointError, match="averaged weights at 'state_dict' and those as trained at 'current_mo"):
        series.load(4)
    assert weights_hash(on_disk(tmp_path, model=CNN).load(4)) == weights_hash(
        files(tmp_path, model=CNN, key="current_model_state").load(4)
    )


def test_a_state_dict_alone_says_nothing_by_its_buffers_and_step_is_given(tmp_path):
    torch.save(weights() | {"step": torch.tensor(5)}, tmp_path / "weights.pth")
    with pytest.raises(
        CheckpointError, match=r"neither its name nor its content says a step; say it with step= \(--step\)"
    ):
        on_disk(tmp_path / "weights.pth", model=CNN)
    assert on_disk(tmp_path / "weights.pth", model=CNN, step=3).steps == (3,)
    torch.save(weights(1), tmp_path / "ep1.pth")
    with pytest.raises(ConfigError, match=r"step= \(--step\) is of one checkpoint, and .* has 2; give the file"):
        on_disk(tmp_path, model=CNN, step=3)


def test_safetensors_say_their_step_beside_the_weights_and_bin_by_its_name(tmp_path):
    save_file(weights(), tmp_path / "a.safetensors", metadata={"step": "12", "format": "pt"})
    torch.save(weights(1), tmp_path / "step_24.bin")
    torch.save({"state": {}, "param_groups": []}, tmp_path / "optimizer.pt")
    torch.save({"x": 1}, tmp_path / "training_args.bin")
    series = on_disk(tmp_path, model=CNN)
    assert (series.steps, series.problems) == ((12, 24), ())


def test_epochs_beside_steps_are_named(tmp_path):
    nano(tmp_path / "ckpt.pt", step=100)
    timm(tmp_path / "ep3.pt", 3, seed=1)
    series = on_disk(tmp_path, model=CNN)
    assert series.steps == (100,)
    assert series.problems[0].reason.startswith("its epoch says epoch 3, where others say optimizer updates; left out.")
    assert on_disk(tmp_path, model=CNN, naming=Naming(templates=(), updates_per_count=50)).steps == (100, 150)


def test_two_files_of_one_step_with_other_weights(tmp_path):
    nano(tmp_path / "a.pt", step=100)
    nano(tmp_path / "b.pt", step=100, seed=1)
    series = on_disk(tmp_path, model=CNN)
    assert series.where(100).endswith("a.pt")
    assert series.problems[0].reason == "is step 100 with other weights than a.pt, which is used"


def test_folders_of_a_trainer_of_accelerate_and_one_of_them(tmp_path):
    for step in (2, 4):
        torch.manual_seed(step)
        tiny_gpt().save_pretrained(tmp_path / "hf" / f"checkpoint-{step}")
        (tmp_path / "hf" / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        for name in (f"step_{step}", f"epoch_{step // 2}"):
            (tmp_path / "acc" / name).mkdir(parents=True)
            save_file(weights(step), tmp_path / "acc" / name / "model.safetensors")
            torch.save({"param_groups": []}, tmp_path / "acc" / name / "optimizer.bin")
    assert on_disk(tmp_path / "hf").steps == (2, 4)
    one = on_disk(tmp_path / "hf" / "checkpoint-4")
    assert (one.steps, one.name, one.unit) == ((4,), "checkpoint-4", "optimizer updates")
    assert weights_hash(one.load(4)) == weights_hash(on_disk(tmp_path / "hf").load(4))
    accelerate = on_disk(tmp_path / "acc", model=CNN)
    assert accelerate.steps == (2, 4)
    assert accelerate.notes == ("folders epoch_N say no optimizer updates and are left out",)
    epoch = on_disk(tmp_path / "acc" / "epoch_1", model=CNN, naming=Naming(templates=(), updates_per_count=2))
    assert epoch.steps == (2,)
    assert on_disk(tmp_path / "acc" / "epoch_1", model=CNN).unit == "epochs"


def test_a_renamed_trainer_folder_and_one_without_a_step(tmp_path):
    tiny_gpt().save_pretrained(tmp_path / "checkpoint-6")
    (tmp_path / "checkpoint-6" / "trainer_state.json").write_text(json.dumps({"global_step": 4}))
    with pytest.raises(
        CheckpointError, match=r"its name says step 6, its trainer_state.json says step 4: was it renamed"
    ):
        on_disk(tmp_path / "checkpoint-6")
    assert on_disk(tmp_path / "checkpoint-6", step=4).steps == (4,)
    tiny_gpt().save_pretrained(tmp_path / "finished")
    with pytest.raises(CheckpointError, match="finished: neither its name nor its content says a step"):
        on_disk(tmp_path / "finished")


def test_what_lies_there_is_said_where_nothing_was_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nano(tmp_path / "ckpt.pt")
    (tmp_path / "run" / "version_0" / "checkpoints").mkdir(parents=True)
    nano(tmp_path / "run" / "version_0" / "checkpoints" / "a.ckpt")
    with pytest.raises(
        CheckpointError,
        match=r"no ckpt.tp on this machine. Did you mean 'ckpt.pt'\? .* has ckpt.pt, run/; checkpoints lie in run/ver",
    ):
        on_disk("ckpt.tp")
    with pytest.raises(
        CheckpointError, match=r"run has no checkpoints. run has version_0/; checkpoints lie in version_0/checkpoints"
    ):
        on_disk("run", model=CNN)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"notes.txt is no file of weights \(.pth.tar .pt"):
        on_disk("notes.txt")


def test_names_that_mean_a_place_and_names_that_may_be_the_hubs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "tiny").mkdir()
    places = ["out/missing", "./a", "/a/b", "~/a", "a/b/c", "a/b.pt", "x.ckpt", "tiny", "ep{count}.pt"]
    assert [name for name in places if not is_place(name)] == []
    assert [name for name in ("someone/model", "pythia-70m", "gpt2") if is_place(name)] == []


def test_the_command_says_how_steps_were_told_and_reads_one_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nano(tmp_path / "ckpt.pt", step=30)
    command = ["replay", "ckpt.pt", "--model", CNN, "--transform", "tests.helpers.models:transform"]
    command += ["--benchmark", "planted-vision", "--record", "r"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "ckpt.pt: steps from its iter_num (1 file)" in said
    assert [s.step for s in Record(tmp_path / "r").events(kind="probe")] == [30]
    assert main([*command[:1], "out/nothing.pt", *command[2:]]) == 2
    assert "there is no out/nothing.pt on this machine" in capsys.readouterr().err
    assert main([*command[:1], "pythia-70m-dedupd", *command[2:]]) == 2
    assert "Did you mean 'pythia-70m-deduped'" in capsys.readouterr().err


def test_what_a_file_holds_beside_weights_is_allowed_by_name(tmp_path, capsys):
    torch.save({"model": weights(), "step": 3, "when": __import__("datetime").timedelta(1)}, tmp_path / "a.pt")
    command = ["replay", str(tmp_path / "a.pt"), "--model", CNN, "--benchmark", "planted-vision", "--dry-run"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "a.pt: unusable" in said or "holds datetime.timedelta" in said
    assert main([*command, "--allow", "datetime:timedelta"]) == 0
    assert "1 checkpoints would be scored (3)" in capsys.readouterr().out
