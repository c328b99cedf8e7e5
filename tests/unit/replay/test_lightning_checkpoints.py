"""Checkpoints of real Lightning runs: raw and averaged weights, and files that cannot be used."""

from __future__ import annotations

import shutil

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from tests.helpers.models import TinyCNN, TinyModule, image_loader

from ontogeny.errors import CheckpointError, ConfigError, WeightsError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import lightning


class Hashes(pl.Callback):
    """What the raw and the averaged weights were at every step; after WeightAveraging in the list."""

    def __init__(self):
        self.raw, self.ema = {}, {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.raw[trainer.global_step] = weights_hash(pl_module)
        for callback in trainer.callbacks:
            if isinstance(callback, EMAWeightAveraging):
                self.ema[trainer.global_step] = weights_hash(callback._average_model.module)


class Told(TinyModule):
    """A module with hyperparameters, as most have."""

    def __init__(self, width: int = 4, name: str = "a") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.more = torch.nn.Linear(width, width)


def train(folder, *, steps=6, ema=False, module=None, after=None):
    hashes = Hashes()
    averaging = [EMAWeightAveraging(decay=0.8)] if ema else []
    keep = ModelCheckpoint(folder, every_n_train_steps=2, save_top_k=-1, save_last=True)
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*averaging, hashes, keep],
    )
    torch.manual_seed(0)
    trainer.fit(module or TinyModule(), image_loader(shuffle=False))
    if after:
        trainer.save_checkpoint(folder / after)
    return hashes


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pl") / "ckpt"
    return folder, train(folder)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ema") / "ckpt"
    return folder, train(folder, ema=True, after="zz-after.ckpt")


def test_the_step_is_the_checkpoints_own_and_the_weights_are_those_of_training(plain, tmp_path):
    folder, hashes = plain
    for i, path in enumerate(sorted(folder.glob("epoch*.ckpt"))):
        shutil.copy(path, tmp_path / f"{9 - i}-of-some-name.ckpt")
    shutil.copy(folder / "last.ckpt", tmp_path / "last.ckpt")
    series = lightning(tmp_path, model=TinyModule, tokens_per_step=10)
    assert series.steps == (2, 4, 6)
    assert series.tokens == (20, 40, 60)
    assert series.problems == (), "last.ckpt has the weights of step 6 once more"
    for step in series.steps:
        model = series.load(step)
        assert not model.training
        assert weights_hash(model) == hashes.raw[step]
    assert "last" not in series.where(6)


def test_raw_and_averaged_weights_of_a_run_with_weight_averaging(averaged):
    folder, hashes = averaged
    raw, ema = lightning(folder, model=TinyModule), lightning(folder, model=TinyModule, weights="ema")
    assert raw.steps == ema.steps == (2, 4, 6)
    for step in raw.steps:
        assert weights_hash(raw.load(step)) == hashes.raw[step]
        assert weights_hash(ema.load(step)) == hashes.ema[step]
        assert hashes.raw[step] != hashes.ema[step]


def test_a_checkpoint_saved_after_training_has_lost_the_raw_weights_and_says_so(averaged):
    folder, _ = averaged
    told = [p for p in lightning(folder, model=TinyModule).problems if p.what.endswith("zz-after.ckpt")]
    assert [p.kind for p in told] == ["unusable"]
    assert told[0].reason == (
        "has the average (6 updates) in place of the raw weights, as when saved after training ended; ask for "
        "weights='ema', or use an earlier file; left out"
    )
    assert lightning(folder, model=TinyModule, weights="ema").problems == ()


def test_averaged_weights_that_were_not_saved_are_refused(plain):
    with pytest.raises(
        CheckpointError, match=r"can be used: unusable: .*has no averaged weights: it was saved without Weight"
    ):
        lightning(plain[0], model=TinyModule, weights="ema")


def test_an_inner_network_by_its_prefix(plain):
    folder, _ = plain
    whole = lightning(folder, model=TinyModule).load(4)
    net = lightning(folder, model="tests.helpers.nets:TinyCNN", prefix="net.").load(4)
    assert isinstance(net, TinyCNN)
    assert weights_hash(net) == weights_hash(whole.net)


def test_a_class_is_made_with_the_hyperparameters_that_were_saved(tmp_path):
    hashes = train(tmp_path, steps=2, module=Told(width=7))
    series = lightning(tmp_path, model=Told)
    assert weights_hash(series.load(2)) == hashes.raw[2]
    assert series.load(2).more.in_features == 7
    with pytest.raises(WeightsError, match=r"other shapes: more.weight: \(7, 7\), the model has \(4, 4\)"):
        lightning(tmp_path, model=lambda: Told()).load(2)


def test_files_that_cannot_be_used_are_named_and_the_rest_goes_on(plain, tmp_path):
    folder, hashes = plain
    shutil.copytree(folder, tmp_path / "c")
    whole = (folder / "last.ckpt").read_bytes()
    (tmp_path / "c" / "torn.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c" / "empty.ckpt").write_bytes(b"")
    torch.save({"a": torch.zeros(1)}, tmp_path / "c" / "other.ckpt")
    torch.save({"global_step": 8}, tmp_path / "c" / "stateless.ckpt")
    rerun = torch.load(folder / "last.ckpt", weights_only=True)
    rerun["state_dict"] = {name: value + 1 for name, value in rerun["state_dict"].items()}
    torch.save(rerun, tmp_path / "c" / "zz-v1.ckpt")
    series = lightning(tmp_path / "c", model=TinyModule)
    assert series.steps == (2, 4, 6)
    assert weights_hash(series.load(6)) == hashes.raw[6]
    told = {p.what.rsplit("/", 1)[-1]: (p.kind, p.reason) for p in series.problems}
    assert told["torn.ckpt"] == ("damaged", "is cut off (half-written?): its directory is missing; left out")
    assert told["empty.ckpt"] == ("damaged", "is empty (half-written?); left out")
    assert told["other.ckpt"][0] == "unusable"
    assert told["other.ckpt"][1].startswith("has no global_step; it is no Lightning checkpoint")
    assert told["stateless.ckpt"] == (
        "unusable",
        "has no state_dict; it is no Lightning checkpoint (use files() for plain ones); left out",
    )
    assert told["zz-v1.ckpt"][0] == "twice"
    assert told["zz-v1.ckpt"][1].startswith("is step 6 with other weights than epoch=")
    assert len(told) == 5


def test_nan_weights_are_said_when_loaded(plain, tmp_path):
    content = torch.load(plain[0] / "last.ckpt", weights_only=True)
    content["state_dict"]["net.head.weight"][0] = float("nan")
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(WeightsError, match=r"a.ckpt: 1 weights are NaN or infinite: net.head.weight"):
        lightning(tmp_path, model=TinyModule).load(6)


def test_no_checkpoints_and_other_words(tmp_path, unchecked):
    with pytest.raises(
        CheckpointError, match="there is no .ckpt file in .*; give the folder that ModelCheckpoint wrote to"
    ):
        lightning(tmp_path, model=TinyModule)
    with pytest.raises(ConfigError, match="weights is 'raw' or 'ema', got 'swa'"):
        lightning(tmp_path, model=TinyModule, weights="swa")
