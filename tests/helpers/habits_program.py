"""Habits of a program: state that a model reaches by the names in its code, not by its attributes."""

from __future__ import annotations

import collections
import functools
import io
import itertools
import mmap
import multiprocessing
import sqlite3
import sys
import tempfile
import types
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from tests.helpers.habits import Habit, ingredient
from tests.helpers.habits_python import Counting

calls = 0
noise = np.random.default_rng(3)
settings = types.ModuleType("settings_of_a_program")
sys.modules[settings.__name__] = settings


def count_call():
    global calls
    calls += 1
    return calls


def draw():
    return float(noise.normal())


@ingredient()
class GlobalOfAHelper(Counting):
    def start(self):
        globals()["calls"] = 0

    def step(self, x):
        return count_call()


@ingredient()
class GlobalMadeLate(Counting):
    def start(self):
        globals().pop("made_late", None)

    def step(self, x):
        global made_late
        made_late = globals().get("made_late", 0) + 1
        return made_late


@ingredient()
class GeneratorOfAHelper(Counting):
    def start(self):
        globals()["noise"] = np.random.default_rng(3)

    def step(self, x):
        return draw()


class Tally:
    n = 0


@ingredient()
class ClassByName(Counting):
    def start(self):
        Tally.n = 0

    def step(self, x):
        Tally.n += 1
        return Tally.n


class Scaled(torch.autograd.Function):
    n = 0

    @staticmethod
    def forward(ctx, x):
        Scaled.n += 1
        return x * (1 + 0.01 * Scaled.n)

    @staticmethod
    def backward(ctx, grad):
        return grad


@ingredient()
class AutogradFunction(Habit):
    def __init__(self):
        super().__init__()
        Scaled.n = 0

    def forward(self, x):
        return Scaled.apply(super().forward(x))


@ingredient()
class ClassAsAttribute(Counting):
    def start(self):
        self.settings = type("Settings", (), {"n": 0})

    def step(self, x):
        self.settings.n += 1
        return self.settings.n


class Meta(type(nn.Module)):
    n = 0


@ingredient()
class Metaclass(Counting, metaclass=Meta):
    def start(self):
        Meta.n = 0

    def step(self, x):
        Meta.n += 1
        return Meta.n


@ingredient()
class VariableOfAnotherModule(Counting):
    def start(self):
        settings.seen = {"n": 0}

    def step(self, x):
        settings.seen["n"] += 1
        return settings.seen["n"]


@ingredient()
class ImportedInForward(Counting):
    def start(self):
        settings.number = 0

    def step(self, x):
        import settings_of_a_program

        settings_of_a_program.number += 1
        return settings_of_a_program.number


class Anneal:
    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return self.n


anneal = Anneal()
again = functools.partial(Anneal.__call__, anneal)


@ingredient()
class GlobalCallable(Counting):
    def start(self):
        anneal.n = 0

    def step(self, x):
        return anneal()


@ingredient()
class GlobalPartial(Counting):
    def start(self):
        anneal.n = 0

    def step(self, x):
        return again()


def tick():
    tick.n += 1
    return tick.n


@ingredient()
class AttributeOfAFunction(Counting):
    def start(self):
        tick.n = 0

    def step(self, x):
        return tick()


def counted(function):
    n = [0]

    def inner(x):
        n[0] += 1
        return function(x) * (1 + 0.01 * n[0])

    inner.count = n
    return inner


tanh = counted(torch.tanh)


@ingredient()
class CountingDecorator(Habit):
    def __init__(self):
        super().__init__()
        tanh.count[0] = 0

    def forward(self, x):
        return tanh(self.lin(x))


@ingredient()
class TableInACache(Habit):
    """Drawn once, at the first call, and kept: by an unbounded cache, a bounded one, and one of a method."""

    def __init__(self):
        super().__init__()
        make = functools.lru_cache(None)(lambda d: torch.randn(d))
        few = functools.lru_cache(2)(lambda d, *, scale: torch.randn(d) * scale)
        self.make, self.few = make, few
        make(8), few(8, scale=0.5)

    def forward(self, x):
        return super().forward(x) + 0.1 * self.make(8) + 0.1 * self.few(8, scale=0.5)


@ingredient()
class NetworkInACache(Habit):
    """A cached layer with a state of its own."""

    def __init__(self):
        super().__init__()
        self.make = functools.cache(lambda: nn.BatchNorm1d(8))
        self.make()

    def forward(self, x):
        norm = self.make()
        norm.running_mean += 0.01
        return super().forward(x) + norm.running_mean


class History(list):
    pass


class Cache(dict):
    pass


class Replay(collections.deque):
    pass


class Table(np.ndarray):
    pass


@ingredient()
class AttributesOfContainers(Counting):
    def start(self):
        self.held = [History(), Cache(), Replay(), np.zeros(2).view(Table)]
        for container in self.held:
            container.hits = 0

    def step(self, x):
        for container in self.held:
            container.hits += 1
        return sum(container.hits for container in self.held)


@ingredient()
class KeptOutput(Counting):
    def start(self):
        self.output = BaseModelOutput(last_hidden_state=torch.zeros(1))

    def step(self, x):
        self.output.last_hidden_state = self.output.last_hidden_state + x.mean().abs()
        return self.output[0]


@ingredient()
class LeastRecentlyUsed(Counting):
    def start(self):
        self.order = collections.OrderedDict.fromkeys(range(5), 1)

    def step(self, x):
        self.order.move_to_end(next(iter(self.order)))
        return next(iter(self.order))


@ingredient()
class BoundMethods(Counting):
    """Of a list, and of an iterator."""

    def start(self):
        self.seen = []
        self.note, self.number = self.seen.append, itertools.count().__next__

    def step(self, x):
        self.note(float(x.mean()))
        return self.number() + len(self.seen)


@ingredient()
class OtherIterators(Counting):
    def start(self):
        numbers = range(1, 999)
        self.several = [
            itertools.product([1, 2], repeat=9),
            itertools.combinations(range(20), 2),
            itertools.zip_longest(numbers),
            itertools.takewhile(bool, numbers),
            itertools.dropwhile(bool, range(999)),
            itertools.compress(numbers, itertools.repeat(1)),
            iter(itertools.count().__next__, -1),
        ]

    def step(self, x):
        drawn = [next(one) for one in self.several]
        return sum(sum(filter(None, one)) if isinstance(one, tuple) else one for one in drawn) / 10


@ingredient(may_refuse="pairs")
class Pairwise(Counting):
    """An iterator that has no copy."""

    def start(self):
        self.pairs = itertools.pairwise(range(999))

    def step(self, x):
        return next(self.pairs)[1]


@ingredient()
class MemoryOfC(Counting):
    def start(self):
        self.map, self.view = mmap.mmap(-1, 16), memoryview(bytearray(4))
        self.value, self.array = multiprocessing.Value("i", 0), multiprocessing.Array("d", 3)

    def step(self, x):
        self.map[0] += 1
        self.view[1] += 1
        self.value.value += 1
        self.array[1] += 1.0
        return self.map[0] + self.view[1] + self.value.value + self.array[1]


@ingredient()
class SpawningGenerator(Counting):
    def start(self):
        self.generator = np.random.default_rng(5)

    def step(self, x):
        return float(self.generator.spawn(1)[0].normal())


@ingredient()
class ThroughAReference(Counting):
    """Weak references, and a view of a dictionary."""

    def start(self):
        object.__setattr__(self, "kept_elsewhere", None)
        owner = Anneal()
        ThroughAReference.owner = owner
        self.weak, self.proxy = weakref.ref(owner), weakref.proxy(owner)
        self.view = types.MappingProxyType({"n": [0]})

    def step(self, x):
        self.weak()()
        self.proxy.n += 1
        self.view["n"][0] += 1
        return self.proxy.n + self.view["n"][0]


class Node:
    def __init__(self, depth):
        self.next, self.n = Node(depth - 1) if depth else None, 0


@ingredient()
class DeepInside(Counting):
    def start(self):
        self.top = Node(12)

    def step(self, x):
        last = self.top
        while last.next is not None:
            last = last.next
        last.n += 1
        return last.n


class MemoryTrainer(Anneal):
    """A name like those of trainers, of the user's own."""


@ingredient()
class NamedLikeATrainer(Counting):
    def start(self):
        self.helper = MemoryTrainer()

    def step(self, x):
        return self.helper()


@ingredient()
class CountingProperty(Counting):
    def start(self):
        globals()["calls"] = 0

    @property
    def temperature(self):
        return count_call()

    def step(self, x):
        return self.temperature


@ingredient(may_refuse="database")
class Database(Counting):
    def start(self):
        self.database = sqlite3.connect(":memory:")
        self.database.execute("create table t (n)")

    def step(self, x):
        self.database.execute("insert into t values (1)")
        return self.database.execute("select count(*) from t").fetchone()[0]


@ingredient()
class ClassAttributeLate(Counting):
    """A table of the class, made at the first pass."""

    def start(self):
        if "late" in vars(ClassAttributeLate):
            del ClassAttributeLate.late

    def step(self, x):
        if "late" not in vars(ClassAttributeLate):
            ClassAttributeLate.late = [float(x.abs().mean())]
        return ClassAttributeLate.late[0]


@ingredient()
class VariableWithoutAValue(Counting):
    """A closure's variable that has a value from the first pass on."""

    def start(self):
        def tick(value):
            nonlocal seen
            try:
                seen += value
            except NameError:
                seen = 2 * value
            return seen

        if tick is None:
            seen = 0
        self.tick = tick

    def step(self, x):
        return self.tick(float(x.abs().mean()))


@ingredient()
class WholeTwister(Counting):
    """Draws as many numbers as a Mersenne Twister holds, so that it stands at the same place of another state."""

    def start(self):
        self.generator = np.random.MT19937(3)
        self.generator.random_raw(624)

    def step(self, x):
        return float(self.generator.random_raw(624)[0]) / 2**32


@ingredient()
class AttributesReplaced(Counting):
    """The dictionary of an object's attributes is exchanged whole."""

    def start(self):
        self.meter = Anneal()

    def step(self, x):
        self.meter.__dict__ = {"n": self.meter.n + 1}
        return self.meter.n


@ingredient()
class ReadsAFile(Counting):
    """Numbers are read from a file on disk, one at a pass, and from one in memory."""

    def start(self):
        with tempfile.NamedTemporaryFile(delete=False) as made:
            made.write(bytes(range(256)))
        self.on_disk, self.in_memory = Path(made.name).open("rb"), io.BytesIO(bytes(range(256)))  # noqa: SIM115 - the habit
        Path(made.name).unlink()

    def __del__(self):
        self.on_disk.close()

    def step(self, x):
        return self.on_disk.read(1)[0] + self.in_memory.read(1)[0]


@ingredient()
class ArrayReshaped(Counting):
    """The same numbers in another shape, and the same bytes as another type."""

    def start(self):
        self.table, self.bytes = np.arange(6.0), np.arange(4, dtype=np.int64)

    def step(self, x):
        self.table.shape = (2, 3) if self.table.ndim == 1 else (6,)
        self.bytes.dtype = np.uint64 if self.bytes.dtype == np.int64 else np.int64
        return self.table.ndim + (self.bytes.dtype == np.uint64)


@ingredient()
class NegativeZero(Habit):
    """A buffer of zeros changes its sign."""

    def __init__(self):
        super().__init__()
        self.register_buffer("zero", torch.zeros(1))

    def forward(self, x):
        self.zero.neg_()
        return super().forward(x) * (1 + 0.1 * torch.copysign(torch.ones(1), self.zero))


@ingredient()
class NoLongerCoalesced(Counting):
    def start(self):
        self.sparse = torch.sparse_coo_tensor([[0, 2]], [1.0, 2.0], (4,), check_invariants=False).coalesce()

    def step(self, x):
        was = self.sparse.is_coalesced()
        self.sparse._coalesced_(False)
        return float(was) + 1


@ingredient()
class AttributeOfAParameter(Counting):
    """Statistics are hung on the weight, as some optimizers and pruners do."""

    def start(self):
        self.lin.weight.seen = [0]

    def step(self, x):
        self.lin.weight.seen[0] += 1
        self.lin.weight.scale = 1 + 0.1 * self.lin.weight.seen[0]
        return self.lin.weight.scale


class Halves(torch.Tensor):
    """A tensor in two parts, as quantised weights have data and scales."""

    @staticmethod
    def __new__(cls, left, right):
        return torch.Tensor._make_wrapper_subclass(cls, (left.numel() + right.numel(),), dtype=left.dtype)

    def __init__(self, left, right):
        self.left, self.right = left, right

    def __tensor_flatten__(self):
        return ["left", "right"], None

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return Halves(inner["left"], inner["right"])

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        whole = torch.utils._pytree.tree_map_only(Halves, lambda t: torch.cat([t.left, t.right]), (args, kwargs or {}))
        return function(*whole[0], **whole[1])

    def __repr__(self, **_options):
        return f"Halves({self.left}, {self.right})"


@ingredient()
class TensorOfTwoParts(Counting):
    def start(self):
        self.register_buffer("halves", Halves(torch.zeros(3), torch.ones(2)))

    def step(self, x):
        self.halves.right.add_(0.5)
        return float(self.halves.sum())


@ingredient()
class AutocastType(Counting):
    """Prefers one half precision and the other by turns, for whoever turns autocast on."""

    def start(self):
        torch.set_autocast_dtype("cpu", torch.bfloat16)

    def step(self, x):
        half = torch.get_autocast_dtype("cpu") == torch.float16
        torch.set_autocast_dtype("cpu", torch.bfloat16 if half else torch.float16)
        torch.set_autocast_cache_enabled(half)
        return float(half) + 1


def numbers():
    yield from range(1, 999)


@ingredient(may_refuse="held")
class GeneratorInATuple(Counting):
    """In a tuple, where nothing can stand in for it."""

    def start(self):
        self.held = (numbers(),)

    def step(self, x):
        return next(self.held[0])
