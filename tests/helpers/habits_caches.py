"""Habits of classes and globals, of caches, iterators and generators, of modes of the process."""

from __future__ import annotations

import contextvars
import functools
import itertools
import os
import queue
import tempfile

import numpy as np
import torch

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_python import Counting


class _OfClass(Counting):
    calls, cache, total = 0, {}, torch.zeros(1)

    def start(self):
        type(self).calls, _OfClass.total = 0, torch.zeros(1)
        _OfClass.cache.clear()

    def step(self, x):
        type(self).calls += 1
        _OfClass.cache[len(_OfClass.cache)] = float(x.sum())
        _OfClass.total += x.mean()
        return self.calls + len(self.cache) + self.total


@ingredient()
class ClassAttributes(_OfClass):
    """A count of its class, and a cache and a tensor of its parent class."""


_CALLS = 0
_CACHE: dict = {}


@ingredient()
class ModuleGlobals(Counting):
    """A global number and a global dict of the file that it stands in."""

    def start(self):
        global _CALLS
        _CALLS = 0
        _CACHE.clear()

    def step(self, x):
        global _CALLS
        _CALLS += 1
        _CACHE[len(_CACHE)] = len(x)
        return _CALLS + len(_CACHE)


@ingredient()
class CachedMethod(Counting):
    """lru_cache on a method: what it computed at the first call, it says ever after."""

    def start(self):
        CachedMethod.scale.cache_clear()

    @functools.lru_cache(maxsize=4)  # noqa: B019 - the habit
    def scale(self, size):
        return size * (1 + float(self.lin.weight.detach().sum()))

    def step(self, x):
        return self.scale(len(x) % 2) + self.scale(1) + self.scale.cache_info().hits / 10


@functools.cache
def _table(size):
    return torch.rand(8)


@ingredient()
class CachedFunction(Counting):
    """A cached function of the file, which draws from the global random state when it is first asked."""

    def start(self):
        _table.cache_clear()

    def step(self, x):
        return _table(8).sum() + _table.cache_info().currsize


@ingredient()
class CachedProperty(Counting):
    def start(self):
        pass

    @functools.cached_property
    def norm(self):
        return float(self.lin.weight.detach().norm())

    def step(self, x):
        return self.norm


@ingredient()
class DefaultArgument(Counting):
    """A mutable default, and an attribute of its own method."""

    def start(self):
        self.remember.__defaults__[0].clear()
        DefaultArgument.remember.calls = 0

    def remember(self, value, seen=[]):  # noqa: B006 - the habit
        seen.append(value)
        DefaultArgument.remember.calls += 1
        return len(seen) + DefaultArgument.remember.calls

    def step(self, x):
        return self.remember(len(x))


@ingredient()
class CountIterator(Counting):
    def start(self):
        self.ids = itertools.count(1)

    def step(self, x):
        return next(self.ids)


@ingredient()
class Iterators(Counting):
    """A cycle, iterators of a list, a range and a dict, and two chained."""

    def start(self):
        self.order, self.left = itertools.cycle([1, 2, 3]), iter([float(i) for i in range(500)])
        self.span, self.keys = iter(range(500)), iter(dict.fromkeys(range(500)))
        self.pairs = enumerate(itertools.chain([5], iter(range(500))))

    def step(self, x):
        return next(self.order) + next(self.left) + next(self.span) + next(self.keys) + next(self.pairs)[1]


@ingredient(may_refuse="stream")
class RunningGenerator(Counting):
    """A Python generator in the middle of its work."""

    @staticmethod
    def numbers():
        total = 0
        while True:
            total += 1
            yield total

    def start(self):
        self.stream = self.numbers()

    def step(self, x):
        return next(self.stream)


@ingredient(may_refuse="log_file")
class OpenFile(Counting):
    """Writes a line with each pass into a file of its own, and reads how far it is."""

    def start(self):
        self.log_file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - the habit

    def __del__(self):
        self.log_file.close()

    def step(self, x):
        self.log_file.write("pass\n")
        return self.log_file.tell() / 5


@ingredient(may_refuse="waiting")
class SimpleQueue(Counting):
    def start(self):
        self.waiting = queue.SimpleQueue()

    def step(self, x):
        self.waiting.put(len(x))
        return self.waiting.qsize()


@ingredient(may_refuse="filtered")
class MappedIterator(Counting):
    """A lazy chain of map, filter and zip over a counting iterator, and a pair of `tee`."""

    def start(self):
        self.filtered = filter(lambda n: n % 3, map(lambda pair: pair[0] + pair[1], zip(itertools.count(), range(999))))
        self.one, self.two = itertools.tee(iter(range(999)))

    def step(self, x):
        return next(self.filtered) + next(self.one)


_VARIABLE: contextvars.ContextVar = contextvars.ContextVar("calls", default=0)


@ingredient()
class ContextVariable(Counting):
    def start(self):
        _VARIABLE.set(0)

    def step(self, x):
        _VARIABLE.set(_VARIABLE.get() + 1)
        return _VARIABLE.get()


@ingredient()
class EnvironmentCount(Counting):
    def start(self):
        os.environ["INGREDIENT_CALLS"] = "0"

    def step(self, x):
        os.environ["INGREDIENT_CALLS"] = str(int(os.environ["INGREDIENT_CALLS"]) + 1)
        return int(os.environ["INGREDIENT_CALLS"])


@ingredient()
class ModesOfTorch(Habit):
    """Toggles in every pass what is global in torch: deterministic algorithms, matmul precision, print options."""

    def __init__(self):
        super().__init__()
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(False)

    def forward(self, x):
        on = not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(on)
        torch.set_float32_matmul_precision("high" if on else "highest")
        return super().forward(x) * (1.1 if on else 1.0)


@ingredient()
class DefaultDtype(Habit):
    """Computes a table in double precision, and leaves the default where an exception would find it."""

    def __init__(self):
        super().__init__()
        self.tables = []

    def forward(self, x):
        torch.set_default_dtype(torch.float64)
        self.tables.append(torch.linspace(0, 1, 8))
        y = super().forward(x)
        torch.set_default_dtype(torch.float32)
        return y * (1 + 0.01 * len(self.tables)) + sum(t.sum().float() for t in self.tables) / 100


@ingredient()
class GradModeLeft(Habit):
    """Turns gradients off and on by hand, and on for a saliency that it keeps."""

    def __init__(self):
        super().__init__()
        self.saliency = torch.zeros(8)

    def forward(self, x):
        on = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        leaf = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.lin(leaf).pow(2).sum(), leaf)
        self.saliency = 0.9 * self.saliency + 0.1 * gradient.mean(0)
        torch.set_grad_enabled(on)
        return super().forward(x) + 0.1 * self.saliency


@ingredient()
class NumpyErrors(Counting):
    def start(self):
        np.seterr(divide="ignore")

    def step(self, x):
        ignored = np.geterr()["divide"] == "ignore"
        np.seterr(divide="warn" if ignored else "ignore")
        return float(ignored)
