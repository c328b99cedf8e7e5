"""Random number generators of torch, numpy and Python."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ontogeny.extraction.state._entry import ITSELF

__all__ = ["SavedRandom", "SavedSeeds"]


class SavedRandom:
    """The state of a random number generator of torch, numpy or Python."""

    __slots__ = ("live", "state")

    def __init__(self, live: Any) -> None:
        self.live = live
        self.state = self._get()

    def _get(self) -> Any:
        if isinstance(self.live, torch.Generator):
            return self.live.get_state()
        if isinstance(self.live, random.Random):
            return self.live.getstate()
        if isinstance(self.live, np.random.RandomState):
            return self.live.get_state(legacy=False)
        return self.live.state

    def seed(self, seed: int) -> None:
        """Begin anew, as every process would."""
        if isinstance(self.live, torch.Generator):
            self.live.manual_seed(seed)
        elif isinstance(self.live, random.Random | np.random.RandomState):
            self.live.seed(seed)
        else:
            self.live.state = type(self.live)(seed).state

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        now = self._get()
        if isinstance(self.state, Tensor):
            if torch.equal(now, self.state):
                return ()
            self.live.set_state(self.state)
            return ITSELF
        if repr(now) == repr(self.state) and _keys(now) == _keys(self.state):
            return ()
        if isinstance(self.live, random.Random):
            self.live.setstate(self.state)
        elif isinstance(self.live, np.random.RandomState):
            self.live.set_state(self.state)
        else:
            self.live.state = self.state
        return ITSELF


class SavedSeeds:
    """How many children a seed sequence has given; a generator of numpy spawns its own from one."""

    __slots__ = ("live", "spawned", "state")

    def __init__(self, live: np.random.SeedSequence) -> None:
        self.live: Any = live
        self.spawned = live.n_children_spawned
        self.state: Any = self.live.__reduce__()[2]

    def restore(self) -> tuple[Any, ...]:
        """See `Saved`."""
        if self.live.n_children_spawned == self.spawned:
            return ()
        self.live.__setstate__(self.state)
        return ITSELF


def _keys(state: Any) -> bytes:
    """The array of a Mersenne Twister, whose repr is shortened."""
    inner = state.get("state") if isinstance(state, dict) else None
    key = inner.get("key") if isinstance(inner, dict) else None
    return key.tobytes() if isinstance(key, np.ndarray) else b""
