"""Watch a plain PyTorch loop: no callback, three calls.

python recipes/plain_loop.py --record runs/plain --steps 200
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import ontogeny
from ontogeny.simulated.vision_world import training_images


def pixels(image) -> torch.Tensor:
    return torch.as_tensor(image).permute(2, 0, 1).float() / 127.5 - 1


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-vision")
    parser.add_argument("--record", default="runs/plain")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    images, labels = training_images(seed=1, n=args.images)
    x, y = torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long()
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, int(y.max()) + 1)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    held_out = ontogeny.HeldOutLoss(batches=[(x[-500:], y[-500:])])

    monitor = ontogeny.watch(args.benchmark, record=args.record, transform=pixels, task=held_out)
    print(monitor.doctor(model))
    monitor(model, 0)  # before the first update
    for step in range(1, args.steps + 1):
        rows = torch.randint(0, len(x) - 500, (64,))
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor(model, step)  # probes when the schedule says so
    monitor.finish(model, args.steps)  # the last step, whatever the schedule says

    accuracy = monitor.record.series(kind="task", metric="accuracy")
    print("steps", accuracy.steps.tolist(), "held-out accuracy", accuracy.values.round(2).tolist())


if __name__ == "__main__":
    main()
