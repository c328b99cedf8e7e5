"""Habits of randomness."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.nn import functional

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_python import Counting


@ingredient()
class DropoutInEval(Habit):
    """Monte Carlo dropout."""

    def forward(self, x):
        return functional.dropout(super().forward(x), 0.3, training=True)


@ingredient()
class GlobalDraws(Counting):
    def start(self):
        pass

    def step(self, x):
        return random.random() + np.random.rand() + torch.rand(1)


@ingredient()
class GlobalSeeds(Counting):
    """Seeds all that is global at each pass, with a count."""

    def start(self):
        self.seed = 0

    def step(self, x):
        self.seed += 1
        random.seed(self.seed), np.random.seed(self.seed), torch.default_generator.manual_seed(self.seed)
        return torch.rand(1)


@ingredient()
class OwnGenerators(Counting):
    """A generator of each library: torch, numpy old and new, Python."""

    def start(self):
        self.torch, self.old = torch.Generator().manual_seed(1), np.random.RandomState(2)
        self.new, self.python = np.random.default_rng(3), random.Random(4)

    def step(self, x):
        drawn = torch.rand(1, generator=self.torch)
        return drawn + self.old.randn() + self.new.standard_normal() + self.python.gauss(0, 1)


@ingredient()
class GeneratorsDeep(Counting):
    """Generators in a dict in a list, another bit generator, one that spawns."""

    def start(self):
        self.held = [{"philox": np.random.Generator(np.random.Philox(5))}, (torch.Generator().manual_seed(6),)]
        self.sequence = np.random.SeedSequence(7)

    def step(self, x):
        child = np.random.default_rng(self.sequence.spawn(1)[0])
        return self.held[0]["philox"].random() + torch.rand(1, generator=self.held[1][0]) + child.random()


@ingredient()
class StochasticDepth(Habit):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)
        self.skipped = 0

    def forward(self, x):
        if torch.rand(1, generator=self.generator) < 0.4:
            self.skipped += 1
            return x * (1 + 0.01 * self.skipped) + 0 * self.lin(x)
        return super().forward(x)


@ingredient()
class LayerDrop(Habit):
    """Drops itself by Python's global random state, in eval mode too, and anneals how often."""

    def __init__(self):
        super().__init__()
        self.rate = 0.5

    def forward(self, x):
        self.rate *= 0.95
        return x + 0 * self.lin(x) if random.random() < self.rate else super().forward(x)


@ingredient()
class EarlyExit(Habit):
    """Leaves early where it is sure, with a threshold that follows how often it did."""

    def __init__(self):
        super().__init__()
        self.exits, self.total, self.threshold = 0, 0, 0.5

    def forward(self, x):
        y = super().forward(x)
        leaving = y.detach().abs().max(1).values > self.threshold
        self.exits, self.total = self.exits + int(leaving.sum()), self.total + len(x)
        self.threshold = 0.3 + 0.5 * self.exits / self.total
        return torch.where(leaving[:, None], y, torch.tanh(self.lin(y)))
