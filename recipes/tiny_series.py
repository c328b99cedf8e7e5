"""Make the checkpoint series that lies in checkpoints/tiny, or one like it; then replay it in a few seconds.

    python recipes/tiny_series.py --out checkpoints/tiny
    ontogeny replay tiny --benchmark planted-vision --task recipes.tiny_series:held_out     # in the project's folder

A small CNN learns the shapes of the embedded simulated world; its weights are saved at steps 0, 1, 2, 4, ... 1024.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ontogeny
from ontogeny.worlds.vision import training_images


def pixels(image) -> Tensor:
    return torch.as_tensor(image).permute(2, 0, 1).float() / 127.5 - 1


def network() -> nn.Module:
    """What the weights belong to."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)),
    )


def dataset(seed: int, n: int) -> tuple[Tensor, Tensor]:
    images, labels = training_images(seed=seed, n=n)
    return torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long()


def held_out(model: nn.Module) -> list:
    """The task at the weights of a model: loss and accuracy on images of another seed."""
    return list(ontogeny.HeldOutLoss(batches=[dataset(2, 500)])(model))


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    parser.add_argument("--record", default="runs/tiny_live", help="the same steps, probed while it trains")
    parser.add_argument("--steps", type=int, default=1024)
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    x, y = dataset(1, args.images)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = [0, *(2**k for k in range(40) if 2**k <= args.steps)]
    schedule = f"at:{','.join(map(str, steps))}"
    monitor = ontogeny.watch("planted-vision", record=args.record, transform=pixels, schedule=schedule, task=held_out)
    args.out.mkdir(parents=True, exist_ok=True)
    for step in range(args.steps + 1):
        if step:
            rows = torch.randint(0, len(x), (64,))
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
        if step in steps:
            save_file(model.state_dict(), args.out / f"step{step}.safetensors")
        monitor(model, step)
    monitor.finish(model, args.steps)
    size = sum(path.stat().st_size for path in args.out.glob("*.safetensors"))
    print(f"{len(steps)} checkpoints, {size / 1e3:.0f} kB in {args.out}; live record {args.record}")


if __name__ == "__main__":
    main()
