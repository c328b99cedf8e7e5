"""Habits of plain Python state: numbers, lists, dicts, arrays."""

from __future__ import annotations

import array
import collections

import numpy as np
import torch

from tests.helpers.habits import Habit, ingredient


class Counting(Habit):
    """`start()` makes what is kept, `step(x)` changes it and gives a number that scales the output."""

    def __init__(self):
        super().__init__()
        self.start()

    def forward(self, x):
        return super().forward(x) * (1 + 0.02 * float(self.step(x.detach())))


@ingredient()
class StepCounter(Counting):
    def start(self):
        self.steps = 0

    def step(self, x):
        self.steps += 1
        return self.steps


@ingredient()
class Annealed(Counting):
    """Temperature falls at every pass, down to a limit."""

    def start(self):
        self.temperature = 1.0

    def step(self, x):
        self.temperature = max(0.1, self.temperature * 0.9)
        return self.temperature


@ingredient()
class NoneThenTuple(Counting):
    def start(self):
        self.seen = None

    def step(self, x):
        self.seen = (1, len(x), float(x.sum())) if self.seen is None else (self.seen[0] + 1, len(x), float(x.sum()))
        return self.seen[0]


@ingredient()
class AttributesComeLate(Counting):
    def start(self):
        pass

    def step(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        setattr(self, f"call_{self.calls}", float(x.mean()))
        return self.calls


@ingredient()
class AuxiliaryLosses(Habit):
    """Losses with their graphs wait in a list for the training step, as routers' do."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def forward(self, x):
        y = super().forward(x)
        self.losses.append(y.pow(2).mean() if y.requires_grad else y.pow(2).mean().detach())
        return y

    def extra_loss(self):
        total = 0.1 * sum(self.losses)
        self.losses.clear()
        return total


@ingredient()
class LastAuxiliaryLoss(Habit):
    """The loss of the last pass, replaced by the next."""

    def __init__(self):
        super().__init__()
        self.loss, self.average = None, 0.0

    def forward(self, x):
        y = super().forward(x)
        self.loss = y.pow(2).mean()
        self.average = 0.9 * self.average + 0.1 * float(self.loss.detach())
        return y

    def extra_loss(self):
        return self.loss * (1 + self.average)


@ingredient()
class HistoryList(Counting):
    def start(self):
        self.history = []

    def step(self, x):
        self.history.append(float(x.std()))
        return sum(self.history) / len(self.history) + len(self.history)


@ingredient()
class NestedLists(Counting):
    def start(self):
        self.tree = [[0, [0, {"leaf": [0.0]}]]]

    def step(self, x):
        self.tree[0][1][1]["leaf"].append(float(x.sum()))
        return len(self.tree[0][1][1]["leaf"])


@ingredient()
class RecentDeque(Counting):
    def start(self):
        self.recent = collections.deque(maxlen=3)

    def step(self, x):
        self.recent.append(float(x.mean()))
        return sum(self.recent)


@ingredient()
class SeenSet(Counting):
    def start(self):
        self.seen = set()

    def step(self, x):
        self.seen |= {round(float(v), 1) for v in x[:, 0]}
        return len(self.seen)


@ingredient()
class CountsOfCounter(Counting):
    def start(self):
        self.counts, self.bins = collections.Counter(), collections.defaultdict(list)

    def step(self, x):
        self.counts.update((x.argmax(1)).tolist())
        self.bins[len(self.counts)].append(len(x))
        return self.counts.most_common(1)[0][1]


@ingredient()
class OrderedCache(Counting):
    """A cache of the last three, whose order is its meaning."""

    def start(self):
        self.cache = collections.OrderedDict()

    def step(self, x):
        key = int(x[0].argmax())
        self.cache[key] = self.cache.pop(key, 0) + 1
        if len(self.cache) > 3:
            self.cache.popitem(last=False)
        return next(iter(self.cache.values()))


@ingredient()
class TensorsInDict(Counting):
    """Tensors in a plain dict, some replaced, some changed in place."""

    def start(self):
        self.stats = {"sum": torch.zeros(8), "last": None, "parts": (torch.zeros(8), [torch.ones(1)])}

    def step(self, x):
        self.stats["sum"] += x.mean(0)
        self.stats["last"] = x[0].clone()
        self.stats["parts"][0].sub_(x.mean(0))
        self.stats["parts"][1][0].mul_(1.1)
        return self.stats["sum"].sum() + self.stats["parts"][1][0]


@ingredient()
class Arrays(Counting):
    """array.array, bytearray with a view of it, numpy: of numbers, of records, of objects."""

    def start(self):
        self.numbers, self.bytes = array.array("d", [0.0]), bytearray(4)
        self.view = memoryview(self.bytes)
        self.table, self.objects = np.zeros((2, 8)), np.array([None, [0]], dtype=object)
        self.row = self.table[0]
        self.records = np.zeros(2, dtype=[("n", "i4"), ("mean", "f8")])

    def step(self, x):
        self.numbers.append(float(x.sum()))
        self.view[1] = (self.view[1] + len(x)) % 256
        self.row += x.mean(0).numpy()
        self.objects[1].append(len(x))
        self.records["n"] += 1
        return self.table.sum() + self.bytes[1] / 10 + len(self.objects[1]) + self.records["n"][1]


@ingredient()
class ArrayReplaced(Counting):
    def start(self):
        self.total = np.zeros(8)

    def step(self, x):
        self.total = self.total * 0.9 + x.mean(0).numpy()
        return self.total.sum()
