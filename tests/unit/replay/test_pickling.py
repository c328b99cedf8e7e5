"""Every series of local checkpoints goes to another process by pickle, and loads the same weights there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tests.helpers.models import TinyCNN, TinyModule, fast_tokenizer, image_loader, saved, tiny_neox

from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import files, hf_trainer, lightning, load_manifest

ROOT = Path(__file__).resolve().parents[3]


def of_files(folder):
    torch.manual_seed(1)
    torch.save({"model": TinyCNN().state_dict()}, folder / "ep3.pt")
    return files(folder / "ep{count}.pt", model=TinyCNN)


def of_files_by_address(folder):
    return of_files(folder) and files(folder / "ep{count}.pt", model="tests.helpers.nets:TinyCNN", key="model")


def of_lightning(folder):
    trainer = pl.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[ModelCheckpoint(folder, every_n_train_steps=1)],
    )
    trainer.fit(TinyModule(), image_loader(8))
    return lightning(folder, model=TinyModule, tokens_per_step=8)


def of_trainer(folder):
    saved(tiny_neox(), folder / "checkpoint-5", tokenizer=fast_tokenizer())
    return hf_trainer(folder)


def of_manifest(_):
    return load_manifest("tiny", folder=ROOT / "checkpoints").only([1, 1024])


IN_ANOTHER = """
import pickle, sys
from pathlib import Path
series = pickle.loads(Path(sys.argv[1]).read_bytes())
step = series.steps[-1]
from ontogeny.extraction.weights import weights_hash
print(weights_hash(series.load(step)), series.where(step), series.transform(step) if series.transform else None)
"""


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(m, marks=pytest.mark.long) for m in (of_files, of_lightning, of_trainer, of_manifest)),
        of_files_by_address,
    ],
)
def test_a_series_is_the_same_in_another_process(tmp_path, monkeypatch, make):
    monkeypatch.chdir(ROOT)
    series = make(tmp_path)
    pickled = pickle.dumps(series)
    copy = pickle.loads(pickled)  # noqa: S301 - our own
    assert (copy.name, copy.steps, copy.tokens, copy.unit) == (series.name, series.steps, series.tokens, series.unit)
    step = series.steps[-1]
    assert copy.fetch(step) is None
    if make is of_trainer:
        assert len(copy.tokenizer(step)) == len(fast_tokenizer())
    if make is of_manifest:
        assert copy.transform(step) is series.transform(step)
    told = weights_hash(copy.load(step))
    assert told == weights_hash(series.load(step))
    if make in (of_lightning, of_trainer):
        return
    (tmp_path / "series.pkl").write_bytes(pickled)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", IN_ANOTHER, str(tmp_path / "series.pkl")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{told} {series.where(step)} ")
    assert ("pixels" in done.stdout) == (make is of_manifest)
