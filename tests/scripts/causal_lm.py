"""Hugging Face Trainer on a causal language model: evaluation, gradient accumulation, bf16, resume_from_checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments, set_seed

from ontogeny import HeldOutLoss, watch
from ontogeny.callbacks.transformers import AlignmentCallback  # ontogeny
from ontogeny.replay import hf_trainer, replay
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import fast_tokenizer, tiny_gpt, token_rows


def held_out() -> HeldOutLoss:
    return HeldOutLoss([{"input_ids": torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])}])


def main(out: Path, *, watched: bool, resume: bool = False):
    set_seed(42)
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=8,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        warmup_steps=3,
        bf16=True,
        eval_strategy="steps",
        eval_steps=4,
        save_steps=4,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=token_rows(8, seed=9),
        processing_class=fast_tokenizer(),
    )
    if watched:
        watching = AlignmentCallback(text_benchmark(), task=held_out(), schedule="every:2", record=out / "record")
        trainer.add_callback(watching)  # ontogeny, and the line above
    trainer.train(resume_from_checkpoint=resume)
    losses = [
        row[name] for row in trainer.state.log_history for name in ("loss", "eval_loss", "grad_norm") if name in row
    ]
    return losses, trainer.model


def replayed(out: Path, record: Path):
    series = hf_trainer(out / "checkpoints")
    return replay(series, watch(text_benchmark(), tokenizer=fast_tokenizer(), task=held_out(), record=record))
