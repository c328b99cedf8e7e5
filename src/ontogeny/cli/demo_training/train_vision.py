"""A small CNN learns to name pictures under a Lightning Trainer, read on pictures while it learns."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from ontogeny.datasets import training_images
from ontogeny.monitoring import HeldOutLoss, Monitor
from ontogeny.monitoring.callbacks.lightning import AlignmentCallback
from ontogeny.simulated.vision_world import training_images as planted_images

__all__ = ["Classifier", "SmallCNN", "pixels", "train_vision"]

_SIZE = 32
_HELD_OUT = 1000


class SmallCNN(nn.Module):
    """Four convolution stages and a linear head; 100k parameters."""

    def __init__(self, n_classes: int, *, width: int = 24) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        stages = [
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1, stride=1 if i == 0 else 2, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
            )
            for i, (a, b) in enumerate(pairwise(widths))
        ]
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.head = nn.Linear(widths[-1], n_classes)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Images -> logits."""
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        out: Tensor = self.head(x.mean(dim=(2, 3)))
        return out


class Classifier(pl.LightningModule):
    """SmallCNN with cross-entropy, AdamW and a one-cycle learning rate."""

    def __init__(self, n_classes: int, *, steps: int) -> None:
        super().__init__()
        self.net = SmallCNN(n_classes)
        self.steps = steps

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Images -> logits."""
        out: Tensor = self.net(x)
        return out

    @override
    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of one batch."""
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    @override
    def configure_optimizers(self) -> Any:
        """AdamW with a short warm-up and cosine decay."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=2e-3, total_steps=max(self.steps, 20), pct_start=0.25
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def pixels(image: Any) -> Tensor:
    """A PIL image or uint8 array -> 3 x 32 x 32, about zero mean and unit variance."""
    array = torch.as_tensor(np.asarray(image, dtype=np.float32)[..., :3] / 255.0).permute(2, 0, 1)
    if array.shape[1:] != (_SIZE, _SIZE):
        array = nn.functional.interpolate(array[None], size=(_SIZE, _SIZE), mode="bilinear", antialias=True)[0]
    return (array - 0.5) / 0.25


def train_vision(
    record: Path, *, real: bool, steps: int, seed: int = 0, schedule: str = "log:6", progress: bool = True
) -> Monitor:
    """Train the CNN once, with its record.

    Args:
        record: the record's folder.
        real: CIFAR-10 and human IT, or the planted vision world.
        steps: optimizer updates.
        seed: of weights and data order.
        schedule: when it is probed.
        progress: show a bar.

    Returns:
        The monitor that watched.
    """
    train, held_out = _data(real=real)
    task = HeldOutLoss(batches=list(DataLoader(held_out, batch_size=250)))
    callback = AlignmentCallback(
        "kriegeskorte2008" if real else "planted-vision",
        record=record,
        transform=pixels,
        schedule=schedule,
        task=task,
    )
    pl.seed_everything(seed, verbose=False)
    module = Classifier(int(train.tensors[1].max()) + 1, steps=steps)
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        trainer = pl.Trainer(
            max_steps=steps,
            max_epochs=math.ceil(steps / len(loader)),
            accelerator="cpu",
            callbacks=[callback],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
        )
        trainer.fit(module, loader)
    return callback.monitor


def _data(*, real: bool) -> tuple[TensorDataset, TensorDataset]:
    if real:
        images, labels, _ = training_images("cifar10-sample", split="train")
        test_images, test_labels, _ = training_images("cifar10-sample", split="test")
    else:
        images, labels = planted_images(seed=1, n=8000)
        test_images, test_labels = planted_images(seed=2, n=_HELD_OUT)
    return _tensors(images, labels), _tensors(test_images[:_HELD_OUT], test_labels[:_HELD_OUT])


def _tensors(images: Any, labels: Any) -> TensorDataset:
    stack = torch.stack([pixels(image) for image in images])
    return TensorDataset(stack, torch.as_tensor(np.asarray(labels, dtype=np.int64)))
