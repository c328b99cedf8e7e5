"""Make the checkpoint series that lies in checkpoints/tiny, or one like it; then replay it in a few seconds.

    python recipes/tiny_series.py --out checkpoints/tiny
    ontogeny replay tiny --benchmark planted-vision --task ontogeny.replay.tiny:held_out

A small CNN learns the shapes of the embedded simulated world; its weights are saved at steps 0, 1, 2, 4, ... 1024.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import ontogeny
from ontogeny.replay.tiny import dataset, held_out, network, pixels


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
