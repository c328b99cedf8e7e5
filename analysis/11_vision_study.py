"""Does alignment with human IT precede accuracy and loss, over 8 seeds of a small residual CNN?

    python analysis/11_vision_study.py --out runs/studies/vision    2 hours of one core; killed, it goes on
    python analysis/11_vision_study.py --report    figure, table and records of the seeds that are finished

CIFAR-10 (15,000 pictures) against the dissimilarities of four subjects (Kriegeskorte et al. 2008, Neuron 60:1126),
found through ONTOGENY_DATA or the cache folder; without them, and with `--data planted`, the embedded simulated world.
What is claimed, and what would refute it, is in PLAN.md (11).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from study_report import Curve, write_results
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from training_study import Training, batch_rows, options_of, run_seeds
from typing_extensions import override

from ontogeny import HeldOutLoss, Monitor, load, watch
from ontogeny.cli.demo_training import real_or_planted
from ontogeny.cli.demo_training.train_vision import pixels
from ontogeny.datasets import training_images
from ontogeny.monitoring.schedule import at
from ontogeny.simulated.vision_world import training_images as planted_images

STEPS = 5000
BATCH = 64
WIDTH = 16
METRICS = ("rsa-correlation-spearman", "cka-linear-debiased")
LAYERS = ("stem", "stage1", "stage2", "stage3", "stage4", "head")


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norm, and a way past them."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        way = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.way = nn.Identity() if n_in == n_out and stride == 1 else way

    @override
    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm1(self.conv1(x)).relu()
        out: Tensor = (self.norm2(self.conv2(inner)) + self.way(x)).relu()
        return out


class ResidualCNN(nn.Module):
    """A stem, four residual stages and a linear head; 309,000 parameters at width 16 and 10 classes."""

    def __init__(self, n_classes: int, *, width: int = WIDTH) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stage1 = Residual(width, width, stride=1)
        self.stage2 = Residual(width, 2 * width, stride=2)
        self.stage3 = Residual(2 * width, 4 * width, stride=2)
        self.stage4 = Residual(4 * width, 8 * width, stride=2)
        self.head = nn.Linear(8 * width, n_classes)

    @override
    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        out: Tensor = self.head(x.mean(dim=(2, 3)))
        return out


def augmented(images: Tensor, seed: int, step: int) -> Tensor:
    """Half of them mirrored, all shifted by up to 4 pixels together."""
    draws = torch.Generator().manual_seed(1_000_003 * seed + step)
    mirrored = torch.rand(len(images), generator=draws) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    down, right = torch.randint(-4, 5, (2,), generator=draws).tolist()
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    return padded[:, :, 4 + down : 36 + down, 4 + right : 36 + right]


def batch_loss(train: TensorDataset, model: nn.Module, seed: int, step: int) -> Tensor:
    rows = batch_rows(len(train), seed, step, size=BATCH)
    images, labels = train[rows]
    return nn.functional.cross_entropy(model(augmented(images, seed, step)), labels)


def watched(task: HeldOutLoss, benchmark: str, record: Path, weights: Any, due: Sequence[int]) -> Monitor:
    return watch(
        benchmark,
        record=record,
        run=f"{record.parent.name}-{weights}",
        metrics=("rsa", "cka(debiased=True)"),
        transform=pixels,
        layers=LAYERS,
        schedule=at(due),
        task=task,
        weights=weights,
        on_error="raise",
    )


def tensors(images: Any, labels: Any) -> TensorDataset:
    return TensorDataset(torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long())


def training(*, real: bool) -> Training:
    """Real data, 2,000 held-out pictures; or the simulated world, small and with a small network."""
    if real:
        (images, labels, _), (others, theirs, _) = (training_images(split=split) for split in ("train", "test"))
    else:
        (images, labels), (others, theirs) = planted_images(seed=1, n=640), planted_images(seed=2, n=100)
    train = tensors(images, labels)
    task = HeldOutLoss(list(DataLoader(tensors(others, theirs), batch_size=250)))
    return Training(
        model=partial(ResidualCNN, int(train.tensors[1].max()) + 1, width=WIDTH if real else 4),
        loss=partial(batch_loss, train),
        watch=partial(watched, task, "kriegeskorte2008" if real else "planted-vision"),
        weights=("raw", "ema"),
    )


def main(argv: Sequence[str] | None = None) -> None:
    options = options_of(__doc__ or "", steps=STEPS, out=Path("runs/studies/vision"), argv=argv)
    if options.report:
        shown = [Curve(weights=weights, metric=metric) for weights in ("raw", "ema") for metric in METRICS]
        write_results("vision", options, shown, tasks=("accuracy", "loss"))
        return
    real = real_or_planted(options.data, lambda: (load("kriegeskorte2008"), training_images()), print)
    run_seeds(training(real=real), options)


if __name__ == "__main__":
    main()
