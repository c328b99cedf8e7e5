"""The comparer sees every kind of change, made by hand, and nothing where nothing changed."""

from __future__ import annotations

import array
import collections
import ctypes
import functools
import io
import itertools
import os
import queue
import random
import threading
import weakref

import numpy as np
import pytest
import torch
from tests.helpers.reachable import contents, differences, snapshot
from tests.helpers.training import process_kept
from torch import nn
from torch.nn.utils import parametrize


class _Space:
    n = 0


class _Slots:
    __slots__ = ("a",)


class Model(nn.Module):
    total, table = 0, [0]

    def __init__(self):
        super().__init__()
        self.lin, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
        self.register_buffer("wide", torch.zeros(2, 3))
        self.register_buffer("row", self.wide[0])
        self.register_buffer("thin", torch.zeros(1).expand(3), persistent=False)
        self.sparse = torch.eye(3).to_sparse()
        self.lazy = nn.LazyLinear(3)
        self.number, self.real, self.none, self.text = 1, 0.0, None, io.StringIO()
        self.items, self.recent, self.seen = [[0], {"a": {"b": [0]}}], collections.deque([1], maxlen=2), {1}
        self.order, self.lists = collections.OrderedDict(a=1, b=2), collections.defaultdict(list)
        self.array, self.rows, self.bytes = array.array("d", [0.0]), np.zeros((2, 2)), bytearray(2)
        self.objects, self.c_int, self.queue = np.array([[0]], dtype=object), ctypes.c_int(0), queue.SimpleQueue()
        self.generators = [torch.Generator(), np.random.default_rng(0), np.random.RandomState(0), random.Random(0)]
        self.slots, self.space, self.local = _Slots(), _Space(), threading.local()
        self.slots.a, self.local.n = [0], 0
        self.count, self.cycle = itertools.count(), itertools.cycle([1, 2])
        self.iterator, self.stream = iter([1, 2]), (i for i in range(9))
        self.partial = functools.partial(print, [0])
        self.weak = weakref.WeakValueDictionary(a=self.space)
        self.hidden, self.loss = [nn.BatchNorm1d(3)], self.lin.weight.sum()
        self.tick, self.ref = self.closure(), weakref.ref(self.space)
        self.handle = self.lin.register_forward_hook(lambda m, a, out: out)

    @staticmethod
    def closure():
        n = 0

        def tick():
            nonlocal n
            n += 1

        return tick

    def defaults(self, seen=[]):  # noqa: B006 - what is tested
        return seen

    @functools.lru_cache  # noqa: B019 - what is tested
    def cached(self, n):
        return n

    @functools.cached_property
    def once(self):
        return 1

    def scripted(self):
        return _GLOBAL[0]


_GLOBAL = [0]


def _new_parameter(m):
    m.lin.weight = nn.Parameter(m.lin.weight.detach().clone())


def _without_grad(function):
    def act(m):
        with torch.no_grad():
            function(m)

    return act


def _grad(m):
    m.lin.weight.grad = torch.zeros(3, 3)


def _set(**values):
    return lambda m: vars(m).update(values)


CHANGES = {
    "a parameter's last bit": _without_grad(lambda m: m.lin.weight.view(torch.int32)[0, 0].bitwise_xor_(1)),
    "sign of a zero": lambda m: m.wide.neg_(),
    "a new parameter of the same values": _new_parameter,
    "new data of the same values": lambda m: setattr(m.lin.weight, "data", m.lin.weight.data.clone()),
    "other strides": lambda m: setattr(m.lin.weight, "data", m.lin.weight.data.t().contiguous().t()),
    "requires_grad": lambda m: m.lin.bias.requires_grad_(False),
    "grad": _grad,
    "tied": lambda m: setattr(m.other, "weight", m.lin.weight),
    "a gradient hook": lambda m: m.lin.weight.register_hook(lambda g: g),
    "an attribute of a tensor": lambda m: setattr(m.lin.weight, "tag", 1),
    "a buffer": lambda m: m.wide.add_(1),
    "through a view": lambda m: m.row.add_(1),
    "resized": lambda m: m.wide.resize_(1, 3),
    "a buffer is replaced by an equal one": lambda m: setattr(m, "row", m.row.clone()),
    "a buffer of another type": lambda m: setattr(m, "row", m.row.double()),
    "persistent": lambda m: m._non_persistent_buffers_set.clear(),
    "a buffer more": lambda m: m.register_buffer("more", None),
    "a buffer less": lambda m: delattr(m, "row"),
    "a stride of 0": lambda m: setattr(m, "thin", torch.zeros(3)),
    "sparse values": lambda m: m.sparse._values().mul_(2),
    "lazy": lambda m: m.lazy(torch.zeros(1, 3)),
    "a mode": lambda m: setattr(m.lin, "training", False),
    "a number": _set(number=2),
    "a number's type": _set(number=True),
    "a float": _set(real=-0.0),
    "from None": _set(none=()),
    "a new attribute": _set(new=1),
    "an attribute less": lambda m: delattr(m, "none"),
    "text": lambda m: m.text.write("a"),
    "a list": lambda m: m.items[0].append(1),
    "a list is replaced by an equal one": _set(items=[[0], {"a": {"b": [0]}}]),
    "deep": lambda m: m.items[1]["a"]["b"].append(1),
    "a deque": lambda m: m.recent.append(2),
    "a set": lambda m: m.seen.add(2),
    "an order": lambda m: m.order.move_to_end("a"),
    "a default": lambda m: m.lists["x"],
    "array.array": lambda m: m.array.append(1.0),
    "numpy": lambda m: m.rows.__setitem__((0, 0), 1),
    "bytes": lambda m: m.bytes.__setitem__(0, 1),
    "objects in numpy": lambda m: m.objects[0].__setitem__(0, 1),
    "ctypes": lambda m: setattr(m.c_int, "value", 1),
    "SimpleQueue": lambda m: m.queue.put(1),
    "torch.Generator": lambda m: torch.rand(1, generator=m.generators[0]),
    "numpy Generator": lambda m: m.generators[1].random(),
    "RandomState": lambda m: m.generators[2].rand(),
    "random.Random": lambda m: m.generators[3].random(),
    "slots": lambda m: m.slots.a.append(1),
    "an object": lambda m: setattr(m.space, "n", 1),
    "thread local": lambda m: setattr(m.local, "n", 1),
    "count": lambda m: next(m.count),
    "cycle": lambda m: next(m.cycle),
    "an iterator": lambda m: next(m.iterator),
    "a generator": lambda m: next(m.stream),
    "partial": lambda m: m.partial.args[0].append(1),
    "a weak dictionary": lambda m: m.weak.pop("a"),
    "hidden statistics": lambda m: m.hidden[0].running_mean.add_(1),
    "a graph": lambda m: setattr(m, "loss", m.loss.detach()),
    "a closure": lambda m: m.tick(),
    "a default argument": lambda m: m.defaults().append(1),
    "lru_cache": lambda m: m.cached(len(vars(m))),
    "cached_property": lambda m: m.once,
    "a class's number": lambda m: setattr(Model, "total", Model.total + 1),
    "a class's list": lambda m: Model.table.append(1),
    "a method's attribute": lambda m: setattr(Model.defaults, "calls", len(vars(m))),
    "a global": lambda m: _GLOBAL.append(1),
    "a hook": lambda m: m.register_forward_hook(lambda *_: None),
    "a hook less": lambda m: m.handle.remove(),
    "a state_dict hook": lambda m: m.register_state_dict_pre_hook(lambda *_: None),
    "a child more": lambda m: m.add_module("late", nn.ReLU()),
    "children's order": lambda m: m._modules.update(lin=m._modules.pop("lin")),
    "another class": lambda m: setattr(m.lin, "__class__", nn.LazyLinear),
    "parametrized": lambda m: parametrize.register_parametrization(m.lin, "weight", nn.Identity()),
    "forward replaced": lambda m: setattr(m, "forward", m.defaults),
    "torch's random state": lambda m: torch.rand(1),
    "numpy's random state": lambda m: np.random.rand(),
    "Python's random state": lambda m: random.random(),
    "default dtype": lambda m: torch.set_default_dtype(torch.float64),
    "grad mode": lambda m: torch.set_grad_enabled(False),
    "deterministic": lambda m: torch.use_deterministic_algorithms(True),
    "environment": lambda m: os.environ.update(ONTOGENY_X="1"),
    "numpy errors": lambda m: np.seterr(over="ignore"),
}


@pytest.fixture
def model():
    with process_kept():
        yield Model()
    Model.total, Model.table[:], _GLOBAL[:] = 0, [0], [0]
    Model.defaults.__defaults__[0].clear()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(model, name):
    before = snapshot(model)
    assert not differences(before, snapshot(model))
    CHANGES[name](model)
    assert differences(before, snapshot(model))


def test_a_restored_change_is_not_seen(model):
    before, weight = snapshot(model), model.lin.weight.detach().clone()
    model.lin.weight.data.add_(1)
    model.items[0].append(1)
    found = differences(before, snapshot(model))
    assert len(found) == 2
    assert "['weight']" in found[0] + found[1]
    model.lin.weight.data.copy_(weight)
    model.items[0].pop()
    assert not differences(before, snapshot(model))


def test_a_snapshot_changes_nothing(model):
    model.wide = torch.zeros(2)
    contents(model)
    model.wide.resize_(400)  # `numpy()` would have forbidden it
    assert next(model.count) == 0
    assert next(model.iterator) == 1
    assert next(model.cycle) == 1
    assert next(model.stream) == 0
    assert "once" not in vars(model)
    assert isinstance(model.lazy, nn.LazyLinear)
    assert model.lazy.has_uninitialized_params()
