"""Two processes of the Hugging Face Trainer: `torchrun --nproc-per-node 2 -m tests.distributed.transformers_run`."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny.callbacks.transformers import AlignmentCallback
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import tiny_gpt, token_rows, tokenizer


class Saves(TrainerCallback):
    """The weights at every step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if state.is_world_process_zero:
            torch.save(model.state_dict(), self.folder / f"step{state.global_step}.pt")

    on_step_end = on_train_begin


def main(folder: str, watch: str = "watch") -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    ours = AlignmentCallback(
        text_benchmark(),
        record=out / "record",
        tokenizer=tokenizer,
        pooling="mean",
        schedule="at:3",
        batch_size=7,
    )
    arguments = TrainingArguments(
        output_dir=str(out / "out"),
        max_steps=6,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=0.02,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        metric_for_best_model="alignment/left" if watch == "watch" else "eval_loss",
        greater_is_better=True,
        load_best_model_at_end=watch == "watch",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=token_rows(24, seed=3),  # the task
        callbacks=[Saves(out), *([ours] if watch == "watch" else [])],
    )
    trainer.train()
    report = {
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "best": [trainer.state.best_metric, trainer.state.best_global_step],
        "latest": list(ours.monitor.latest) if ours.monitor else [],
        "weights": [float(p.detach().double().sum()) for p in trainer.model.parameters()],
    }
    (out / f"rank{arguments.process_index}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
