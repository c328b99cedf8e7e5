"""Two processes of Lightning DDP on the CPU: `python -m tests.distributed.lightning_run FOLDER KIND`.

KIND is "watch", "break" (a probe fails on rank 1) or "none" (no callback).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from ontogeny.callbacks.lightning import AlignmentCallback
from tests.helpers.benchmarks import image_benchmark
from tests.helpers.models import TinyModule, image_data, image_loader, transform


class Saves(pl.Callback):
    """The first rank's weights at every step, as a checkpoint would hold them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer, pl_module):
        self.on_train_batch_end(trainer, pl_module, None, None, 0)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.is_global_zero:
            torch.save(pl_module.state_dict(), self.folder / f"step{trainer.global_step}.pt")


class Breaks:
    """Fails on rank 1 when it is read, once it has been trained."""

    def __init__(self, module) -> None:
        self.first = module[0].weight.detach().clone()

    def __call__(self, module, args):
        trained = not torch.equal(module[0].weight, self.first)
        if torch.distributed.get_rank() == 1 and not module.training and trained:
            raise RuntimeError("this rank ran out of memory, say")


def main(folder: str, kind: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    pl.seed_everything(5, verbose=False)
    module = TinyModule()
    if kind == "break":
        module.net.early.register_forward_pre_hook(Breaks(module.net.early))
    ours = AlignmentCallback(
        image_benchmark(n=20),
        record=out / "record",
        transform=transform,
        schedule="every:2",
        batch_size=6,
    )
    keep = ModelCheckpoint(out / "best", monitor="alignment/IT", mode="max", save_on_train_epoch_end=True)
    stop = EarlyStopping("alignment/mean", patience=1000, mode="max", check_on_train_epoch_end=True)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Saves(out)] if kind == "none" else [ours, Saves(out), keep, stop],
    )
    held_out = None if kind == "break" else DataLoader(image_data(30, seed=9), batch_size=4)
    trainer.fit(module, image_loader(shuffle=False, batch_size=4), held_out)
    seen = {name: float(value) for name, value in trainer.callback_metrics.items()}
    report = {"metrics": seen, "best": keep.best_model_path, "step": trainer.global_step, "losses": module.losses}
    (out / f"rank{trainer.global_rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
