"""A saved Lightning run, read afterwards: what the callback missed is filled in from the .ckpt files.

    python recipes/replay_lightning_run.py --record runs/lit --steps 200 --save 20

ModelCheckpoint saves every 20 steps; the callback watches the first half alone (and the end, as always). Then the
checkpoints are replayed into the same record, and the losses that CSVLogger wrote become task rows. The steps that were
watched live are loaded too, and their weights compared. The replay in one line, from the project's folder:

    ontogeny replay runs/lit/checkpoints --model recipes.replay_lightning_run:network \
        --transform recipes.replay_lightning_run:pixels --benchmark planted-vision --record runs/lit \
        --task recipes.replay_lightning_run:held_out --task-log runs/lit/log
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

import ontogeny
from ontogeny.callbacks.lightning import AlignmentCallback
from ontogeny.replay import lightning, read_task_log, replay

sys.path.insert(0, str(Path(__file__).parent))
from lightning_run import Module, dataset, pixels


class Logged(Module):
    """The module of lightning_run.py, whose losses are logged."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))


def network() -> pl.LightningModule:
    """What the weights belong to."""
    return Logged(4)


def held_out(model: nn.Module) -> list:
    """The task at the weights of a model, live and replayed alike."""
    return list(ontogeny.HeldOutLoss(batches=list(DataLoader(dataset(2, 500), batch_size=250)))(model))


def train(args) -> None:
    """A run that saves its checkpoints, watched for its first half."""
    schedule = f"at:{','.join(map(str, range(0, args.steps // 2 + 1, args.save)))}"
    watching = AlignmentCallback(args.benchmark, record=args.record, transform=pixels, task=held_out, schedule=schedule)
    keep = ModelCheckpoint(args.record / "checkpoints", filename="{step}", every_n_train_steps=args.save, save_top_k=-1)
    trainer = pl.Trainer(
        max_steps=args.steps,
        accelerator="cpu",
        logger=CSVLogger(args.record, name="", version="log"),
        log_every_n_steps=args.save,
        val_check_interval=args.save,
        check_val_every_n_epoch=None,
        callbacks=[watching, keep],
    )
    train, valid = dataset(1, args.images), dataset(2, 500)
    trainer.fit(network(), DataLoader(train, batch_size=64, shuffle=True), DataLoader(valid, batch_size=250))


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="planted-vision")
    parser.add_argument("--record", type=Path, default=Path("runs/lit"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save", type=int, default=20, help="save a checkpoint every so many steps")
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    train(args)
    live = {score.step for score in ontogeny.Record(args.record).events(kind="probe")}

    series = lightning(args.record / "checkpoints", model=network)
    monitor = ontogeny.watch(args.benchmark, record=args.record, transform=pixels, task=held_out)
    monitor.record.append(read_task_log(args.record / "log", run=monitor.record.run))  # val_loss, train_loss
    walked = replay(series, monitor)
    print("\n".join(walked.lines()))

    record = ontogeny.Record(args.record)
    roi = record.select(kind="alignment")[-1].roi
    curve = record.series(layer="net.1", metric="rsa-correlation-spearman", roi=roi)
    ours = record.series(kind="task", metric="loss")
    theirs = record.series(kind="task", metric="val_loss")
    logged = dict(zip(theirs.steps.tolist(), theirs.values, strict=True))
    print(f"\n{curve.name}; held-out loss, ours; Lightning's val_loss")
    for step, value, nats in zip(curve.steps.tolist(), curve.values, ours.values, strict=True):
        how = "live" if step in live else "replayed"
        print(f"step {step:>6}   {how:<8}   {value:+.3f}   {nats:.3f} nats   {logged.get(step, float('nan')):.3f}")


if __name__ == "__main__":
    main()
