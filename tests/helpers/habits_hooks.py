"""Habits of hooks, modules made late, and methods that are replaced."""

from __future__ import annotations

import functools

import torch
from torch import nn

from tests.helpers.habits import Habit, ingredient


class _Recorder:
    """A callable hook that counts and keeps the last output."""

    def __init__(self):
        self.calls, self.last = 0, None

    def __call__(self, module, args, output):
        self.calls += 1
        self.last = output.detach().mean(0)
        return output * (1 + 0.02 * self.calls)


@ingredient()
class RecordingHook(Habit):
    def __init__(self):
        super().__init__()
        self.lin.register_forward_hook(_Recorder())


@ingredient()
class ClosureHook(Habit):
    """Features of a layer, caught by a closure, used in the next pass."""

    def __init__(self):
        super().__init__()
        features, count = {}, 0

        def catch(module, args, output):
            nonlocal count
            count += 1
            features.setdefault("all", []).append(output.detach().mean())

        self.lin.register_forward_hook(catch)
        self.features = features

    def forward(self, x):
        return super().forward(x) + 0.1 * sum(self.features.get("all", []))


@ingredient()
class WeightsChangedByPreHook(Habit):
    def __init__(self):
        super().__init__()
        self.lin.register_forward_pre_hook(self.shrink)

    @staticmethod
    def shrink(module, args):
        module.weight.data.mul_(0.98)


@ingredient()
class WeightMadeByPreHook(Habit):
    """As the old weight norm: the weight is an attribute, computed before each pass from parameters and a count."""

    def __init__(self):
        super().__init__()
        weight = self.lin.weight
        del self.lin.weight
        self.lin.weight_v, self.lin.n = nn.Parameter(weight.data), 0
        self.lin.weight = weight.data.clone()
        self.lin.register_forward_pre_hook(self.compute)

    @staticmethod
    def compute(module, args):
        module.n += 1
        module.weight = module.weight_v * (1 + 0.02 * module.n)


@ingredient()
class HookRemovesItself(Habit):
    """Initialises from the first batch, then is gone."""

    def __init__(self):
        super().__init__()
        self.handle = self.lin.register_forward_pre_hook(self.first)

    def first(self, module, args):
        module.bias.data.copy_(-args[0].detach().mean(0))
        self.handle.remove()


@ingredient()
class HookRegistersHooks(Habit):
    def __init__(self):
        super().__init__()
        self.lin.register_forward_hook(self.grow)

    def grow(self, module, args, output):
        module.register_forward_hook(lambda m, a, out: out * 1.01)


@ingredient()
class HookInForward(Habit):
    """A hook in every pass that nobody removes, and one that is removed."""

    def forward(self, x):
        self.lin.register_forward_hook(_Recorder())
        handle = self.register_forward_hook(lambda m, a, out: None)
        y = super().forward(x)
        handle.remove()
        return y


@ingredient()
class TensorHooks(Habit):
    """A gradient hook on a parameter, one more with each pass."""

    def forward(self, x):
        if self.lin.bias.requires_grad:
            self.lin.bias.register_hook(lambda grad: grad * 0.9)
        return super().forward(x)


@ingredient()
class AccumulatedHook(Habit):
    """Scales gradients after they were accumulated, by a count that each pass raises."""

    def __init__(self):
        super().__init__()
        self.n = [0]
        self.lin.weight.register_post_accumulate_grad_hook(self.scale)

    def scale(self, parameter):
        parameter.grad.mul_(1 + 0.1 * self.n[0])

    def forward(self, x):
        self.n[0] += 1
        return super().forward(x)


@ingredient()
class BackwardHook(Habit):
    """A full backward hook, made in the first pass, that counts."""

    def __init__(self):
        super().__init__()
        self.backwards, self.inner = 0, nn.Linear(8, 8)

    def scale(self, module, grads, _):
        self.backwards += 1
        return tuple(None if g is None else g * (1 + 0.01 * self.backwards) for g in grads)

    def forward(self, x):
        if not self.inner._backward_hooks:
            self.inner.register_full_backward_hook(self.scale)
        return self.inner(super().forward(x))


@ingredient()
class StateDictHooks(Habit):
    """Counts how often its weights are saved; the count is part of the output."""

    def __init__(self):
        super().__init__()
        self.saves = 0
        self.register_state_dict_pre_hook(self.count)
        self._register_state_dict_hook(lambda module, state, prefix, _: state.pop(prefix + "nothing", None) and None)

    def count(self, module, prefix, keep_vars):
        self.saves += 1

    def forward(self, x):
        return super().forward(x) * (1 + 0.05 * self.saves)


@ingredient()
class LazyLinear(Habit):
    def __init__(self):
        super().__init__()
        self.lazy = nn.LazyLinear(8)

    def forward(self, x):
        return super().forward(self.lazy(x))


@ingredient()
class ChildMadeLate(Habit):
    """A layer made in the first pass, from the global random state."""

    def forward(self, x):
        if not hasattr(self, "late"):
            self.late = nn.Linear(x.shape[1], 8)
        return super().forward(self.late(x))


@ingredient()
class GrowingModuleList(Habit):
    """A small layer more at every second pass, up to four, and a parameter with it."""

    def __init__(self):
        super().__init__()
        self.parts, self.scales, self.passes = nn.ModuleList(), nn.ParameterList(), 0

    def forward(self, x):
        self.passes += 1
        if self.passes % 2 and len(self.parts) < 4:
            self.parts.append(nn.Linear(8, 8))
            self.scales.append(nn.Parameter(torch.ones(8)))
        for part, scale in zip(self.parts, self.scales, strict=True):
            x = torch.tanh(part(x)) * scale
        return super().forward(x)


@ingredient()
class SwappedChildren(Habit):
    """Two children change places in every pass, and the order of the modules with them."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)})

    def forward(self, x):
        first = next(iter(self.parts))
        moved = self.parts.pop(first)
        self.parts[first] = moved
        return super().forward(self.parts[next(iter(self.parts))](x))


@ingredient()
class ForwardReplaced(Habit):
    """After its first pass, another method is `forward`."""

    def forward(self, x):
        self.forward = functools.partial(self.later, factor=[1.0])
        return super().forward(x)

    def later(self, x, *, factor):
        factor[0] *= 0.95
        return torch.tanh(self.lin(x)) * factor[0]


class _Warm(Habit):
    def forward(self, x):
        return super().forward(x) * 0.9


@ingredient()
class ClassReplaced(Habit):
    """After its first pass, it is of another class."""

    def forward(self, x):
        self.__class__ = _Warm
        return torch.tanh(self.lin(x))
