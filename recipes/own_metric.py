"""A metric of your own: any object with name, unit and prepare(); it imports nothing from this package but `Value`.

    python recipes/own_metric.py

Here: distance correlation (Szekely et al. 2007, Ann Stat 35:2769) beside the built-in metrics.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import torch
from torch import nn

import ontogeny
from ontogeny.metrics import Value


def double_centred(distances: torch.Tensor) -> torch.Tensor:
    return distances - distances.mean(0) - distances.mean(1, keepdim=True) + distances.mean()


@dataclass(frozen=True)
class DistanceCorrelation:
    name: str = "distance-correlation"
    unit: str = "squared distance correlation"

    def prepare(self, targets, folds):
        """Everything that depends on the brain alone, once."""
        brains = []
        for target in targets:
            y = torch.as_tensor(target.responses).double()
            b = double_centred(torch.cdist(y, y))
            brains.append(b / b.norm())
        return Prepared(brains)


@dataclass(frozen=True)
class Prepared:
    brains: list[torch.Tensor]

    def score(self, view):
        """One value a target; `view` brings distances that all metrics share."""
        a = double_centred(view.squared_distances.sqrt())
        a = a / a.norm()
        n = len(a)
        return [
            Value(value=float((a * b).sum()), chance=float(a.trace() * b.trace() / (n - 1)), ceiling=None)
            for b in self.brains
        ]


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", default="runs/own_metric")
    args = parser.parse_args(argv)

    benchmark = ontogeny.load("planted-vision")
    benchmark = replace(benchmark, metrics=(*benchmark.metrics, DistanceCorrelation()))
    model = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU())

    def pixels(image) -> torch.Tensor:
        return torch.as_tensor(image).permute(2, 0, 1).float() / 255

    monitor = ontogeny.watch(benchmark, record=args.record, transform=pixels)
    for score in monitor(model, 0):
        if score.kind == "alignment" and score.subject == benchmark.assemblies[0].subject:
            print(f"{score.layer:>4} {score.roi:<20} {score.metric:<26} {score.value:+.3f} (chance {score.chance:.3f})")


if __name__ == "__main__":
    main()
