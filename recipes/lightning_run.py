"""Watch a Lightning run: one callback, nothing else changes.

    python recipes/lightning_run.py --record runs/lightning --steps 200

Reads the embedded simulated world "planted-vision"; with real data, say "kriegeskorte2008" (see `ontogeny data list`).
Afterwards: `ontogeny report runs/lightning`.
"""

from __future__ import annotations

import argparse

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ontogeny import HeldOutLoss
from ontogeny.callbacks.lightning import AlignmentCallback
from ontogeny.simulated.vision_world import training_images


def pixels(image) -> torch.Tensor:
    return torch.as_tensor(image).permute(2, 0, 1).float() / 127.5 - 1


def dataset(seed: int, n: int) -> TensorDataset:
    images, labels = training_images(seed=seed, n=n)
    return TensorDataset(torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long())


class Module(pl.LightningModule):
    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU()),
            nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, n_classes)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-vision")
    parser.add_argument("--record", default="runs/lightning")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    train, held_out = dataset(1, args.images), dataset(2, 500)
    alignment = AlignmentCallback(  # <- the line
        args.benchmark,
        record=args.record,
        transform=pixels,
        schedule="log",
        task=HeldOutLoss(batches=list(DataLoader(held_out, batch_size=250))),
    )
    trainer = pl.Trainer(max_steps=args.steps, accelerator="cpu", logger=False, callbacks=[alignment])
    trainer.fit(Module(int(train.tensors[1].max()) + 1), DataLoader(train, batch_size=64, shuffle=True))

    record = alignment.monitor.record
    curve = record.series(layer="net.1", metric="rsa-correlation-spearman", roi=record.select(kind="alignment")[0].roi)
    for step, value in zip(curve.steps, curve.values, strict=True):
        print(f"step {step:>6}   {curve.name}   {value:+.3f}")


if __name__ == "__main__":
    main()
