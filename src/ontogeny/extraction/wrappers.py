"""What wrappers of compilation, activation checkpointing and FSDP1 add to a model."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["FLAT", "FSDP1", "WRAPPERS", "fsdp1_units", "sizes_in_units", "without_wrappers"]

FSDP1 = "_fsdp_wrapped_module"
FLAT = "_flat_param"
WRAPPERS = (FSDP1, "_checkpoint_wrapped_module", "_orig_mod")
"""What wrappers of FSDP1, activation checkpointing and `torch.compile` call the module inside."""


def without_wrappers(name: str) -> str:
    """A name without the parts that wrappers of modules add.

    Example:
        >>> without_wrappers("_fsdp_wrapped_module.blocks.0._checkpoint_wrapped_module.weight")
        'blocks.0.weight'
    """
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def fsdp1_units(model: nn.Module) -> list[Any]:
    """The modules that are wrappers of FSDP1, from the outside in."""
    return [module for module in model.modules() if FSDP1 in module._modules]


def sizes_in_units(model: nn.Module) -> dict[int, int]:
    """Id of a module -> numbers in its own parameters, where an FSDP1 unit holds them: each rank has a part of them."""
    sizes: dict[int, int] = {}
    for handle in filter(None, (unit._handle for unit in fsdp1_units(model))):
        for about, shape in zip(handle.flat_param._param_infos, handle.flat_param._shapes, strict=True):
            sizes[id(about.module)] = sizes.get(id(about.module), 0) + shape.numel()
    return sizes
