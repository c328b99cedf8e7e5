"""Habits of buffers: changed, replaced, resized, registered again."""

from __future__ import annotations

import torch

from tests.helpers.habits import Habit, ingredient


def mean(x):
    """Features' means, without graph."""
    return x.detach().mean(0)


class Kept(Habit):
    """A buffer `kept` of `start()`, changed by `keep`, that scales the output."""

    persistent = True

    def __init__(self):
        super().__init__()
        self.register_buffer("kept", self.start(), persistent=self.persistent)

    def start(self):
        return torch.zeros(8)

    def keep(self, x):
        self.kept.lerp_(mean(x), 0.2)

    def forward(self, x):
        with torch.no_grad():
            self.keep(x)
        return super().forward(x) * (1 + self.factor())

    def factor(self):
        return 0.1 * torch.tanh(self.kept.float().sum())


@ingredient()
class InPlace(Kept):
    pass


@ingredient()
class NotPersistent(Kept):
    persistent = False


@ingredient()
class ReplacedBuffer(Kept):
    def keep(self, x):
        self.kept = 0.8 * self.kept + 0.2 * mean(x)


@ingredient()
class DataOfBufferReplaced(Kept):
    def keep(self, x):
        self.kept.data = 0.8 * self.kept.data + 0.2 * mean(x)


@ingredient()
class RegisteredAgain(Kept):
    """A new buffer of as many rows as the batch, under the old name."""

    def keep(self, x):
        self.register_buffer("kept", x.detach() * 0.1 + self.kept.mean(), persistent=len(x) % 2 == 0)


@ingredient()
class ResizedBuffer(Kept):
    def keep(self, x):
        total = self.kept.sum()
        self.kept.resize_(len(x), 8).copy_(x.detach()).add_(0.1 * torch.tanh(total / 100))


@ingredient()
class SetBuffer(Kept):
    def keep(self, x):
        self.kept.set_((x.detach() * 0.1 + self.kept.mean()).clone())


@ingredient()
class MoreBuffers(Kept):
    """One more buffer at each forward pass."""

    def keep(self, x):
        self.register_buffer(f"seen_{len(self._buffers)}", mean(x))

    def factor(self):
        return 0.1 * torch.tanh(sum(b.sum() for b in self.buffers()))


@ingredient()
class BufferComesAndGoes(Kept):
    def keep(self, x):
        if hasattr(self, "kept"):
            del self.kept
        else:
            self.register_buffer("kept", mean(x))

    def factor(self):
        return 0.1 * self.kept.sum() if hasattr(self, "kept") else 0.0


@ingredient()
class BufferFromNone(Kept):
    def start(self):
        return None

    def keep(self, x):
        self.kept = mean(x) if self.kept is None else self.kept * 0.9 + 0.1


@ingredient()
class EmptyBuffer(Kept):
    def start(self):
        return torch.empty(0, 8)

    def keep(self, x):
        self.kept = torch.cat([self.kept, x.detach()])[-20:]


@ingredient()
class ScalarBuffer(Kept):
    def start(self):
        return torch.zeros(())

    def keep(self, x):
        self.kept += x.detach().std()
