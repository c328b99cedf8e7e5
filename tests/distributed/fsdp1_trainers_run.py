"""Two processes of Lightning's FSDPStrategy, or of the Hugging Face Trainer's, on the CPU.

`torchrun --nproc-per-node 2 -m tests.distributed.fsdp1_trainers_run FOLDER KIND`; KIND: "lightning", "transformers".
Each is trained twice from the same start, watched and without. Both trainers ask for a GPU before they use FSDP1, which
runs on the CPU all the same: what asks is passed by here, the rest is theirs.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny.callbacks.lightning import AlignmentCallback
from ontogeny.callbacks.transformers import AlignmentCallback as AlignmentCallbackToo
from tests.helpers.benchmarks import image_benchmark, text_benchmark
from tests.helpers.models import TinyModule, image_data, image_loader, tiny_gpt, token_rows, tokenizer, transform


class OnCpu(FSDPStrategy):
    """The trainer refuses the class itself where there is no GPU, and would name one."""

    def _setup_model(self, model: nn.Module) -> nn.Module:
        policy = ModuleWrapPolicy({nn.Sequential})
        device = torch.device("cpu")
        wrapped = FullyShardedDataParallel(model, auto_wrap_policy=policy, device_id=device, use_orig_params=True)
        return super()._setup_model(wrapped)


class Saves(pl.Callback):
    """The consolidated weights that the watched module has at every step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        save(trainer.model, self.folder / f"step{trainer.global_step}.pt")


class SavesToo(TrainerCallback):
    """The same for the Hugging Face Trainer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_step_end(self, args, state, control, model=None, **kwargs):
        save(model, self.folder / f"step{state.global_step}.pt")


def save(model: nn.Module, path: Path) -> None:
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    if torch.distributed.get_rank() == 0:
        torch.save(state, path)


def lightning(out: Path, *, watched: bool) -> tuple[list[float], Any]:
    pl.seed_everything(5, verbose=False)
    module = TinyModule()
    ours = AlignmentCallback(
        image_benchmark(n=20), record=out / "record", transform=transform, schedule="every:2", batch_size=6
    )
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=2,
        strategy=OnCpu(activation_checkpointing_policy={nn.Sequential}),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[ours, Saves(out)] if watched else [],
    )
    trainer.fit(module, image_loader(shuffle=False, batch_size=4), DataLoader(image_data(30, seed=9), batch_size=4))
    return module.losses, trainer.model


def transformers(out: Path, *, watched: bool) -> tuple[list[float], Any]:
    ours = AlignmentCallbackToo(
        text_benchmark(), record=out / "record", tokenizer=tokenizer, pooling="mean", schedule="at:2", batch_size=7
    )
    arguments = TrainingArguments(
        output_dir=str(out / "out"),
        max_steps=4,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=0.02,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=True,
        disable_tqdm=True,
        fsdp="full_shard auto_wrap",
        fsdp_config={
            "version": 1,
            "transformer_layer_cls_to_wrap": ["GPT2Block"],
            "use_orig_params": False,
            "activation_checkpointing": True,
            "sync_module_states": False,
        },
    )
    PartialState().distributed_type = DistributedType.MULTI_GPU  # else accelerate leaves FSDP out
    trainer = Trainer(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=token_rows(24, seed=3),  # the task
        callbacks=[ours, SavesToo(out)] if watched else [],
    )
    PartialState().device = trainer.accelerator.state.device = torch.device("cpu")  # not cpu:0, as if it were a GPU
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return losses, trainer.model_wrapped


def main(folder: str, kind: str) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    out = Path(folder)
    train = {"lightning": lightning, "transformers": transformers}[kind]
    (watched, model), (bare, _) = train(out, watched=True), train(out, watched=False)
    about = [type(model).__name__, str(model.mixed_precision.param_dtype)]
    found = {"watched": watched, "bare": bare, "model": about}
    (out / f"rank{torch.distributed.get_rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
