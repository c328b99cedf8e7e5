"""A loop by epochs over pictures: mixed labels, an averaged model beside the raw one, checkpoint-N.pth.tar."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

import ontogeny  # ontogeny
from ontogeny.replay import Naming, files, replay
from tests.helpers.benchmarks import image_benchmark
from tests.helpers.models import TinyCNN, image_data, transform

UPDATES = 2  # in an epoch


def make_model() -> TinyCNN:
    torch.manual_seed(7)
    return TinyCNN()


def held_out() -> ontogeny.HeldOutLoss:
    return ontogeny.HeldOutLoss([image_data(16, seed=9).tensors])


def train_one_epoch(epoch, model, loader, optimizer, ema, monitors, losses):
    model.train()
    for index, (x, y) in enumerate(loader):
        torch.manual_seed(1000 * epoch + index)
        share = float(torch.rand(()))
        mixed = share * x + (1 - share) * x.flip(0)
        logits = model(mixed)
        loss = share * nn.functional.cross_entropy(logits, y) + (1 - share) * nn.functional.cross_entropy(
            logits, y.flip(0)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update_parameters(model)
        losses.append(loss.item())
        for monitor, watched in zip(monitors, (model, ema), strict=False):
            monitor(watched, epoch * len(loader) + index + 1)  # ontogeny


def save(out: Path, epoch: int, model, ema, optimizer, scheduler, args) -> None:
    content = {
        "epoch": epoch,
        "arch": "tiny_cnn",
        "state_dict": model.state_dict(),
        "state_dict_ema": ema.module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "n_averaged": ema.n_averaged,
        "args": args,
        "version": 2,
    }
    torch.save(content, out / f"checkpoint-{epoch}.pth.tar")
    torch.save(content, out / "last.pth.tar")


def main(out: Path, *, watched: bool, resume: bool = False):
    args = argparse.Namespace(lr=0.05, epochs=4, model="tiny_cnn", resume=str(out / "last.pth.tar") if resume else "")
    model, first, losses = make_model(), 0, []
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    loader = DataLoader(image_data(16), batch_size=8)
    if args.resume:
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(args.resume, weights_only=True)
        model.load_state_dict(found["state_dict"])
        ema.module.load_state_dict(found["state_dict_ema"])
        ema.n_averaged.copy_(found["n_averaged"])
        optimizer.load_state_dict(found["optimizer"])
        scheduler.load_state_dict(found["lr_scheduler"])
        first = found["epoch"] + 1

    monitors = []
    if watched:
        options = {"transform": transform, "task": held_out(), "schedule": "every:2"}  # ontogeny
        monitors = [  # ontogeny
            ontogeny.watch(image_benchmark(), record=out / "record", **options),
            ontogeny.watch(image_benchmark(), record=out / "record-ema", **options),
        ]
        for monitor, one in zip(monitors, (model, ema), strict=True):
            monitor(one, first * UPDATES)  # ontogeny
    for epoch in range(first, args.epochs):
        train_one_epoch(epoch, model, loader, optimizer, ema, monitors, losses)
        scheduler.step()
        if epoch % 2:
            save(out, epoch, model, ema, optimizer, scheduler, args)
    for monitor, one in zip(monitors, (model, ema), strict=False):
        monitor.finish(one, args.epochs * UPDATES)  # ontogeny
    return losses, nn.ModuleList([model, ema.module])


def replayed(out: Path, record: Path, *, key: str = "state_dict"):
    naming = Naming(templates=("checkpoint-{count}.pth.tar",), updates_per_count=UPDATES, zero_count=-1)
    series = files(out / "checkpoint-{count}.pth.tar", model=make_model, key=key, naming=naming)
    return replay(series, ontogeny.watch(image_benchmark(), transform=transform, task=held_out(), record=record))
