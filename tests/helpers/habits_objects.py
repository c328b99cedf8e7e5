"""Habits of Python objects: slots, dataclasses, closures, weak references, containers of the standard library."""

from __future__ import annotations

import collections
import ctypes
import dataclasses
import enum
import functools
import heapq
import io
import queue
import threading
import types
import weakref

import torch
from torch import nn

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_python import Counting


class _Slotted:
    __slots__ = ("count", "inner", "late")

    def __init__(self):
        self.count, self.inner = 0, [0.0]


@ingredient()
class SlottedObject(Counting):
    def start(self):
        self.state = _Slotted()

    def step(self, x):
        self.state.count += 1
        self.state.inner[0] += float(x.sum())
        self.state.late = len(x)
        return self.state.count + self.state.inner[0]


@dataclasses.dataclass
class _Meter:
    total: float = 0.0
    n: int = 0
    last: torch.Tensor | None = None

    def update(self, value):
        self.total, self.n, self.last = self.total + float(value.mean()), self.n + 1, value.mean(0)
        return self.total / self.n + self.n


@ingredient()
class MeterObject(Counting):
    def start(self):
        self.meter = _Meter()

    def step(self, x):
        return self.meter.update(x)


@dataclasses.dataclass(frozen=True)
class _Frozen:
    n: int = 0
    held: tuple = ()


@ingredient()
class FrozenRecords(Counting):
    def start(self):
        self.record = _Frozen()

    def step(self, x):
        self.record = dataclasses.replace(self.record, n=self.record.n + 1, held=(*self.record.held, len(x)))
        return self.record.n


_Pair = collections.namedtuple("_Pair", ["numbers", "tensor"])


@ingredient()
class NamedtupleOfMutables(Counting):
    def start(self):
        self.pair = _Pair([0], torch.zeros(8))

    def step(self, x):
        self.pair.numbers[0] += 1
        self.pair.tensor.add_(x.mean(0))
        return self.pair.numbers[0] + self.pair.tensor.sum()


@ingredient()
class NestedObjects(Counting):
    def start(self):
        self.a = types.SimpleNamespace(b=types.SimpleNamespace(c=types.SimpleNamespace(d=_Meter())))

    def step(self, x):
        return self.a.b.c.d.update(x)


class _Phase(enum.Enum):
    WARM = 1
    HOT = 2


@ingredient()
class PhaseMachine(Counting):
    def start(self):
        self.phase, self.left = _Phase.WARM, 3

    def step(self, x):
        self.left -= 1
        if self.left == 0:
            self.phase, self.left = (_Phase.HOT if self.phase is _Phase.WARM else _Phase.WARM), 3
        return self.phase.value


@ingredient()
class WeakReferences(Counting):
    """The last statistic, held weakly; its owner is replaced at each pass."""

    def start(self):
        self.owner = _Meter()
        self.weak, self.known = weakref.ref(self.owner), weakref.WeakValueDictionary(first=self.owner)

    def step(self, x):
        value = self.weak().update(x) if self.weak() is not None else 0
        last, self.owner = self.owner, _Meter(total=self.owner.total, n=self.owner.n)
        self.weak = weakref.ref(self.owner)
        self.known[f"n{last.n}"] = self.owner
        return value + len(self.known)


@ingredient()
class ClosureCounter(Counting):
    def start(self):
        calls, memory = 0, []

        def tick(x):
            nonlocal calls
            calls += 1
            memory.append(len(x))
            return calls + len(memory)

        self.tick = tick

    def step(self, x):
        return self.tick(x)


@ingredient()
class PartialState(Counting):
    def start(self):
        self.scale = functools.partial(self.scaled, {"n": 0}, by=[1.0])

    @staticmethod
    def scaled(counts, x, *, by):
        counts["n"] += 1
        by[0] *= 1.1
        return counts["n"] * by[0]

    def step(self, x):
        return self.scale(x)


@ingredient()
class StandardContainers(Counting):
    """UserDict, ChainMap, a heap, StringIO, a queue, ctypes."""

    def start(self):
        self.user, self.chain = collections.UserDict(n=0), collections.ChainMap({}, {"n": 0})
        self.heap, self.text, self.waiting = [], io.StringIO(), queue.Queue()
        self.number, self.shared = ctypes.c_long(0), (ctypes.c_int * 2)(0, 0)

    def step(self, x):
        self.user["n"] += 1
        self.chain["n"] = self.chain["n"] + 1
        heapq.heappush(self.heap, -float(x.sum()))
        self.text.write(f"{len(x)};")
        self.waiting.put(len(x))
        self.number.value += 1
        self.shared[1] += 1
        counts = self.user["n"] + self.chain["n"] + self.number.value + self.shared[1]
        return counts + self.heap[0] / 10 + len(self.text.getvalue()) + self.waiting.qsize()


@ingredient()
class ThreadLocal(Counting):
    def start(self):
        self.local = threading.local()
        self.local.calls = 0

    def step(self, x):
        self.local.calls += 1
        return self.local.calls


@ingredient()
class UnregisteredModules(Habit):
    """A layer with running statistics in a plain list, and one in a dict of tuples."""

    def __init__(self):
        super().__init__()
        self.hidden = [nn.BatchNorm1d(8)]
        self.more = {"last": (nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=None))}

    def forward(self, x):
        linear, norm = self.more["last"]
        return norm(linear(self.hidden[0](super().forward(x)))) * 0.5
