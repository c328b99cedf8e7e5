"""Habits of buffers of other types and layouts, that share memory, and of queues and codebooks."""

from __future__ import annotations

import torch
from torch.nn import functional

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_buffers import Kept, mean


@ingredient()
class HalfBuffer(Kept):
    def start(self):
        return torch.zeros(8, dtype=torch.float16)

    def keep(self, x):
        self.kept.add_(mean(x).half())


@ingredient()
class BfloatBuffer(Kept):
    def start(self):
        return torch.zeros(8, dtype=torch.bfloat16)

    def keep(self, x):
        self.kept.mul_(0.9).add_(mean(x).bfloat16())


@ingredient()
class DtypeOfBufferChanges(Kept):
    def keep(self, x):
        other = torch.float64 if self.kept.dtype == torch.float32 else torch.float32
        self.kept = (self.kept + mean(x)).to(other)

    def factor(self):
        return (0.1 * torch.tanh(self.kept.sum())).float()


@ingredient()
class ComplexBuffer(Kept):
    def start(self):
        return torch.zeros(5, dtype=torch.complex64)

    def keep(self, x):
        self.kept.mul_(0.8).add_(torch.fft.rfft(mean(x)))

    def factor(self):
        return 0.1 * torch.tanh(self.kept.abs().sum())


@ingredient()
class SparseBuffer(Kept):
    def start(self):
        return torch.eye(8).to_sparse()

    def keep(self, x):
        self.kept = (self.kept + torch.diag(mean(x)).to_sparse()).coalesce()

    def factor(self):
        return 0.1 * torch.tanh(torch.sparse.sum(self.kept))


@ingredient()
class SparseInPlace(SparseBuffer):
    def keep(self, x):
        self.kept.mul_(1.1)


@ingredient()
class BoolBuffer(Kept):
    def start(self):
        return torch.zeros(8, dtype=torch.bool)

    def keep(self, x):
        self.kept ^= mean(x) > 0


@ingredient()
class ExpandedBuffer(Kept):
    """Stride 0: eight elements that are one."""

    def start(self):
        self.one = torch.zeros(1)
        return self.one.expand(8)

    def keep(self, x):
        self.one += mean(x).mean()


@ingredient()
class OverlappingViews(Kept):
    """Two windows on one memory, that overlap, and their whole nowhere."""

    def start(self):
        whole = torch.zeros(12)
        self.register_buffer("late", whole[4:])
        return whole[:8]

    def keep(self, x):
        self.kept.add_(mean(x))
        self.late.mul_(0.9)


@ingredient()
class UnfoldedBuffer(Kept):
    def start(self):
        self.whole = torch.zeros(10)
        return self.whole.unfold(0, 3, 1)

    def keep(self, x):
        self.whole[:8] += mean(x)


@ingredient()
class ViewOfBuffer(Kept):
    def start(self):
        self.register_buffer("table", torch.zeros(3, 8))
        return self.table[1]

    def keep(self, x):
        self.table += mean(x)
        self.kept *= 0.5


@ingredient()
class ViewOfParameter(Kept):
    def start(self):
        return self.lin.weight.data[0]

    def keep(self, x):
        self.kept.mul_(0.95)


@ingredient()
class NumpyViewOfBuffer(Kept):
    def start(self):
        buffer = torch.zeros(8)
        self.array = buffer.numpy()
        return buffer

    def keep(self, x):
        self.array += mean(x).numpy()


@ingredient()
class InferenceTensor(Kept):
    """A tensor made in inference mode, made anew in each pass."""

    def start(self):
        with torch.inference_mode():
            return torch.zeros(8)

    def keep(self, x):
        with torch.inference_mode():
            self.kept = self.kept * 0.8 + mean(x)

    def factor(self):
        return float(0.1 * torch.tanh(self.kept.sum()))


@ingredient()
class InferenceTensorInPlace(InferenceTensor):
    def keep(self, x):
        with torch.inference_mode():
            self.kept.mul_(0.8).add_(mean(x))


@ingredient()
class BufferWithGraph(Kept):
    """Its last output, kept with requires_grad for a gradient of its own."""

    def keep(self, x):
        with torch.enable_grad():
            leaf = mean(x).clone().requires_grad_(True)
            (leaf.pow(2).sum() + self.kept.detach().sum()).backward()
        self.kept = leaf

    def factor(self):
        return 0.1 * torch.tanh(self.kept.detach().sum() + (0 if self.kept.grad is None else self.kept.grad.sum()))


@ingredient()
class SharedMemory(Kept):
    def start(self):
        return torch.zeros(8).share_memory_()


@ingredient()
class MocoQueue(Habit):
    def __init__(self):
        super().__init__()
        self.register_buffer("queue", functional.normalize(torch.randn(8, 16), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    def forward(self, x):
        y = super().forward(x)
        place = (torch.arange(len(x)) + int(self.queue_ptr)) % 16
        self.queue[:, place] = functional.normalize(x.detach(), dim=1).T
        self.queue_ptr[0] = (self.queue_ptr[0] + len(x)) % 16
        return y + 0.1 * (x @ self.queue.clone()) @ self.queue.clone().T


@ingredient()
class CodebookEMA(Habit):
    """Vector quantisation: codes follow the data, dead ones start again at a random row."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.randn(6, 8))
        self.register_buffer("sizes", torch.ones(6))

    def forward(self, x):
        y = super().forward(x)
        nearest = torch.cdist(y.detach(), self.codes).argmin(1)
        one_hot = functional.one_hot(nearest, 6).float()
        self.sizes.mul_(0.7).add_(one_hot.sum(0), alpha=0.3)
        fresh = one_hot.T @ y.detach() / one_hot.sum(0).clamp_min(1)[:, None]
        self.codes.copy_(torch.where(one_hot.sum(0)[:, None] > 0, 0.7 * self.codes + 0.3 * fresh, self.codes))
        for dead in (self.sizes < 0.4).nonzero().flatten():
            self.codes[dead] = y.detach()[torch.randint(len(y), (1,)).item()]
            self.sizes[dead] = 1.0
        return y + (self.codes[nearest] - y).detach()


@ingredient()
class ReservoirBuffer(Kept):
    def start(self):
        self.register_buffer("n", torch.zeros((), dtype=torch.long))
        return torch.zeros(5, 8)

    def keep(self, x):
        for row in x.detach():
            place = int(self.n) if self.n < 5 else int(torch.randint(int(self.n) + 1, (1,)))
            if place < 5:
                self.kept[place] = row
            self.n += 1
