"""Which layers of a model are read, and under which stable names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ontogeny.errors import LayerNotFoundError, nearest
from ontogeny.extraction.wrappers import FLAT, WRAPPERS, sizes_in_units, without_wrappers

__all__ = [
    "BLOCK_INPUT",
    "EMBEDDINGS",
    "SURPRISAL",
    "Entrance",
    "Layer",
    "choose_layers",
    "module_of",
    "named_layers",
    "plain_model",
    "plain_name",
]

EMBEDDINGS = "embeddings"
BLOCK_INPUT = "block_input"
SURPRISAL = "surprisal"
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
_MOST = 0.8
Size = Callable[[nn.Module], int]


@dataclass(frozen=True, slots=True)
class Entrance:
    """What enters a block at its first call, read as a layer.

    Args:
        block: the module whose input it is.
    """

    block: nn.Module


Layer = nn.Module | Entrance | None
"""A module that is read by its output, what enters one, or None for what is computed from the model's output."""


def module_of(layer: Layer) -> nn.Module | None:
    """The module whose output or input a layer is."""
    return layer.block if isinstance(layer, Entrance) else layer


def plain_model(model: nn.Module) -> nn.Module:
    """The model inside wrappers of compilation, checkpointing, (sharded) data parallelism and weight averaging."""
    while True:
        inner = next((found for name in WRAPPERS if (found := _inside(model, name)) is not None), None)
        if inner is None and isinstance(model, _PARALLEL):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _inside(model: nn.Module, name: str) -> Any:
    """What a wrapper registers; that of `torch.compile` is an attribute of what wraps it, too."""
    if name == "_orig_mod":
        return getattr(model, name, None)
    return model._modules[name] if name in model._modules else None  # noqa: SIM401 - TorchScript's have no `get`


def plain_name(name: str) -> str:
    """A submodule's or parameter's name without the parts that wrappers add."""
    return without_wrappers(name).removeprefix("module.")


def named_layers(model: nn.Module, part: nn.Module | None = None, name: str = "") -> dict[str, nn.Module]:
    """Name in the whole model -> module, of all modules inside `part`, in the order of the model.

    Args:
        model: the whole model.
        part: the part of it that is read; None for all of it.
        name: of the part, for one that the model does not register.
    """
    whole = {plain: module for n, module in model.named_modules() if (plain := plain_name(n))}
    if part is None or part is model:
        return whole
    known = {id(module) for module in part.modules()} - {id(plain_model(part))}
    inside = {n: module for n, module in whole.items() if id(module) in known}
    if inside:
        return inside
    return {f"{name}.{plain}": module for n, module in part.named_modules() if (plain := plain_name(n))}


def choose_layers(
    model: nn.Module,
    layers: str | Sequence[str],
    *,
    named: Mapping[str, nn.Module] | None = None,
    ran: Collection[str] | None = None,
    text: bool = False,
    around: nn.Module | None = None,
) -> dict[str, Layer]:
    """Name -> layer, in the order of the model.

    Args:
        model: without wrappers; the part of it that is read.
        layers: "auto", a name or glob ("blocks.*"), or several of them. "embeddings" is what enters the first block;
            where a module has this name, and is asked for by it, that module's output, and what enters the first block
            is "block_input". "surprisal" is computed from the logits and has no module. A name may end with the number
            of a call, "block[2]".
        named: the layers there are; all of the model's where None.
        text: whether it reads texts, and chains of equal blocks are its stack.
        around: the model with its wrappers, of which FSDP1's know how large the weights are that they hold.
        ran: names of the layers that the forward pass ran, where that is known: "auto" looks among these.

    Raises:
        LayerNotFoundError: nothing matches; the nearest names are suggested.
    """
    names_given = [layers] if isinstance(layers, str) else list(layers)
    named = dict(named_layers(model) if named is None else named)
    seen = named if ran is None else {n: m for n, m in named.items() if n in ran or not _runs(m)}
    entrance = _entrance_name(names_given, named)
    size = partial(_size, in_units=sizes_in_units(model if around is None else around))
    chosen: dict[str, Layer] = {}
    for pattern in names_given:
        if pattern == "auto":
            chosen.update(_auto(model, seen, entrance, size, text=text))
        elif pattern == SURPRISAL and pattern not in named:
            chosen[SURPRISAL] = None
        elif pattern in (EMBEDDINGS, BLOCK_INPUT) and pattern not in named:
            chosen[pattern] = Entrance(_first_block(seen, size, text=text))
        else:
            chosen.update(_matching(re.sub(r"\[\d+\]$", "", pattern), named))
    return chosen


def _entrance_name(names_given: Sequence[str], named: Mapping[str, nn.Module]) -> str:
    """What enters the first block: "embeddings", unless a module of this name is asked for beside it."""
    if EMBEDDINGS not in named or not any(fnmatch.fnmatchcase(EMBEDDINGS, p) for p in names_given if p != "auto"):
        return EMBEDDINGS
    return BLOCK_INPUT if BLOCK_INPUT not in named else f"{BLOCK_INPUT}_"


def _runs(module: nn.Module) -> bool:
    """Whether it can be called at all, unlike a list of modules."""
    return not isinstance(module, nn.ModuleList | nn.ModuleDict)


def _matching(pattern: str, named: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    found = {n: m for n, m in named.items() if fnmatch.fnmatchcase(n, pattern)}
    if not found:
        found = {n: m for n, m in named.items() if fnmatch.fnmatchcase(n, f"*.{pattern}")}
    if len(found) > 1 and "*" not in pattern and pattern not in found:
        raise LayerNotFoundError(f"{pattern!r} could be {' or '.join(map(repr, found))}; write the whole name")
    if not found:
        raise LayerNotFoundError(f"the model has no layer {pattern!r}. {nearest(pattern, named)}")
    return found


def _auto(
    model: nn.Module, named: Mapping[str, nn.Module], entrance: str, size: Size, *, text: bool
) -> dict[str, Layer]:
    """Blocks of the largest stack with the embedding output before them, else the stages of a CNN."""
    blocks = _largest_stack(named, size, text=text)
    if blocks:
        return {entrance: Entrance(next(iter(blocks.values()))), **blocks}
    stages = _stages(model, size)
    names = {id(module): name for name, module in named.items()}
    found: dict[str, Layer] = {names[id(stage)]: stage for stage in stages if id(stage) in names}
    if not found:
        raise LayerNotFoundError(
            f"layers='auto' found no blocks or stages in {type(model).__name__}; name the layers: "
            f"{', '.join(list(named)[:12]) or 'it has no submodules'}"
        )
    return found


def _size(module: nn.Module, in_units: Mapping[int, int]) -> int:
    """Numbers in its parameters; one that the first batch will make counts as one."""
    parameters: dict[int, int] = {}
    for one in module.modules():
        if id(one) in in_units:
            parameters[-id(one)] = in_units[id(one)]
            continue
        own = one.named_parameters(recurse=False)
        parameters.update({id(p): 1 if torch.nn.parameter.is_lazy(p) else p.numel() for n, p in own if n != FLAT})
    return sum(parameters.values())


def _largest_stack(named: Mapping[str, nn.Module], size: Size, *, text: bool) -> dict[str, nn.Module]:
    """Blocks of the list that holds most parameters; the blocks may be of several classes, as in hybrids.

    A list inside one of several equal blocks is none, nor is one beside a larger chain, which holds stages of pictures.
    """
    best: dict[str, nn.Module] = {}
    best_size = 0
    chains = {name for name, module in named.items() if _is_chain_of_equals(module)}
    for name, module in named.items():
        chain = name in chains
        if not (isinstance(module, nn.ModuleList) or chain) or any(name.startswith(f"{other}.") for other in chains):
            continue
        blocks = _blocks(name, named)
        if blocks and size(module) > best_size:
            best, best_size = ({} if chain and not text else blocks), size(module)
    return best


def _is_chain_of_equals(module: nn.Module) -> bool:
    kinds = [type(block) for block in _children(module)] if isinstance(module, nn.Sequential) else []
    return len(kinds) > 1 and len(set(kinds)) == 1 and _is_chain_of_blocks(module)


def _blocks(stack: str, named: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """What a list of modules holds, lists within the list opened; nothing where these are not blocks."""
    inside = {n: m for n, m in named.items() if n.rpartition(".")[0] == stack}
    opened: dict[str, nn.Module] = {}
    for name, module in inside.items():
        opened.update(_blocks(name, named) if isinstance(module, nn.ModuleList) else {name: module})
    blocks = all(list(block.children()) or isinstance(block, nn.RNNBase) for block in opened.values())
    return opened if blocks else {}


def _first_block(named: Mapping[str, nn.Module], size: Size, *, text: bool) -> nn.Module:
    blocks = _largest_stack(named, size, text=text)
    if not blocks:
        raise LayerNotFoundError("'embeddings' is what enters the first block, but the model has no stack of blocks")
    return next(iter(blocks.values()))


def _stages(model: nn.Module, size: Size) -> list[nn.Module]:
    """Children with parameters of the first module that has several; of a flat chain, its convolutions and linears.

    A chain of blocks that stands alone beside stem and head is opened: its blocks are the stages. So is a backbone
    beside a head.
    """
    while True:
        children = [child for child in _children(model) if size(child)]
        backbone = [c for c in children if list(c.children()) and _share(c, model) > _MOST and not _is_chain(c)]
        if len(children) != 1 and not (len(children) == 2 and backbone):
            break
        model = (backbone or children)[0]
    chains = [(child, chain) for child in children if (chain := _chain_inside(child, model)) is not None]
    opened: list[nn.Module] = []
    for child in children:
        alone = len(chains) == 1 and chains[0][0] is child
        opened += _children(chains[0][1] if alone else child) if alone or isinstance(child, nn.ModuleList) else [child]
    grouped = [child for child in opened if list(child.children())]
    weighted = [c for c in opened if isinstance(c, nn.Linear | nn.RNNBase) or hasattr(c, "kernel_size")]
    return [child for child in opened if size(child) and (child in grouped or child in weighted)]


def _share(part: nn.Module, whole: nn.Module) -> float:
    """Share of the submodules of `whole` that are inside `part`."""
    return len(list(part.modules())) / len(list(whole.modules()))


def _is_chain(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential)


def _chain_inside(module: nn.Module, model: nn.Module) -> nn.Module | None:
    """The chain of blocks that a module is, or that is nearly all of one that is most of the model."""
    if _is_chain_of_blocks(module):
        return module
    if _share(module, model) < 1 - _MOST:
        return None
    return next((c for c in _children(module) if _is_chain_of_blocks(c) and _share(c, module) > _MOST), None)


def _is_chain_of_blocks(module: nn.Module) -> bool:
    """Whether all stages of a model may stand in it (timm's `blocks` and `stages`, torchvision's `features`)."""
    return isinstance(module, nn.Sequential) and sum(bool(_children(part)) for part in _children(module)) > 1


def _children(module: nn.Module) -> list[nn.Module]:
    """Without wrappers of their own."""
    return [plain_model(child) for child in module.children()]
