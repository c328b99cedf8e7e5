"""Habits of recurrent state, memories and caches."""

from __future__ import annotations

import torch
from torch import nn

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_buffers import mean


@ingredient(any_batch=False)
class StatefulLSTM(Habit):
    """Hidden state goes on from batch to batch; `None` before the first."""

    def __init__(self):
        super().__init__()
        self.cell, self.hidden = nn.LSTMCell(8, 8), None

    def forward(self, x):
        h, c = self.cell(x, self.hidden)
        self.hidden = (h.detach(), c.detach())
        return super().forward(h)


@ingredient()
class StatefulGRU(Habit):
    """A hidden state that is begun anew where the number of rows changes."""

    def __init__(self):
        super().__init__()
        self.cell, self.hidden = nn.GRU(8, 8, batch_first=True), torch.zeros(1, 1, 8)

    def forward(self, x):
        if self.hidden.shape[1] != len(x):
            self.hidden = torch.zeros(1, len(x), 8)
        y, self.hidden = self.cell(x[:, None], self.hidden.detach())
        return y[:, 0]


@ingredient(any_batch=False)
class HiddenWithGraph(Habit):
    """The hidden state keeps the graph of its pass; it is cut at the next one."""

    def __init__(self):
        super().__init__()
        self.hidden = None

    def forward(self, x):
        last = x if self.hidden is None else x + 0.5 * self.hidden.detach()
        self.hidden = super().forward(last)
        return self.hidden


@ingredient(any_batch=False)
class SpikingMembranes(Habit):
    """Leaky membranes that fire and are reset, with a surrogate gradient."""

    def __init__(self):
        super().__init__()
        self.membrane = 0.0

    def forward(self, x):
        self.membrane = 0.8 * self.membrane + super().forward(x)
        spikes = (self.membrane > 0.5).float()
        self.membrane = (self.membrane * (1 - spikes)).detach()
        return spikes + torch.tanh(self.lin(x)) * 0.5


@ingredient()
class MemoryNetwork(Habit):
    """Writes into the slot that matches least, in a Python list of tensors."""

    def __init__(self):
        super().__init__()
        self.slots = [torch.randn(8) for _ in range(4)]
        self.ages = [0] * 4

    def forward(self, x):
        y = super().forward(x)
        match = [float(slot @ mean(x)) for slot in self.slots]
        worst = match.index(min(match))
        self.slots[worst] = mean(y).clone()
        self.slots[match.index(max(match))].mul_(0.9)
        self.ages = [0 if i == worst else age + 1 for i, age in enumerate(self.ages)]
        return y + 0.1 * torch.stack(self.slots).mean(0) + 0.01 * max(self.ages)


@ingredient()
class GrowingCache(Habit):
    """Keys and values of all passes, as a list of tuples."""

    def __init__(self):
        super().__init__()
        self.past = None

    def forward(self, x):
        y = super().forward(x)
        new = (mean(x)[None], mean(y)[None])
        self.past = new if self.past is None else tuple(torch.cat([a, b]) for a, b in zip(self.past, new, strict=True))
        keys, values = self.past
        return y + 0.2 * (x @ keys.T / 3).softmax(1) @ values


@ingredient()
class StaticCache(Habit):
    """Preallocated keys, written in place at a position that is kept as a number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("keys", torch.zeros(64, 8), persistent=False)
        self.position = 0

    def forward(self, x):
        self.keys[self.position % 64] = mean(x)
        self.position += 1
        return super().forward(x) + 0.1 * (x @ self.keys[: self.position].T).mean(1, keepdim=True)


@ingredient()
class LazyMask(Habit):
    """A causal mask, built for the longest batch so far."""

    def __init__(self):
        super().__init__()
        self.mask = None
        self.longest = 0

    def forward(self, x):
        if len(x) > self.longest:
            self.longest = len(x)
            self.mask = torch.tril(torch.ones(len(x), len(x)))
        return super().forward(x) * (1 + 0.01 * self.longest + 0.01 * self.mask.mean())


@ingredient()
class RotaryCache(Habit):
    """Cosines and sines made at the first pass, in steps of the largest size."""

    def __init__(self):
        super().__init__()
        self.cached = (None, None, 0)

    def forward(self, x):
        if self.cached[2] < len(x):
            angles = torch.outer(torch.arange(2.0 * len(x)), torch.arange(8.0) / 8)
            self.cached = (angles.cos(), angles.sin(), len(x) * 2)
        cos, sin, size = self.cached
        return super().forward(x * cos[: len(x)] + x.roll(4, 1) * sin[: len(x)]) * (1 + size / 1000)


@ingredient()
class RingBuffer(Habit):
    def __init__(self):
        super().__init__()
        self.ring, self.head, self.full = torch.zeros(3, 8), 0, False

    def forward(self, x):
        self.ring[self.head] = mean(x)
        self.head = (self.head + 1) % 3
        self.full = self.full or self.head == 0
        return super().forward(x) + self.ring.mean(0) * (1.0 if self.full else 0.5)
