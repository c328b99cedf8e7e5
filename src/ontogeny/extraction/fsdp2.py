"""FSDP2 (`fully_shard`): where its weights are gathered, and how a forward pass that failed in its middle is ended."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["end_forward", "shards"]


def shards(model: nn.Module) -> list[Any]:
    """What holds the process groups that weights are gathered over, as `shard_process_group`."""
    groups = [group for _, state in _states(model) for group in _groups(state)]
    infos = [info for group in groups for info in (group.mesh_info, group.post_forward_mesh_info)]
    return list({id(info): info for info in infos if hasattr(info, "shard_process_group")}.values())


def end_forward(model: nn.Module) -> None:
    """Shard the weights again that a forward pass has left gathered in its middle, where torch can (2.13)."""
    for module, state in _states(model):
        if state._is_root and hasattr(module, "reset_iter_state") and _is_amid(state):
            module.reset_iter_state()


def _states(model: nn.Module) -> list[tuple[Any, Any]]:
    """The modules that were given to `fully_shard`, and what it keeps of them."""
    units: list[Any] = [module for module in model.modules() if hasattr(module, "_get_fsdp_state")]
    return [(unit, unit._get_fsdp_state()) for unit in units]


def _groups(state: Any) -> list[Any]:
    if hasattr(state, "_fsdp_param_groups"):
        return list(state._fsdp_param_groups)
    return [group for group in [state._fsdp_param_group] if group is not None]  # older torch


def _is_amid(root: Any) -> bool:
    return any(state._training_state.name == "FORWARD" for state in root._state_ctx.all_states)
