"""Self-supervised learning in Lightning: two augmented views, projector and predictor, and a momentum encoder."""

from __future__ import annotations

import copy
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from ontogeny import watch
from ontogeny.callbacks.lightning import AlignmentCallback  # ontogeny
from ontogeny.monitoring.heldout.loss import Measured
from ontogeny.replay import lightning, replay
from tests.helpers.benchmarks import image_benchmark
from tests.helpers.models import image_data, transform


class TwoViews(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.projector = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))
        self.predictor = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
        self.momentum = copy.deepcopy(nn.Sequential(self.encoder, self.projector)).requires_grad_(False)
        self.losses: list[float] = []

    def forward(self, x):
        return self.encoder(x)

    def augmented(self, x, view: int):
        noise = torch.Generator().manual_seed(2 * self.global_step + view)
        flipped = x.flip(3) if view else x
        return flipped + 0.2 * torch.randn(x.shape, generator=noise)

    def training_step(self, batch, batch_idx):
        self.follow()
        one, two = (self.augmented(batch[0], view) for view in (0, 1))
        with torch.no_grad():
            targets = [self.momentum(view) for view in (two, one)]
        guesses = [self.predictor(self.projector(self.encoder(view))) for view in (one, two)]
        loss = (
            sum(
                -nn.functional.cosine_similarity(g, t.detach(), dim=1).mean()
                for g, t in zip(guesses, targets, strict=True)
            )
            / 2
        )
        self.losses.append(loss.item())
        self.log("loss", loss)
        return loss

    def follow(self):
        online = [*self.encoder.parameters(), *self.projector.parameters()]
        with torch.no_grad():
            for slow, fast in zip(self.momentum.parameters(), online, strict=True):
                slow.lerp_(fast, 0.1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def make_module() -> TwoViews:
    pl.seed_everything(3, verbose=False)
    return TwoViews()


def spread_of_features(model):
    """How far the features are from having collapsed, on held-out pictures."""
    x = nn.functional.normalize(model(image_data(16, seed=9).tensors[0]), dim=1)
    return [Measured(metric="spread", value=float(x.std(dim=0).mean()), unit="1", n=len(x))]


def main(out: Path, *, watched: bool, resume: bool = False):
    module = make_module()
    callbacks = [ModelCheckpoint(out / "checkpoints", filename="{step}", every_n_train_steps=4, save_top_k=-1)]
    if watched:
        watching = AlignmentCallback(  # ontogeny
            image_benchmark(),
            transform=transform,
            module="encoder",
            task=spread_of_features,
            schedule="every:2",
            record=out / "record",
        )
        callbacks.append(watching)  # ontogeny
    trainer = pl.Trainer(
        max_steps=8,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    last = max((out / "checkpoints").glob("*.ckpt"), key=lambda p: p.stat().st_mtime) if resume else None
    trainer.fit(module, DataLoader(image_data(16), batch_size=8), ckpt_path=last)
    return module.losses, module


def replayed(out: Path, record: Path):
    series = lightning(out / "checkpoints", model=make_module)
    options = {"transform": transform, "module": "encoder", "task": spread_of_features}
    return replay(series, watch(image_benchmark(), record=record, **options))
