"""What neighbour metrics have in common: their options, and the chance level of cycles."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import gammaln

from ontogeny.metrics._pairwise.nearest_neighbors import Likeness

__all__ = ["Form", "Measure", "chance_of_cycles", "cycle_chance"]

Form = Literal["mutual", "cycle", "local"]


@runtime_checkable
class Measure(Protocol):
    """What the grid reads of a neighbour metric's options."""

    @property
    def name(self) -> str: ...

    @property
    def form(self) -> Form: ...

    @property
    def k(self) -> int: ...

    @property
    def likeness(self) -> Likeness: ...

    @property
    def standardise(self) -> bool: ...

    @property
    def damping(self) -> float: ...


def cycle_chance(mask: Bool[np.ndarray, "stimuli stimuli"]) -> float:
    """Exact mean of cycle kNN over permutations of the responses' stimuli.

    A permutation deals every stimulus k of the n - 1 others at random; they miss all d whose neighbour it is with
    probability C(n - 1 - d, k) / C(n - 1, k).

    Args:
        mask: whether the column is among the row's k nearest, by the features.
    """
    return chance_of_cycles(mask.sum(axis=0), int(mask[0].sum()))


def chance_of_cycles(n_times: Int[np.ndarray, " stimuli"], k: int) -> float:
    """The same from how often each stimulus is among the k nearest of another."""
    others = len(n_times) - 1
    free = others - n_times
    left = free[free >= k]
    log = gammaln(left + 1) - gammaln(left - k + 1) - gammaln(others + 1) + gammaln(others - k + 1)
    return float(1 - np.exp(log).sum() / len(n_times))
