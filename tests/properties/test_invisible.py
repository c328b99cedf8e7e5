"""Whatever a training run is made of, it does not feel that it is watched: weights, optimizer, buffers, modes, random
states, order of the data and losses are bit-identical, also when the probe raises at any of the places where it can."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from contextlib import ExitStack
from unittest.mock import patch

import jaxtyping
import lightning.pytorch as pl
import numpy as np
import pytest
import schedulefree
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import EMAWeightAveraging
from tests.helpers.benchmarks import image_benchmark, text_benchmark
from tests.helpers.models import TinyCNN, image_data, tiny_gpt, token_rows, tokenizer, transform
from tests.helpers.sameness import same, states
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss, Record
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback

# Where a probe can raise: every function that it goes through, from the first to the last.
PLACES = [
    "ontogeny.monitoring.schedule._Every.due",
    "ontogeny.monitoring.recorder.Recorder.verdict",
    "ontogeny.monitoring.snapshot.weights_hash",
    "ontogeny.extraction.probe.place",
    "ontogeny.extraction._tokens.Tokens.batches",
    "ontogeny.extraction.model_inputs._Pixels.batches",
    "ontogeny.extraction._rank_reading.pool",
    "ontogeny.extraction.probe.refusal",
    "ontogeny.monitoring.heldout.loss.HeldOutLoss.__call__",
    "ontogeny.benchmarks.prepared.LayerGeometry",
    "ontogeny.metrics.rsa.PreparedRSA.score_all",
    "ontogeny.metrics.ridge.ridge.PreparedRidge.score",
    "ontogeny.benchmarks.benchmark.PreparedBenchmark.constants",
    "ontogeny.record.record.Record.append",
    "ontogeny.record._storage.jsonl_log._append_or_undo",
    "ontogeny.monitoring.recorder.progress_line",
    "ontogeny.monitoring.recorder.metric_keys",
    "ontogeny.sinks.sink._best",
    "ontogeny.monitoring._overhead.OverheadBudget.allows_probe",
    "ontogeny.monitoring.monitor.current_process_group",
]
STORED = (
    "ontogeny.monitoring.recorder.progress_line",
    "ontogeny.monitoring.recorder.metric_keys",
    "ontogeny.sinks.sink._best",
)


class Module(pl.LightningModule):
    """Every sort of layer and optimizer that a careless probe would disturb."""

    def __init__(self, how) -> None:
        super().__init__()
        self.how = how
        net = TinyCNN()
        self.net = torch.compile(net, backend="aot_eager") if how["compile"] else net
        self.seen: list = []

    def forward(self, x):
        if not self.how["checkpointing"]:
            return self.net(x)
        return checkpoint(self.net, x, use_reentrant=False, determinism_check="none")

    def on_train_start(self):
        if self.how["frozen"]:
            self.net.early[1].eval()
        self.free(train=True)

    def free(self, *, train):
        if self.how["optimizer"] == "schedule-free":
            optimizer = self.optimizers().optimizer
            optimizer.train() if train else optimizer.eval()

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.seen.append((loss.item(), batch[1].tolist()))
        return loss

    def validation_step(self, batch, batch_idx):
        self.seen.append(nn.functional.cross_entropy(self(batch[0]), batch[1]).item())

    def configure_optimizers(self):
        kinds = {
            "adam": lambda p: torch.optim.AdamW(p, lr=0.01),
            "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
            "schedule-free": lambda p: schedulefree.AdamWScheduleFree(p, lr=0.01),
        }
        return kinds[self.how["optimizer"]](self.parameters())


def train_lightning(how, callbacks):
    pl.seed_everything(how["seed"], verbose=False)
    module = Module(how)
    loader = DataLoader(image_data(24), batch_size=4, shuffle=True, num_workers=how["workers"])
    average = [EMAWeightAveraging(decay=0.8)] if how["average"] else []
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=how["accumulate"],
        precision="bf16-mixed" if how["bf16"] else "32-true",
        callbacks=[*average, *callbacks] if how["average"] == "ema" else [*callbacks, *average],
    )
    trainer.fit(module, loader, DataLoader(image_data(8, seed=2), batch_size=8))
    modes = [m.training for m in module.modules()]
    return module.seen, module.state_dict(), trainer.optimizers[0].state_dict(), modes, states()


class Watched(Trainer):
    """Keeps which rows were seen, and freezes a layer as users do."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.rows.append(inputs["input_ids"].tolist())
        return super().training_step(model, inputs, num_items_in_batch)


def train_transformers(how, callbacks, folder):
    model = tiny_gpt(seed=how["seed"])
    free = how["optimizer"] == "schedule-free"
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=6,
        per_device_train_batch_size=4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        seed=how["seed"],
        gradient_accumulation_steps=how["accumulate"],
        bf16=how["bf16"],
        gradient_checkpointing=how["checkpointing"],
        gradient_checkpointing_kwargs={"use_reentrant": False} if how["checkpointing"] else None,
        torch_compile=how["compile"],
        torch_compile_backend="aot_eager" if how["compile"] else None,
        dataloader_num_workers=how["workers"],
        optim="schedule_free_adamw" if free else "sgd" if how["optimizer"] == "sgd" else "adamw_torch",
        lr_scheduler_type="constant" if free else "linear",
        neftune_noise_alpha=2.0 if how["average"] else None,
        eval_strategy="steps",
        eval_steps=3,
    )
    trainer = Watched(
        model=model, args=arguments, train_dataset=token_rows(), eval_dataset=token_rows(8, seed=4), callbacks=callbacks
    )
    trainer.rows = []
    trainer.train()
    logged = [{k: row[k] for k in ("loss", "eval_loss", "grad_norm") if k in row} for row in trainer.state.log_history]
    modes = [m.training for m in model.modules()]
    return trainer.rows, logged, model.state_dict(), trainer.optimizer.state_dict(), modes, states()


class Draws:
    """A task that draws from every global random state, as users' own may."""

    def __init__(self, task):
        self.task = task

    def __call__(self, model):
        random.random(), np.random.rand(), torch.rand(3)
        return self.task(model)


def watched(kind, how, folder):
    options = {"record": folder / "record", "schedule": "every:2", "say_every": 2, "background": how["background"]}
    if kind == "lightning":
        task = Draws(HeldOutLoss(batches=[tuple(image_data(20, seed=3).tensors)]))
        weights = "ema" if how["average"] == "ema" else "raw"
        return LightningCallback(image_benchmark(), transform=transform, task=task, weights=weights, **options)
    rows = torch.stack([r["input_ids"] for r in token_rows(8, seed=5)])
    task = Draws(HeldOutLoss(batches=[{"input_ids": rows}]))
    return TransformersCallback(
        text_benchmark(),
        tokenizer=tokenizer,
        layers=["auto", "surprisal"],
        pooling=["last", "mean"],
        task=task,
        **options,
    )


def run(kind, how, folder, callbacks):
    torch._dynamo.reset()
    if kind == "lightning":
        return train_lightning(how, callbacks)
    return train_transformers(how, callbacks, folder)


combinations = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "accumulate": st.sampled_from([1, 3]),
        "bf16": st.booleans(),
        "checkpointing": st.booleans(),
        "compile": st.booleans(),
        "frozen": st.booleans(),
        "average": st.sampled_from(["", "raw", "ema"]),
        "workers": st.sampled_from([0, 0, 2]),
        "optimizer": st.sampled_from(["adam", "sgd", "schedule-free"]),
        "background": st.booleans(),
    }
)
PLAIN = {
    "seed": 1,
    "accumulate": 1,
    "bf16": False,
    "checkpointing": False,
    "compile": False,
    "frozen": False,
    "average": "",
    "workers": 0,
    "optimizer": "adam",
    "background": False,
}


def check(kind, how, folder, place=None):
    """Train twice, watched and not; `place` raises in the watched run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare = run(kind, how, folder, [])
        callback = watched(kind, how, folder)
        with ExitStack() as stack:
            if how["background"]:  # the tests' type checker draws random numbers, which keeps scoring in the foreground
                stack.enter_context(patch.object(jaxtyping.config, "jaxtyping_disable", True))
            if place:
                stack.enter_context(patch(place, raising_later(place)))
            seen = run(kind, how, folder, [callback])
    assert same(seen, bare), f"{kind} {how} {place}"
    return callback.monitor


def raising_later(place):
    """The function at `place`, which draws random numbers and raises, from its third call on where it has several."""
    *path, name = place.split(".")
    owner = __import__(".".join(path[:2]), fromlist=["x"])
    for part in path[2:]:
        owner = getattr(owner, part)
    function, calls, first = getattr(owner, name), [], 0 if name == "constants" else 2

    def raises(*args, **kwargs):
        calls.append(1)
        if len(calls) > first:
            random.random(), np.random.rand(), torch.rand(3)
            raise ArithmeticError(f"{name} broke")
        return function(*args, **kwargs)

    return raises


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lightning", "transformers"])
@settings(deadline=None, max_examples=9 if "ONTOGENY_LONG" in os.environ else 3)
@given(how=combinations)
def test_any_combination_is_bit_identical(kind, how, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    monitor = check(kind, how, folder)
    probes = [s.step for s in Record(folder / "record").events(kind="probe")]
    assert probes[0] == 0
    assert probes[-1] == monitor.latest[0]
    assert len(probes) >= 3
    shutil.rmtree(folder)


CHANGES = [
    {"optimizer": "schedule-free"},
    {"compile": True},
    {"average": "raw"},
    {"average": "ema"},
    {"checkpointing": True, "frozen": True},
    {"workers": 2, "background": True},
    {"bf16": True, "accumulate": 3},
]
# Compiling takes the longest.
_KINDS = [(kind, change) for kind in ("lightning", "transformers") for change in CHANGES]
_LONG = [("transformers", {"compile": True})]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "change"), [pytest.param(*p, marks=pytest.mark.long) if p in _LONG else p for p in _KINDS], ids=str
)
def test_each_kind_of_training_is_bit_identical(kind, change, tmp_path):
    check(kind, {**PLAIN, **change}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_probe_that_raises_anywhere_is_not_felt(place, tmp_path):
    kind = "transformers" if "Tokens" in place or "Ridge" in place else "lightning"
    monitor = check(kind, PLAIN, tmp_path, place)
    refused = monitor.record.events(kind="refusal")
    if place in STORED:  # what failed came after the rows were stored
        assert not any(row.layer == "(whole probe)" for row in refused)
        assert {row.step for row in monitor.record.events(kind="probe")} == set(range(0, 13, 2))
    elif "Record.append" not in place and "_append_or_undo" not in place:  # the record itself could not be written
        assert any("broke" in row.note for row in refused)
