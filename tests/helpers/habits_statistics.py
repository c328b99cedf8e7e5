"""Habits of normalisation, quantisation and metrics."""

from __future__ import annotations

import torch
import torch.ao.quantization as ao
import torchmetrics
from torch import nn
from torch.nn import functional

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_buffers import Kept, mean


@ingredient()
class BatchNorm(Habit):
    def forward(self, x):
        return self.norm(super().forward(x))

    def __init__(self):
        super().__init__()
        self.norm = self.make()

    def make(self):
        return nn.BatchNorm1d(8)


@ingredient()
class BatchNormCumulative(BatchNorm):
    def make(self):
        return nn.BatchNorm1d(8, momentum=None)


class _AlwaysTraining(nn.BatchNorm1d):
    def forward(self, x):
        self.num_batches_tracked.add_(1)
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, 0.2)


@ingredient()
class BatchNormAlwaysTraining(BatchNorm):
    """Batch statistics in eval mode too, as in test-time adaptation."""

    def make(self):
        return _AlwaysTraining(8)


@ingredient()
class BatchNormHeldInTrain(BatchNorm):
    """`train(False)` does not reach the norm."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.train(True)
        return self


@ingredient()
class BatchNormByNew(BatchNorm):
    """As hand-written synchronised norms: running statistics are assigned, in turn with their own momentum."""

    def make(self):
        return nn.BatchNorm1d(8, track_running_stats=True)

    def forward(self, x):
        self.norm.momentum = 0.9 * self.norm.momentum
        self.norm.running_mean = self.norm.running_mean + self.norm.momentum * mean(x)
        return torch.tanh(self.lin(x)) - 0.1 * self.norm.running_mean


@ingredient()
class BatchRenorm(Kept):
    """Batch renormalisation with limits that widen with the number of passes."""

    def start(self):
        self.passes = 0
        return torch.ones(8)

    def keep(self, x):
        self.passes += 1
        limit = 1 + 0.2 * self.passes
        ratio = (x.detach().std(0) / self.kept).clamp(1 / limit, limit)
        self.kept += 0.2 * (ratio * self.kept - self.kept)


@ingredient()
class InstanceNormTracked(Habit):
    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm1d(2, track_running_stats=True, momentum=0.3)

    def forward(self, x):
        self.norm.train()
        return self.norm(super().forward(x).reshape(-1, 2, 4)).reshape(-1, 8) + 0.1 * self.norm.running_mean.sum()


@ingredient()
class FakeQuantized(Habit):
    """Quantisation-aware training with torch.ao: its observer runs in eval mode too."""

    def __init__(self):
        super().__init__()
        self.fake = ao.FakeQuantize(ao.MovingAverageMinMaxObserver, quant_min=0, quant_max=255)

    def forward(self, x):
        return self.fake(super().forward(x))


@ingredient()
class FusedFakeQuantized(Habit):
    def __init__(self):
        super().__init__()
        fake = ao.FusedMovingAvgObsFakeQuantize.with_args(quant_min=0, quant_max=255)
        weight = ao.FakeQuantize.with_args(
            observer=ao.MovingAverageMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8
        )
        config = ao.QConfig(activation=fake, weight=weight)
        self.lin = torch.ao.nn.qat.Linear(8, 8, qconfig=config)
        self.fake = config.activation()

    def forward(self, x):
        return self.fake(super().forward(x))


@ingredient()
class Observed(Habit):
    """Observers of ranges and histograms, whose buffers change their shape."""

    def __init__(self):
        super().__init__()
        self.ranges, self.histogram = ao.PerChannelMinMaxObserver(ch_axis=1), ao.HistogramObserver(bins=16)

    def forward(self, x):
        y = self.histogram(self.ranges(super().forward(x)))
        return y * (1 + 0.1 * self.ranges.max_val.mean() + 0.01 * self.histogram.histogram.max())


@ingredient()
class QuantileTracker(Kept):
    def keep(self, x):
        self.kept += 0.05 * (x.detach().quantile(0.9, dim=0) - self.kept).sign()


@ingredient()
class HistogramOfInputs(Kept):
    def keep(self, x):
        self.kept += torch.histc(x.detach(), bins=8, min=-2, max=2)

    def factor(self):
        return 0.1 * torch.tanh(self.kept[0] / self.kept.sum())


@ingredient()
class MetricInForward(Habit):
    """torchmetrics, updated in every pass; its caches and update counts with it."""

    def __init__(self):
        super().__init__()
        self.metric = torchmetrics.MeanMetric()
        self.rows = torchmetrics.CatMetric()

    def forward(self, x):
        y = super().forward(x)
        self.metric.update(y.detach().abs())
        self.rows(y.detach()[:, 0])
        return y * (1 + 0.1 * self.metric.compute() + 0.001 * self.rows._update_count)
