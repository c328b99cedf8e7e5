"""Families of models, each with what its layers have to give: hooks of plain torch, one stimulus at a time, no padding.

A `Family` says how a tiny model is built, which layers "auto" has to read, and which axes of a layer's output are the
batch, the places (tokens, space) and the features. Nothing in the references is code of the package.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.zoo_stimuli import WORLDS, World

EMBEDDINGS = "embeddings"

PLACES: dict[str, Callable[[Tensor], Tensor]] = {
    "btd": lambda x: x[0],
    "tbd": lambda x: x[:, 0],
    "bdt": lambda x: x[0].T,
    "bchw": lambda x: x[0].flatten(1).T,
    "bhwc": lambda x: x[0].flatten(0, 1),
    "bthd": lambda x: x[0].flatten(1),
    "bd": lambda x: x,
    "by rank": lambda x: PLACES[{2: "bd", 3: "btd", 4: "bchw"}[x.ndim]](x),
}
"""A layer's output for one stimulus -> places x features, by the order of its axes (b is 1)."""


def as_it_comes(model: nn.Module, x: Tensor, **options: Any) -> Any:
    """The forward pass of most families."""
    return model(x, **options)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of model.

    Args:
        name: unique.
        build: makes the model with few weights; they are drawn anew afterwards, larger.
        blocks: names of the layers that "auto" has to read, in the whole model.
        alternatives: other complete sets of layers that would do as well.
        first: the module whose input is "embeddings"; the first of the blocks unless given; "" where there is none.
        exact: "auto" reads these and "embeddings" and nothing else; else at least these.
        axes: order of the axes of the layers' outputs: a key of `PLACES`, or by glob of a layer's name.
        prefix: leading tokens that "spatial_mean" leaves out (timm's `num_prefix_tokens`), or by glob.
        world: the stimuli and the reader: a key of `WORLDS`.
        forward: runs one stimulus (model, tensor with a batch of 1, further options).
        hidden: the attribute of the output that has the model's own hidden states, "" where none is comparable.
        late: the model's own hidden states start after this many blocks.
        padded: the model itself pads a text at the end, inside its layers.
        direct: the model calls `forward` of its blocks itself, past their hooks.
        refusals: glob of "layer@pooling" -> why it may be refused.
        error: (what the probe may say instead of reading the model, why).
        options: further options of `Probe`.
        shaken: draw the weights anew; else they stay as the family initializes them.
    """

    name: str
    build: Callable[[], nn.Module]
    blocks: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...] = ()
    first: str | None = None
    exact: bool = True
    axes: str | Mapping[str, str] = "btd"
    prefix: int | Mapping[str, int] = 0
    world: str = "words"
    forward: Callable[..., Any] = as_it_comes
    hidden: str = "hidden_states"
    late: int = 0
    padded: bool = False
    direct: bool = False
    refusals: Mapping[str, str] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    shaken: bool = True

    def model(self) -> nn.Module:
        """The same weights every time, in eval mode."""
        seed = zlib.crc32(self.name.encode())
        torch.manual_seed(seed)
        model = self.build()
        if self.shaken:
            shake(model, seed)
            settle(self, model)
        return model.eval()

    @property
    def entrance(self) -> str:
        """The module whose input is called "embeddings"."""
        return self.blocks[0].partition("[")[0] if self.first is None else self.first


def shake(model: nn.Module, seed: int) -> None:
    """Weights large enough that a wrong axis or a padded token is seen in every layer."""
    generator = torch.Generator().manual_seed(seed)

    def noise(x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=generator).to(x.dtype)

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(noise(parameter) * 1.3 / max(1, parameter[0].numel()) ** 0.5)
            else:
                parameter.add_(noise(parameter) * 0.2)


def settle(family: Family, model: nn.Module) -> None:
    """Batch norms get the statistics of the pictures, so that what they let through differs by picture."""
    norms = [module for module in model.eval().modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    world = WORLDS[family.world]()
    if not norms or world.poolings != ("spatial_mean",):
        return
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        family.forward(model, torch.cat(world.tensors))


def first_tensor(value: Any) -> Tensor:
    """What a layer hands on: the tensor itself, or the first of a tuple, or of a mapping."""
    while not isinstance(value, Tensor):
        if isinstance(value, Mapping):
            value = list(value.values())
        value = next(part for part in value if part is not None)
    return value


def by_glob(rules: Any, name: str) -> Any:
    """A rule for one layer: the same for all, or the first glob that fits."""
    if not isinstance(rules, Mapping):
        return rules
    return next((rule for glob, rule in rules.items() if fnmatchcase(name, glob)), None)


def _listen(module: nn.Module, before: Callable[..., None], after: Callable[[Any], None], *, direct: bool) -> ExitStack:
    """Hooks on one module; around its `forward` where it is called past the hooks."""
    stack = ExitStack()
    if not direct:
        handle = module.register_forward_hook(lambda _m, _a, out: after(out))
        stack.callback(handle.remove)
        handle = module.register_forward_pre_hook(lambda _m, args, kwargs: before(args or kwargs), with_kwargs=True)
        stack.callback(handle.remove)
        return stack
    own = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        before(args or kwargs)
        out = own(*args, **kwargs)
        after(out)
        return out

    module.forward = forward
    stack.callback(module.__dict__.pop, "forward")
    return stack


def run_one(family: Family, model: nn.Module, x: Tensor, names: Iterable[str], **options: Any) -> Any:
    """One stimulus.

    Returns:
        Layer -> the outputs of its calls in this forward pass; what entered the first block, as "embeddings"; and the
        model's output.
    """
    calls: dict[str, list[Tensor]] = {}

    def note(name: str, value: Any) -> None:
        calls.setdefault(name, []).append(first_tensor(value).detach().clone())

    def entered(name: str, value: Any) -> None:
        if name == family.entrance:
            note(EMBEDDINGS, value)

    with ExitStack() as hooks, torch.no_grad():
        for name in {*names, family.entrance} - {""}:
            module, before, after = model.get_submodule(name), partial(entered, name), partial(note, name)
            hooks.enter_context(_listen(module, before, after, direct=family.direct))
        output = family.forward(model, x, **options)
    calls[EMBEDDINGS] = calls.get(EMBEDDINGS, [])[:1]
    return calls, output


def named(calls: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
    """Layers under the names that a probe gives them: name[0], name[1] where there were several calls."""
    out = {}
    for name, values in calls.items():
        out.update({f"{name}[{i}]": x for i, x in enumerate(values)} if len(values) > 1 else dict.fromkeys([name]))
        if len(values) == 1:
            out[name] = values[0]
    return {name: x for name, x in out.items() if x is not None}


def pooled(family: Family, world: World, name: str, x: Tensor, *, n_tokens: int) -> dict[str, Tensor]:
    """One stimulus's output of one layer -> pooling -> features, by hand."""
    places = PLACES[by_glob(family.axes, name)](x).float()
    if world.poolings == ("spatial_mean",):
        return {"spatial_mean": places[by_glob(family.prefix, name) or 0 :].mean(dim=0)}
    if family.padded:
        places = places[:n_tokens]
    found = {"mean": places.mean(dim=0)}
    if len(places) == n_tokens:
        found["last"] = places[world.last]
    return found


def reference(family: Family, names: Iterable[str]) -> dict[tuple[str, str], Tensor]:
    """(layer, pooling) -> stimuli x features. A family of one name is always the same model: asked once."""
    key = (family.name, frozenset(names))
    if key not in _KNOWN:
        model = family.model()
        torch.manual_seed(2)
        _KNOWN[key] = _reference(family, model, names)
    return _KNOWN[key]


_KNOWN: dict[tuple[str, frozenset[str]], dict[tuple[str, str], Tensor]] = {}


def _reference(family: Family, model: nn.Module, names: Iterable[str]) -> dict[tuple[str, str], Tensor]:
    world = WORLDS[family.world]()
    names = sorted({name.partition("[")[0] for name in names} - {EMBEDDINGS})
    rows: dict[tuple[str, str], list[Tensor]] = {}
    for x in world.tensors:
        calls, _ = run_one(family, model, x, names)
        for name, value in named(calls).items():
            for pooling, row in pooled(family, world, name, value, n_tokens=x.shape[1]).items():
                rows.setdefault((name, pooling), []).append(row)
    return {key: torch.stack(each) for key, each in rows.items() if len(each) == len(world.tensors)}


def numbered(stack: str, n: int) -> tuple[str, ...]:
    """stack.0, stack.1, ..."""
    return tuple(f"{stack}.{i}" for i in range(n))
