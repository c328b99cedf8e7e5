"""The register of ingredients: small modules, B x 8 -> B x 8, whose author had one habit of keeping state."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["INGREDIENTS", "Habit", "Ingredient", "ingredient", "seeded"]


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """One habit.

    Args:
        name: of the class or function that makes it, in-lower-case.
        make: the module, from the global random states.
        any_batch: reads batches of another size than those it was trained on.
        may_refuse: attribute that Python gives no way to put back, so that a probe may refuse it by name; "" if none.
    """

    name: str
    make: Callable[[], nn.Module]
    any_batch: bool = True
    may_refuse: str = ""

    def build(self, seed: int) -> nn.Module:
        """A new one; the same for the same seed. Random states of the process stay as they are."""
        with seeded(seed):
            return self.make()


INGREDIENTS: dict[str, Ingredient] = {}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's, numpy's and torch's random states from `seed`, and back at the end."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed), np.random.seed(seed), torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])


def ingredient(*, any_batch: bool = True, may_refuse: str = "") -> Callable[[Any], Any]:
    """Enter a class or function into the register."""

    def enter(make: Any) -> Any:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", make.__name__).lower()
        assert name not in INGREDIENTS, name
        INGREDIENTS[name] = Ingredient(name=name, make=make, any_batch=any_batch, may_refuse=may_refuse)
        return make

    return enter


class Habit(nn.Module):
    """A linear map; each habit adds its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.lin(x))
