"""Modules B x 8 -> B x 8 whose authors each had one habit of keeping state.

`INGREDIENTS[name].build(seed)` is a new module. All are deterministic, train with gradients, and change their output
with their state, so that a training run that was disturbed shows it.
"""

from __future__ import annotations

import importlib

from tests.helpers.habits import INGREDIENTS, Ingredient, seeded

__all__ = ["INGREDIENTS", "Ingredient", "seeded"]

_FILES = "weights parametrized buffers layouts statistics memories python objects hooks scripted random caches program"
for _file in _FILES.split():
    importlib.import_module(f"tests.helpers.habits_{_file}")
