"""Plain files with a step in their names."""

from __future__ import annotations

import argparse

import pytest
import torch
from safetensors.torch import save_file
from tests.helpers.models import TinyCNN

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.errors import CheckpointError, WeightsError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import Naming, files


def weights(seed: int):
    torch.manual_seed(seed)
    return TinyCNN().state_dict()


def equal(model, state) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_files_of_epochs_load_and_say_that_steps_are_no_updates(tmp_path):
    for epoch in (0, 2, 10):
        torch.save(weights(epoch), tmp_path / f"ep{epoch}.pt")
    series = files(tmp_path / "ep{count}.pt", model=TinyCNN)
    assert series.steps == (0, 2, 10)
    assert series.unit == "counts in the name"
    assert series.where(2) == str(tmp_path / "ep2.pt")
    assert series.name == tmp_path.name
    for epoch in series.steps:
        assert equal(series.load(epoch), weights(epoch))
    series.forget(2)
    assert (tmp_path / "ep2.pt").is_file()
    updates = files(
        tmp_path / "ep{count}.pt", model=TinyCNN, naming=Naming(templates=("{step}",), updates_per_count=500)
    )
    assert updates.steps == (0, 1000, 5000)
    assert updates.unit == "optimizer updates"


def test_safetensors_by_step_with_tokens(tmp_path):
    for step in (100, 200):
        save_file(weights(step), tmp_path / f"step{step}.safetensors")
    naming = Naming(templates=("{step}",), tokens_per_step=1024)
    series = files(tmp_path / "step{step}.safetensors", model="tests.helpers.nets:TinyCNN", naming=naming)
    assert series.tokens == (102_400, 204_800)
    assert equal(series.load(200), weights(200))


def timm_checkpoint(epoch: int) -> dict:
    """As timm's CheckpointSaver writes it after an epoch: behind DDP, with an average, in mixed precision."""
    torch.manual_seed(epoch)
    model = TinyCNN()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.rand(2, 3, 12, 12)).sum().backward()
    optimizer.step()
    return {
        "epoch": epoch,
        "arch": "tiny",
        "optimizer": optimizer.state_dict(),
        "version": 2,
        "args": argparse.Namespace(model="tiny", lr=0.1, mean=(0.5, 0.5, 0.5), amp=True, resume=""),
        "amp_scaler": torch.amp.GradScaler("cpu").state_dict(),
        "state_dict": {f"module.{name}": value for name, value in weights(epoch).items()},
        "state_dict_ema": weights(epoch + 100),
        "metric": 71.3 + epoch,
    }


@pytest.fixture
def timm_folder(tmp_path):
    """Numbers 0, 2 and 10, since timm keeps the best alone; the last under three names, and a recovery file."""
    for epoch in (0, 2, 10):
        torch.save(timm_checkpoint(epoch), tmp_path / f"checkpoint-{epoch}.pth.tar")
    for other in ("last", "model_best"):
        (tmp_path / f"{other}.pth.tar").hardlink_to(tmp_path / "checkpoint-10.pth.tar")
    torch.save(timm_checkpoint(11), tmp_path / "recovery-11-200.pth.tar")
    (tmp_path / "summary.csv").write_text("epoch,eval_top1\n0,71.3\n")
    return tmp_path


def test_timms_checkpoints_raw_and_ema(timm_folder):
    """Number 0 was saved after the first epoch, so the weights of number k have seen k + 1 epochs of updates."""
    raw = files(timm_folder / "checkpoint-{count}.pth.tar", model=TinyCNN)
    ema = files(timm_folder / "checkpoint-{count}.pth.tar", model=TinyCNN, key="state_dict_ema")
    assert raw.steps == ema.steps == (0, 2, 10)
    assert raw.problems == ()
    for epoch in raw.steps:
        assert equal(raw.load(epoch), weights(epoch))
        assert equal(ema.load(epoch), weights(epoch + 100))
    naming = Naming(templates=("{count}",), updates_per_count=1251, zero_count=-1)
    updates = files(timm_folder / "checkpoint-{count}.pth.tar", model=TinyCNN, naming=naming)
    assert updates.steps == (1251, 3753, 13761)
    assert equal(updates.load(3753), weights(2))


@pytest.mark.slow
def test_timms_checkpoints_and_files_of_epochs_by_the_command(timm_folder, capsys):
    for epoch in (1, 20):
        torch.save(weights(epoch), timm_folder / f"ep{epoch}.pt")
    given = ["--model", "tests.helpers.nets:TinyCNN", "--transform", "tests.helpers.models:transform"]
    given += ["--benchmark", "planted-vision"]
    for name, steps in (("checkpoint-{count}.pth.tar", [0, 2, 10]), ("ep{count}.pt", [1, 20])):
        record = timm_folder / "records" / name.partition("{")[0]
        wanted = ["--steps", ",".join(map(str, steps)), "--record", str(record)]
        assert main(["replay", str(timm_folder / name), *given, *wanted]) == 0
        assert f"{len(steps)} checkpoints: {len(steps)} scored" in capsys.readouterr().out
        probes = {s.step: s.weights for s in Record(record).events(kind="probe")}
        assert list(probes) == steps
        for step, found in probes.items():
            model = TinyCNN()
            model.load_state_dict(weights(step))
            assert found == weights_hash(model)


def test_a_composer_file_by_its_dotted_key_and_a_prefix(tmp_path):
    state = {f"module.net.{name}": value for name, value in weights(3).items()} | {"module.loss.w": torch.zeros(1)}
    torch.save({"state": {"model": state, "run_name": "a"}, "rng": []}, tmp_path / "ep3.pt")
    series = files(tmp_path / "ep{count}.pt", model=TinyCNN, key="state.model", prefix="module.net.")
    assert equal(series.load(3), weights(3))


def test_what_is_wrong_is_named_and_the_rest_goes_on(tmp_path):
    for step in (1, 2, 3):
        torch.save(weights(step), tmp_path / f"s{step}.pt")
    torch.save(weights(9), tmp_path / "s02.pt")
    torch.save(weights(9), tmp_path / "s_best.pt")
    whole = (tmp_path / "s3.pt").read_bytes()
    (tmp_path / "s3.pt").write_bytes(whole[: len(whole) // 2])
    series = files(tmp_path / "s{step}.pt", model=TinyCNN)
    assert series.steps == (1, 2)
    assert equal(series.load(2), weights(9)), "the first by the alphabet, as its problem says"
    told = {(p.kind, p.what): p.reason for p in series.problems}
    assert told["twice", "s2.pt"] == "duplicate of step 2; s02.pt is used"
    assert told["unread", "s_best.pt"] == "does not say its step as s{step}.pt does; left out"
    assert told["damaged", str(tmp_path / "s3.pt")] == "is cut off (half-written?): its directory is missing; left out"
    assert len(told) == 3


def test_weights_that_are_not_finite_or_do_not_fit_are_said_with_their_file(tmp_path):
    bad = weights(1)
    bad["head.bias"][0] = float("nan")
    torch.save(bad, tmp_path / "s1.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "s2.pt")
    series = files(tmp_path / "s{step}.pt", model=TinyCNN)
    with pytest.raises(WeightsError, match=r"s1.pt: 1 weights are NaN or infinite: head.bias"):
        series.load(1)
    with pytest.raises(
        WeightsError, match=r"s2.pt does not fit TinyCNN: missing \d+: early.0.weight, .*unexpected 1: a"
    ):
        series.load(2)


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no folder .*none"):
        files(tmp_path / "none" / "s{step}.pt", model=TinyCNN)
    with pytest.raises(CheckpointError, match=r"has no file like s\{step\}.pt; it has nothing"):
        files(tmp_path / "s{step}.pt", model=TinyCNN)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(CheckpointError, match="it has other.txt"):
        files(tmp_path / "s{step}.pt", model=TinyCNN)
