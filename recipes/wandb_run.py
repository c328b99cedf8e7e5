"""Watch a Lightning run in Weights & Biases: give the trainer its WandbLogger, the callback finds it.

    WANDB_MODE=offline python recipes/wandb_run.py --steps 200     # no account needed; then `wandb sync`

The numbers stand on an axis of their own (`alignment/step`, optimizer updates), in one panel section. At the end follow
a table of all scores and the charts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import DataLoader

from ontogeny import HeldOutLoss
from ontogeny.callbacks.lightning import AlignmentCallback

sys.path.insert(0, str(Path(__file__).parent))
from lightning_run import Module, dataset, pixels


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-vision")
    parser.add_argument("--record", default="runs/wandb")
    parser.add_argument("--project", default="ontogeny")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    train, held_out = dataset(1, args.images), dataset(2, 500)
    alignment = AlignmentCallback(
        args.benchmark,
        record=args.record,
        transform=pixels,
        task=HeldOutLoss(batches=list(DataLoader(held_out, batch_size=250))),
        say_every=5,
    )
    logger = WandbLogger(project=args.project, name=Path(args.record).name)
    trainer = pl.Trainer(max_steps=args.steps, accelerator="cpu", logger=logger, callbacks=[alignment])
    trainer.fit(Module(int(train.tensors[1].max()) + 1), DataLoader(train, batch_size=64, shuffle=True))
    logger.experiment.finish()
    step, numbers = alignment.monitor.latest
    print("step", step, "alignment/mean", round(numbers["alignment/mean"], 3))


if __name__ == "__main__":
    main()
