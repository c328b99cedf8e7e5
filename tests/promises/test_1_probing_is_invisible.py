"""Promise 1: weights, optimizer state, buffers, modes, random states and losses are bit-identical with and without the
callback, also when the probe raises."""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import torch
from tests.helpers.models import (
    TinyCNN,
    TinyModule,
    image_data,
    image_loader,
    tiny_gpt,
    token_rows,
    tokenizer,
    transform,
)
from tests.helpers.sameness import same, states
from torch import nn
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import ProbeError


class Breaks:
    """A task that raises at the second probe and at every later one."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model):
        self.calls += 1
        torch.rand(3)
        if self.calls > 1:
            raise ArithmeticError("the task broke")
        return []


def run_lightning(callbacks, *, frozen_norm=False, **options):
    pl.seed_everything(7, verbose=False)
    module = TinyModule(frozen_norm=frozen_norm)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        **options,
    )
    trainer.fit(module, image_loader())
    optimizer = trainer.optimizers[0].state_dict()
    modes = [m.training for m in module.modules()]
    return module.losses, module.state_dict(), optimizer, modes, states()


loud = pytest.mark.filterwarnings("ignore:the probe at step")


def image_callback(benchmark, folder, task=None):
    task = task or HeldOutLoss(batches=[tuple(image_data(20, seed=3).tensors)])
    return LightningCallback(benchmark, record=folder, transform=transform, schedule="every:2", task=task)


@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 2}, {"frozen_norm": True}, {"precision": "bf16-mixed"}]
)
def test_lightning_training_is_bit_identical(image_benchmark, tmp_path, options):
    without = run_lightning([], **options)
    callback = image_callback(image_benchmark, tmp_path / "record")
    assert same(run_lightning([callback], **options), without)
    steps = callback.monitor.record.series(roi="IT", layer="net.late", metric="cka-linear-debiased").steps
    assert steps[0] == 0
    assert len(steps) > 3


@loud
def test_lightning_training_is_bit_identical_when_the_probe_raises(image_benchmark, tmp_path):
    without = run_lightning([])
    callback = image_callback(image_benchmark, tmp_path / "record", task=Breaks())
    assert same(run_lightning([callback]), without)
    refused = callback.monitor.record.events(kind="refusal")
    assert refused
    assert "the task broke" in refused[0].note


def run_transformers(callbacks, folder, **options):
    model = tiny_gpt()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=8,
        per_device_train_batch_size=4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        seed=3,
        **options,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=token_rows(), callbacks=callbacks)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    modes = [m.training for m in model.modules()]
    return losses, model.state_dict(), trainer.optimizer.state_dict(), modes, states()


def text_callback(benchmark, folder, task=None):
    task = task or HeldOutLoss(batches=[{"input_ids": torch.stack([r["input_ids"] for r in token_rows(8, seed=5)])}])
    return TransformersCallback(
        benchmark,
        record=folder,
        tokenizer=tokenizer,
        layers=["auto", "surprisal"],
        pooling=["last", "mean"],
        schedule="every:2",
        task=task,
    )


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}, {"bf16": True}])
def test_transformers_training_is_bit_identical(text_benchmark, tmp_path, options):
    without = run_transformers([], tmp_path / "a", **options)
    callback = text_callback(text_benchmark, tmp_path / "record")
    assert same(run_transformers([callback], tmp_path / "b", **options), without)
    assert len(without[0]) == 8
    curve = callback.monitor.record.series(roi="left", layer="transformer.h.1", pooling="last")
    assert curve.steps.tolist() == [0, 2, 4, 6, 8]


@loud
def test_transformers_training_is_bit_identical_when_the_probe_raises(text_benchmark, tmp_path):
    without = run_transformers([], tmp_path / "a")
    callback = text_callback(text_benchmark, tmp_path / "record", task=Breaks())
    assert same(run_transformers([callback], tmp_path / "b"), without)
    assert "the task broke" in callback.monitor.record.events(kind="refusal")[0].note


class Spoils(nn.Module):
    """Raises in the middle of a forward pass, and changes a buffer before that."""

    def __init__(self):
        super().__init__()
        self.inner = TinyCNN()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        self.inner(x)
        raise RuntimeError("out of memory, say")


@loud
def test_a_model_that_raises_while_it_is_read_is_put_back(image_benchmark, tmp_path):
    model = Spoils()
    model.inner.early[1].eval()
    modes = [m.training for m in model.modules()]
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, rehearsal=False)
    before = states()
    assert monitor(model, 0) == []
    assert states() == before
    assert [m.training for m in model.modules()] == modes
    assert model.calls.item() == 0
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert torch.is_grad_enabled()


def test_a_model_of_which_no_row_could_come_is_an_error_before_training(image_benchmark, tmp_path):
    model = Spoils()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    before = states()
    with pytest.raises(ProbeError, match="no layer of this model can be read.*Spoils failed on stimuli 'p00', 'p01'"):
        monitor(model, 0)
    assert states() == before
    assert model.calls.item() == 0


def test_a_failing_probe_ends_training_only_if_asked_to(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, on_error="raise")
    with pytest.raises(RuntimeError, match="out of memory, say"):
        monitor(Spoils(), 0)
