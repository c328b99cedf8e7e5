"""Habits that change parameters in `forward`, `train` or `eval`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.helpers.habits import Habit, ingredient


@ingredient()
class LoraMergedInTrain(Habit):
    """As loralib.Linear: `eval()` adds B A to the weight, `train()` subtracts it, which rounds."""

    def __init__(self):
        super().__init__()
        self.lin.weight.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, 8) / 3), nn.Parameter(torch.randn(8, 2) / 3)
        self.merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.lin.weight.data += (-1 if mode else 1) * (self.b @ self.a).data
            self.merged = not mode
        return self

    def forward(self, x):
        return torch.tanh(self.lin(x) if self.merged else self.lin(x) + x @ self.a.T @ self.b.T)


@ingredient()
class LoraMergedIntoNewData(LoraMergedInTrain):
    """The same with `.data` replaced, so that the storage changes too."""

    def train(self, mode=True):
        nn.Module.train(self, mode)
        if mode == self.merged:
            self.lin.weight.data = self.lin.weight.data + (-1 if mode else 1) * (self.b @ self.a).data
            self.merged = not mode
        return self


@ingredient()
class FusedInEval(Habit):
    """As RepVGG: `eval()` fuses two branches into one and deletes them, `train()` splits it again."""

    def __init__(self):
        super().__init__()
        self.other = nn.Linear(8, 8)

    def train(self, mode=True):
        super().train(mode)
        if not mode and hasattr(self, "other"):
            self.fused = nn.Linear(8, 8)
            self.fused.weight.data = self.lin.weight.data + self.other.weight.data
            self.kept, self.lin, self.other = (self.lin, self.other), None, None
            del self.other
        elif mode and hasattr(self, "fused"):
            self.lin, self.other = self.kept
            del self.fused, self.kept
        return self

    def forward(self, x):
        return torch.tanh(self.fused(x) if hasattr(self, "fused") else self.lin(x) + self.other(x))


@ingredient()
class AveragedWeightsInEval(Habit):
    """`eval()` swaps averaged weights in, `train()` swaps the raw ones back and moves the average."""

    def __init__(self):
        super().__init__()
        self.register_buffer("average", self.lin.weight.detach().clone())
        self.raw = None

    def train(self, mode=True):
        super().train(mode)
        if not mode and self.raw is None:
            self.raw, self.lin.weight.data = self.lin.weight.data, self.average.clone()
        elif mode and self.raw is not None:
            self.lin.weight.data, self.raw = self.raw, None
            self.average.lerp_(self.lin.weight.data, 0.3)
        return self


@ingredient()
class FrozenByMode(Habit):
    """`train()` sets which parameters learn and counts how often."""

    def __init__(self):
        super().__init__()
        self.switches = 0

    def train(self, mode=True):
        super().train(mode)
        self.switches += 1
        self.lin.bias.requires_grad_(mode and self.switches % 3 != 0)
        return self


@ingredient()
class AlwaysEvalBackbone(Habit):
    """`train()` leaves a part in eval mode: only the head's mode follows."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.3)).eval()

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x):
        return super().forward(self.backbone(x))


@ingredient()
class RequiresGradTurns(Habit):
    """Each forward pass trains another half, as in alternating schemes."""

    def __init__(self):
        super().__init__()
        self.turn = False

    def forward(self, x):
        self.turn = not self.turn
        self.lin.bias.requires_grad_(self.turn)
        return super().forward(x)


@ingredient()
class GradientsCleared(Habit):
    """Clears its own gradients in `forward`, and keeps their norm."""

    def __init__(self):
        super().__init__()
        self.norms = []

    def forward(self, x):
        if self.lin.weight.grad is not None:
            self.norms.append(self.lin.weight.grad.norm().item())
            self.lin.weight.grad = None
            self.lin.bias.grad.zero_()
        return super().forward(x) * (1 + 0.01 * sum(self.norms))


@ingredient()
class ClampedWeights(Habit):
    def forward(self, x):
        with torch.no_grad():
            self.lin.weight.clamp_(-0.2, 0.2)
        return super().forward(x)


@ingredient()
class ShrunkWeights(Habit):
    """Decays its weights at every forward pass."""

    def forward(self, x):
        self.lin.weight.data.mul_(0.97)
        return super().forward(x)


@ingredient()
class RenormedRows(Habit):
    def forward(self, x):
        self.lin.weight.data = functional.normalize(self.lin.weight.data, dim=1)
        return super().forward(x)


@ingredient()
class StandardisedWeights(Habit):
    def forward(self, x):
        with torch.no_grad():
            self.lin.weight -= self.lin.weight.mean(1, keepdim=True)
            self.lin.weight /= self.lin.weight.std(1, keepdim=True) * 3
        return super().forward(x)


@ingredient()
class BinarisedWeights(Habit):
    """As BinaryConnect: signs go into `.data`, the real values wait aside for the next pass."""

    def __init__(self):
        super().__init__()
        self.real = self.lin.weight.data.clone()
        self.seen = 0

    def forward(self, x):
        self.real = self.real + 0.1 * (self.lin.weight.data - self.real.sign() * 0.3) if self.seen else self.real
        self.lin.weight.data = self.real.sign() * 0.3
        self.seen += 1
        return super().forward(x)


@ingredient()
class ReplacedParameter(Habit):
    """A new `nn.Parameter` at every third forward pass; the optimizer keeps the first."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        if self.passes % 3 == 0:
            self.lin.weight = nn.Parameter(self.lin.weight.detach() * 0.9)
        return super().forward(x)


@ingredient()
class DowncastWeights(Habit):
    """Rounds its weights through bfloat16, in new memory with another layout."""

    def forward(self, x):
        self.lin.weight.data = self.lin.weight.data.t().bfloat16().float().contiguous().t()
        return super().forward(x)


@ingredient()
class TiedWeights(Habit):
    """Two layers of one weight, tied anew at every forward pass to the one of larger bias."""

    def __init__(self):
        super().__init__()
        self.twin, self.spare = nn.Linear(8, 8), nn.Linear(8, 8)
        self.twin.weight = self.lin.weight

    def forward(self, x):
        self.twin.weight, self.spare.weight = self.spare.weight, self.lin.weight
        return torch.tanh(self.twin(x)) + super().forward(x)


@ingredient()
class HebbianWeights(Habit):
    def forward(self, x):
        with torch.no_grad():
            self.lin.weight.add_(super().forward(x).T @ x, alpha=0.01 / len(x))
        return super().forward(x)


@ingredient()
class TrainedAtTestTime(Habit):
    """A small net with an optimizer of its own takes a step in every forward pass, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.fast = nn.Linear(8, 8)
        self.fast.requires_grad_(False)
        self.inner = [nn.Parameter(self.fast.weight.detach().clone())]
        self.optimizer = torch.optim.Adam(self.inner, lr=0.05)

    def forward(self, x):
        with torch.enable_grad():
            loss = functional.mse_loss(x.detach() @ self.inner[0].T, x.detach())
            self.optimizer.zero_grad()
            loss.backward()
        self.optimizer.step()
        return super().forward(x @ self.inner[0].detach().T)
