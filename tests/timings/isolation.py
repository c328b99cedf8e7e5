"""What isolation costs beside a probe: saving and putting back all that can be reached from a model. One thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from transformers import GPT2Config, GPT2Model, ResNetConfig, ResNetModel

from ontogeny import Probe, StimulusSet
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.weights import weights_hash
from tests.timings import Row

torch.set_num_threads(1)
N = 100


def texts() -> StimulusSet:
    rng = np.random.default_rng(0)
    inputs = [" ".join(map(str, rng.integers(0, 50_000, size=int(k)))) for k in rng.integers(5, 25, N)]
    return StimulusSet(name="texts", modality="text", ids=tuple(map(str, range(N))), inputs=inputs)


def pictures() -> StimulusSet:
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 255, (224, 224, 3), dtype=np.uint8) for _ in range(N)]
    return StimulusSet(name="pictures", modality="image", ids=tuple(map(str, range(N))), inputs=inputs)


def to_tensor(image: object) -> torch.Tensor:
    return torch.tensor(np.asarray(image)).permute(2, 0, 1).float() / 255


def rows() -> Iterator[Row]:
    worlds: list[tuple[str, nn.Module, Probe]] = [
        (
            "GPT-2, 124 M, texts of 5 to 24 tokens",
            GPT2Model(GPT2Config()),
            Probe(stimuli=texts(), reader=lambda text: [int(w) for w in text.split()], pooling="mean"),
        ),
        (
            "ResNet-50, 24 M, 224 x 224 pixels",
            ResNetModel(ResNetConfig()),
            Probe(stimuli=pictures(), reader=to_tensor),
        ),
    ]
    for name, model, probe in worlds:
        yield f"rehearsal: {name}", _seconds(partial(probe.rehearse, model)), "once, before training"
        size = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
        with isolating() as spent:
            whole = _seconds(partial(_reading, model, probe))
        yield (
            f"isolation: {name}",
            sum(spent),
            f"{sum(spent) / whole:.2%} of a probe of {N} stimuli without a task ({whole:.1f} s); {size:.0f} MB",
        )


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _reading(model: nn.Module, probe: Probe) -> None:
    """As `take_snapshot` does it."""
    with preserved(model):
        weights_hash(model)
        probe(model)


@contextmanager
def isolating() -> Iterator[list[float]]:
    """CPU seconds that saving and putting back took inside, one entry per call."""
    spent: list[float] = []
    running = [False]

    def timed(work: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object) -> object:
            if running[0]:
                return work(*given)
            running[0], start = True, time.process_time()
            try:
                return work(*given)
            finally:
                running[0] = False
                spent.append(time.process_time() - start)

        return call

    with ExitStack() as stack:
        for name in ("__enter__", "__exit__", "again"):
            stack.enter_context(patch.object(preserved, name, timed(getattr(preserved, name))))
        yield spent
