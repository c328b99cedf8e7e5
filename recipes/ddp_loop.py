"""Watch a plain PyTorch loop under DistributedDataParallel.

    torchrun --nproc-per-node 2 recipes/ddp_loop.py --steps 200

Every rank calls the monitor. The stimuli are shared out over the ranks and read with the first rank's buffers, as a
checkpoint would hold them; the first rank scores and writes; a probe that fails on one rank leaves no other waiting.
(Ranks that train models of their own say `distributed=False` and have a record each.)
"""

from __future__ import annotations

import argparse

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import ontogeny
from ontogeny.simulated.vision_world import training_images


def pixels(image) -> torch.Tensor:
    return torch.as_tensor(image).permute(2, 0, 1).float() / 127.5 - 1


def dataset(seed: int, n: int) -> TensorDataset:
    images, labels = training_images(seed=seed, n=n)
    return TensorDataset(torch.stack([pixels(image) for image in images]), torch.as_tensor(labels).long())


def network(n_classes: int) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, n_classes)),
    )


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-vision")
    parser.add_argument("--record", default="runs/ddp")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=4000)
    args = parser.parse_args(argv)

    dist.init_process_group("gloo")  # "nccl" on GPUs
    train, held_out = dataset(1, args.images), dataset(2, 500)
    model = DistributedDataParallel(network(int(train.tensors[1].max()) + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sampler = DistributedSampler(train)
    loader = DataLoader(train, batch_size=32, sampler=sampler)

    monitor = ontogeny.watch(
        args.benchmark,
        record=args.record,
        transform=pixels,
        task=ontogeny.HeldOutLoss(batches=list(DataLoader(held_out, batch_size=250))),
    )
    step = 0
    monitor(model, step)
    while step < args.steps:
        sampler.set_epoch(step)
        for images, labels in loader:
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            monitor(model, step)
            if step == args.steps:
                break
    monitor.finish(model, step)

    if dist.get_rank() == 0:
        accuracy = monitor.record.series(kind="task", metric="accuracy")
        print("steps", accuracy.steps.tolist(), "held-out accuracy", accuracy.values.round(2).tolist())
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
