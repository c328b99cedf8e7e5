"""Tasks that worker processes can import: they tell where they run, or kill the process that they run in."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from ontogeny.monitoring.heldout.loss import Measured


@dataclass(frozen=True)
class Killing:
    """Kill the process that measures, in the middle of a checkpoint, so many times; then measure the mean weight.

    Args:
        folder: one file a call, so that all processes know of each other.
        times: how often.
    """

    folder: str
    times: int = 0

    def __call__(self, model):
        place = Path(self.folder)
        place.mkdir(exist_ok=True)
        calls = len(list(place.iterdir()))
        (place / f"{calls}-{os.getpid()}").touch()
        if calls < self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        value = sum(float(p.detach().double().mean()) for p in model.parameters())
        return [Measured(metric="mean weight", value=value, unit="1", n=1)]


def gpus_given(model):
    """How many GPUs Ray gave this worker."""
    import ray

    return [Measured(metric="gpus", value=float(len(ray.get_gpu_ids())), unit="1", n=1)]
