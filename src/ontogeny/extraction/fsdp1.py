"""FSDP1 (`FullyShardedDataParallel`): what a probe needs of a model whose weights lie in flat shards.

The outermost unit's own weights are gathered for as long as a probe takes, by torch's `summon_full_params`, so that any
part of the model can be called. A unit inside gathers its own in its forward pass and frees them after it: the whole
model is gathered at once only where it is one unit.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ontogeny.errors import ConfigError
from ontogeny.extraction import fsdp2
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.wrappers import FSDP1, fsdp1_units, without_wrappers

__all__ = ["gathered", "require_whole", "reshard", "unit_states"]

_OPEN: set[int] = set()
_GROUPS: dict[tuple[int, timedelta], tuple[Any, Any]] = {}
_ALL: list[Any] = []


@contextmanager
def gathered(model: nn.Module, timeout: timedelta = timedelta(hours=1)) -> Iterator[None]:
    """Inside, any part of an FSDP1 model can be called, in the precision of the saved weights.

    Every rank has to come. What units of FSDP1 and FSDP2 gather goes over process groups of the probe's own where the
    training's is gloo: a rank that waits for another one gives up in time, and the training's groups hear nothing of
    it. Inside another one, and for any other model, nothing is done.

    Args:
        model: the `FullyShardedDataParallel`, or a model that has such units or FSDP2's as parts.
        timeout: of a probe; a rank waits a sixth of it for weights, so that the others still hear why it failed.

    Raises:
        ConfigError: a unit around the model holds weights of it.
    """
    bare = plain_model(model)
    if id(bare) in _OPEN:
        yield
        return
    require_whole(model)
    units, shards = fsdp1_units(model), fsdp2.shards(model)
    if not units and not shards:
        yield
        return
    with ExitStack() as stack:
        for unit in units:
            stack.enter_context(_apart_from_training(unit._handle, "process_group", timeout / 6))
        for shard in shards:
            stack.enter_context(_apart_from_training(shard, "shard_process_group", timeout / 6))
        for unit in units:
            if plain_model(unit) is bare:
                stack.enter_context(_own_weights(unit))
        for root in _roots(model):
            stack.enter_context(_saved_precision(root))
        _OPEN.add(id(bare))
        stack.callback(_OPEN.discard, id(bare))
        yield


def require_whole(model: nn.Module) -> None:
    """See that no weight of the model is held by a unit around it.

    Raises:
        ConfigError: one is; the model inside the outermost unit was given instead of that unit.
    """
    if id(plain_model(model)) in _OPEN:
        return
    within = {id(module) for unit in fsdp1_units(model) for module in unit.modules()}
    held = any(_is_held(module) for module in model.modules() if id(module) not in within)
    if held or any(unit._is_root is False for unit in _roots(model)):
        raise ConfigError(
            f"weights of {type(model).__name__} are held by an FSDP1 unit around it, which alone can gather them: give "
            "the probe the FullyShardedDataParallel itself (Lightning: trainer.model)"
        )


def unit_states(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Parameters and saved buffers by their plain names: those outside of units, then unit by unit.

    Each is there until the next one is asked for. Called inside `gathered`, on every rank.

    Args:
        model: without the wrappers around it.
    """
    within = {id(module) for unit in fsdp1_units(model) for module in unit.modules()}
    yield _saved_values((n, m) for n, m in model.named_modules() if id(m) not in within)
    for name, unit in model.named_modules():
        if FSDP1 not in unit._modules:
            continue
        below = {id(m) for other in fsdp1_units(unit) if other is not unit for m in other.modules()}
        with _own_weights(unit):
            yield _saved_values((n, m) for n, m in unit.named_modules(prefix=name) if id(m) not in below)


def reshard(model: nn.Module) -> None:
    """Put units back that a forward pass has left in its middle."""
    if not (units := fsdp1_units(model)):
        return
    from torch.distributed.fsdp._common_utils import HandleTrainingState, TrainingState

    for unit in units:
        handle = unit._handle
        if handle is not None and handle._training_state is HandleTrainingState.FORWARD:
            handle.reshard(handle.uses_sharded_strategy)
            handle._training_state = HandleTrainingState.IDLE
        if unit.training_state is TrainingState.FORWARD_BACKWARD:
            unit.training_state = TrainingState.IDLE


def _roots(model: nn.Module) -> list[Any]:
    """The units that are inside no other one."""
    units = fsdp1_units(model)
    inner = {id(below) for unit in units for below in fsdp1_units(unit._modules[FSDP1])}
    return [unit for unit in units if id(unit) not in inner]


def _is_held(module: nn.Module) -> bool:
    """Whether a module that is in no unit has weights that were put into a flat parameter, or views of one."""
    if any(getattr(p, "_fsdp_flattened", False) for p in module._parameters.values()):
        return True
    views = [v for v in module.__dict__.values() if type(v) is Tensor and v.layout is torch.strided and not v.is_meta]
    return any(view.numel() and not view.untyped_storage().nbytes() for view in views)


def _own_weights(unit: Any) -> Any:
    """A unit's own weights, whole; those of units inside it stay as they are."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel.summon_full_params(unit, recurse=False, writeback=False)


def _saved_values(modules: Any) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, module in modules:
        prefix = without_wrappers(name)
        module._save_to_state_dict(state, f"{prefix}." if prefix else "", keep_vars=False)
    return state


@contextmanager
def _saved_precision(root: Any) -> Iterator[None]:
    """Weights and buffers in the types they are saved in, not those of mixed precision; begun, if it was not so far."""
    if root._is_root is None:
        with _own_weights(root):
            pass
    holders = [holder for unit in fsdp1_units(root) for holder in (unit, unit._handle) if holder is not None]
    before = [holder._use_full_prec_in_eval for holder in holders]
    types = root._buffer_name_to_orig_dtype
    named = [(buffer, types.get(without_wrappers(name))) for name, buffer in root._modules[FSDP1].named_buffers()]
    cast = [(buffer, buffer.data, dtype) for buffer, dtype in named if dtype not in (None, buffer.dtype)]
    for holder in holders:
        holder._use_full_prec_in_eval = True
    for buffer, data, dtype in cast:
        buffer.data = data.to(dtype)
    try:
        yield
    finally:
        for holder, value in zip(holders, before, strict=True):
            holder._use_full_prec_in_eval = value
        for buffer, data, _ in cast:
            buffer.data = data


@contextmanager
def _apart_from_training(handle: Any, name: str, timeout: timedelta) -> Iterator[None]:
    """A unit gathers over a group of the probe's own, where gloo is used; one that failed is not used again."""
    training = getattr(handle, name, None)
    if training is None or dist.get_backend(training) != "gloo":
        yield
        return
    setattr(handle, name, _own_group(training, timeout))
    try:
        yield
    except BaseException:
        _GROUPS.pop((id(training), timeout), None)
        raise
    finally:
        setattr(handle, name, training)


def _own_group(training: Any, timeout: timedelta) -> Any:
    """Of the same ranks, with a time limit of its own."""
    known = _GROUPS.get((id(training), timeout))
    if known is None or known[0] is not training:
        ranks = dist.get_process_group_ranks(training)
        own = dist.new_group(ranks, timeout=timeout, backend="gloo", use_local_synchronization=True)
        known = _GROUPS[id(training), timeout] = (training, own)
        if not _ALL:
            atexit.register(_leave)
        _ALL.append(own)
    return known[1]


def _leave() -> None:
    """End the groups before the interpreter does, as those of `process_group`."""
    for group in _ALL:
        if dist.is_initialized():
            dist.destroy_process_group(group)
    _ALL.clear()
