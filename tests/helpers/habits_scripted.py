"""A habit of TorchScript, which reads annotations as they are: no `from __future__ import annotations` here."""

import torch
from torch import nn

from tests.helpers.habits import Habit, ingredient


class _State(nn.Module):
    calls: int

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer("total", torch.zeros(8))

    def forward(self, x):
        self.calls += 1
        self.total = 0.9 * self.total + 0.1 * x.mean(0)
        return self.total + self.calls


@ingredient()
class Scripted(Habit):
    """A module of TorchScript with a count and a buffer of its own, which live in C++. It has no gradients: those of
    TorchScript round by how often a graph ran in the process."""

    def __init__(self):
        super().__init__()
        self.inner = torch.jit.script(_State())

    def forward(self, x):
        return super().forward(x) * (1 + 0.02 * self.inner(x.detach()))
