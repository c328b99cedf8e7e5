"""Which layers of a model are read, and under which stable names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from torch import nn
from torch.optim.swa_utils import AveragedModel

from ontogeny.errors import LayerNotFoundError, nearest

__all__ = ["EMBEDDINGS", "SURPRISAL", "choose_layers", "plain_model", "plain_name"]

EMBEDDINGS = "embeddings"
SURPRISAL = "surprisal"
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def plain_model(model: nn.Module) -> nn.Module:
    """The model inside wrappers of `torch.compile`, (distributed) data parallelism and weight averaging."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, _WRAPPERS):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def plain_name(name: str) -> str:
    """A submodule's or parameter's name without the parts that wrappers add."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod").removeprefix("module.")


def choose_layers(model: nn.Module, layers: str | Sequence[str]) -> dict[str, nn.Module | None]:
    """Name -> module, in the order of the model.

    Args:
        model: without wrappers.
        layers: "auto", a name or glob ("blocks.*"), or several of them. "embeddings" is what enters the first block;
            "surprisal" is computed from the logits and has no module.

    Raises:
        LayerNotFoundError: nothing matches; the nearest names are suggested.
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    named = {plain_name(name): module for name, module in model.named_modules() if name}
    chosen: dict[str, nn.Module | None] = {}
    for pattern in wanted:
        if pattern == "auto":
            chosen.update(_auto(model, named))
        elif pattern == SURPRISAL:
            chosen[SURPRISAL] = None
        elif pattern == EMBEDDINGS and pattern not in named:
            chosen[EMBEDDINGS] = _first_block(named)
        else:
            chosen.update(_matching(pattern, named))
    return chosen


def _matching(pattern: str, named: dict[str, nn.Module]) -> dict[str, nn.Module | None]:
    found: dict[str, nn.Module | None] = {n: m for n, m in named.items() if fnmatch.fnmatchcase(n, pattern)}
    if not found:
        raise LayerNotFoundError(f"the model has no layer {pattern!r}. {nearest(pattern, named)}")
    return found


def _auto(model: nn.Module, named: dict[str, nn.Module]) -> dict[str, nn.Module | None]:
    """Blocks of the largest stack with the embedding output before them, else the stages of a CNN."""
    stack = _largest_stack(named)
    if stack is not None:
        blocks = {n: m for n, m in named.items() if n.rpartition(".")[0] == stack}
        return {EMBEDDINGS: next(iter(blocks.values())), **blocks}
    stages = _stages(model)
    if not stages:
        raise LayerNotFoundError(
            f"layers='auto' found no blocks or stages in {type(model).__name__}; name the layers: "
            f"{', '.join(list(named)[:12]) or 'it has no submodules'}"
        )
    names = {id(module): name for name, module in named.items()}
    return {names[id(stage)]: stage for stage in stages}


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _largest_stack(named: dict[str, nn.Module]) -> str | None:
    """Name of the ModuleList of blocks of one class that holds most parameters."""
    best, best_size = None, 0
    for name, module in named.items():
        if not isinstance(module, nn.ModuleList):
            continue
        blocks = list(module.children())
        alike = len({type(b) for b in blocks}) == 1 and all(list(b.children()) for b in blocks)
        if blocks and alike and _size(module) > best_size:
            best, best_size = name, _size(module)
    return best


def _first_block(named: dict[str, nn.Module]) -> nn.Module:
    stack = _largest_stack(named)
    if stack is None:
        raise LayerNotFoundError("'embeddings' is what enters the first block, but the model has no stack of blocks")
    return next(m for n, m in named.items() if n.rpartition(".")[0] == stack)


def _stages(model: nn.Module) -> list[nn.Module]:
    """Children with parameters of the first module that has several; of a flat chain, its convolutions and linears.

    A chain of blocks that stands alone beside stem and head is opened: its blocks are the stages.
    """
    while True:
        children = [child for child in model.children() if _size(child)]
        if len(children) != 1:
            break
        model = children[0]
    chains = [child for child in children if _is_chain_of_blocks(child)]
    opened = [part for child in children for part in (child.children() if chains == [child] else [child])]
    grouped = [child for child in opened if list(child.children())]
    weighted = [c for c in opened if isinstance(c, nn.Linear) or hasattr(c, "kernel_size")]
    return [child for child in opened if _size(child) and (child in grouped or child in weighted)]


def _is_chain_of_blocks(module: nn.Module) -> bool:
    """Whether all stages of a model may stand in it (timm's `blocks` and `stages`, torchvision's `features`)."""
    return isinstance(module, nn.Sequential) and sum(bool(list(part.children())) for part in module) > 1
