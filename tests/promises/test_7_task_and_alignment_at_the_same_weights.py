"""Promise 7: task and alignment are read at the same weights, by us."""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import torch
from tests.helpers.models import TinyModule, image_data, image_loader, tiny_gpt, token_rows, tokenizer, transform
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny import HeldOutLoss
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.extraction.weights import weights_hash


class Keeps(pl.Callback):
    """What the trainer's own weights and held-out loss were after each optimizer update."""

    def __init__(self, batch):
        self.batch, self.seen = batch, {}

    def on_train_start(self, trainer, pl_module):
        self.on_train_batch_end(trainer, pl_module, None, None, 0)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        modes = [(m, m.training) for m in pl_module.modules()]
        pl_module.eval()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(pl_module(self.batch[0]), self.batch[1]).item()
        for module, mode in modes:
            module.training = mode
        self.seen.setdefault(trainer.global_step, (weights_hash(pl_module), loss))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_lightning_rows_belong_to_the_weights_after_that_many_updates(image_benchmark, tmp_path, accumulate):
    held_out = tuple(image_data(30, seed=9).tensors)
    keeps = Keeps(held_out)
    callback = LightningCallback(
        image_benchmark,
        record=tmp_path / "r",
        transform=transform,
        schedule="every:1",
        task=HeldOutLoss(batches=[held_out]),
    )
    pl.seed_everything(1, verbose=False)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback, keeps],
        accumulate_grad_batches=accumulate,
    )
    trainer.fit(TinyModule(), image_loader(), image_loader(8, shuffle=False))
    record = callback.monitor.record
    loss = record.series(kind="task", metric="loss")
    assert loss.steps.tolist() == list(range(6 // accumulate + 1))
    for step, value in zip(loss.steps.tolist(), loss.values.tolist(), strict=True):
        weights, expected = keeps.seen[step]
        assert value == pytest.approx(expected, abs=1e-6)
        rows = [
            *record.select(step=step, kind=["alignment", "task", "confound"]),
            *record.events(kind="probe", step=step),
        ]
        assert {s.weights for s in rows} == {weights}


def test_the_hugging_face_loss_of_a_step_is_measured_not_averaged(text_benchmark, tmp_path):
    # The Trainer divides by all labels, the first token's included, which nothing predicts: mark it as not counted.
    rows = [{**r, "labels": torch.cat([torch.tensor([-100]), r["labels"][1:]])} for r in token_rows(16, seed=5)]
    batch = {"input_ids": torch.stack([r["input_ids"] for r in rows])}
    callback = TransformersCallback(
        text_benchmark,
        record=tmp_path / "r",
        tokenizer=tokenizer,
        schedule="every:2",
        task=HeldOutLoss(batches=[batch]),
    )
    model = tiny_gpt(dropout=0.0)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=5,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=token_rows(), eval_dataset=rows, callbacks=[callback])
    trainer.train()
    loss = callback.monitor.record.series(kind="task", metric="loss")
    assert loss.steps.tolist() == [0, 2, 4, 5]
    assert loss.source == "measured"
    theirs = {row["step"]: row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row}
    for step, value in zip(loss.steps.tolist()[1:], loss.values.tolist()[1:], strict=True):
        assert value == pytest.approx(theirs[step], abs=1e-5)


def test_the_last_step_is_read_before_an_older_checkpoint_is_put_back(text_benchmark, tmp_path):
    """With load_best_model_at_end the model holds other weights at on_train_end than at the last step."""
    callback = TransformersCallback(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, schedule="at:0")
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        learning_rate=0.05,
        metric_for_best_model="eval_loss",
        greater_is_better=True,
        per_device_train_batch_size=4,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        load_best_model_at_end=True,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    seen = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen[state.global_step] = weights_hash(kwargs["model"])

    model = tiny_gpt()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=token_rows(8, seed=2),
        callbacks=[callback, Keep()],
    )
    trainer.train()
    probes = {s.step: s.weights for s in callback.monitor.record.events(kind="probe")}
    assert sorted(probes) == [0, 4]
    assert probes[4] == seen[4]
    assert weights_hash(model) != seen[4]
