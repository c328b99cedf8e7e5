"""Habits of teachers, norms of embeddings and weights, parametrizations and pruning."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tests.helpers.habits import Habit, ingredient


@ingredient()
class TeacherInForward(Habit):
    """An exponential moving average of itself, moved in `forward`."""

    def __init__(self):
        super().__init__()
        self.teacher = nn.Linear(8, 8).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            for slow, fast in zip(self.teacher.parameters(), self.lin.parameters(), strict=True):
                slow.mul_(0.9).add_(fast, alpha=0.1)
        return super().forward(x) + 0.3 * self.teacher(x)


@ingredient()
class TeacherInList(TeacherInForward):
    """The same, hidden from `parameters()` in a list."""

    def __init__(self):
        super().__init__()
        hidden = [self.teacher]
        del self.teacher
        self.hidden = hidden

    def __getattr__(self, name):
        hidden = self.__dict__.get("hidden")
        return hidden[0] if hidden and name == "teacher" else super().__getattr__(name)


@ingredient()
class EmbeddingMaxNorm(Habit):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(16, 8, max_norm=0.8)

    def forward(self, x):
        return super().forward(x + self.table((x.detach().abs().sum(1) * 7).long() % 16))


@ingredient()
class BagMaxNorm(Habit):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(16, 8, max_norm=0.5, mode="sum")

    def forward(self, x):
        return super().forward(x + self.table((x.detach().abs() * 7).long() % 16))


@ingredient()
class DataDependentInit(Habit):
    """As ActNorm: the first batch sets scale and shift."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, x):
        if not self.ready:
            self.scale.data = 1 / (x.detach().std(0) + 0.1)
            self.shift.data.copy_(x.detach().mean(0))
            self.ready.fill_(True)
        return super().forward((x - self.shift) * self.scale)


@ingredient()
class SpectralNormOld(Habit):
    def __init__(self):
        super().__init__()
        self.lin.train()
        self.lin = nn.utils.spectral_norm(self.lin)


@ingredient()
class SpectralNormTrained(Habit):
    """Power iterations in eval mode too: the layer is put into train mode for its pass."""

    def __init__(self):
        super().__init__()
        self.lin = parametrizations.spectral_norm(self.lin)

    def forward(self, x):
        self.lin.train()
        for part in self.lin.parametrizations.weight:
            part.train()
        return super().forward(x)


@ingredient()
class WeightNormNew(Habit):
    def __init__(self):
        super().__init__()
        self.lin = parametrizations.weight_norm(self.lin)

    def forward(self, x):
        self.lin.parametrizations.weight.original0.data.clamp_(max=0.6)
        return super().forward(x)


class _Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.uses = 0

    def forward(self, weight):
        self.uses += 1
        return weight * (1 + 0.02 * self.uses)


@ingredient()
class CachedParametrization(Habit):
    """A parametrization that counts, read through torch's cache."""

    def __init__(self):
        super().__init__()
        parametrize.register_parametrization(self.lin, "weight", _Counted(), unsafe=True)

    def forward(self, x):
        with parametrize.cached():
            return super().forward(x) + self.lin(x) * 0.1


@ingredient()
class ParametrizedLater(Habit):
    """A parametrization that comes with the first forward pass, which gives the layer another class."""

    def forward(self, x):
        if not parametrize.is_parametrized(self.lin):
            parametrize.register_parametrization(self.lin, "weight", _Counted(), unsafe=True)
        return super().forward(x)


@ingredient()
class PrunedMore(Habit):
    """Prunes a little more at every forward pass, with torch's own pruning."""

    def __init__(self):
        super().__init__()
        prune.identity(self.lin, "weight")

    def forward(self, x):
        prune.l1_unstructured(self.lin, "weight", amount=2)
        return super().forward(x)
