"""What each stage of a probe costs, saving and putting back what can be reached from a model among them. One thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from transformers import GPT2Config, GPT2Model, ResNetConfig, ResNetModel, ViTConfig, ViTModel

from ontogeny import Assembly, Benchmark, Features, Probe, Record, StimulusSet
from ontogeny.extraction.preserved import preserved
from ontogeny.extraction.weights import weights_hash
from ontogeny.metrics import CKA, RSA, MutualKNN, Ridge, make_folds
from ontogeny.record import Row as Written
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
        (
            "ViT-B, 86 M, 224 x 224 pixels",
            ViTModel(ViTConfig(), add_pooling_layer=False),
            Probe(stimuli=pictures(), reader=to_tensor, pooling="mean"),
        ),
    ]
    for name, model, probe in worlds:
        yield from stages(name, model, probe)


def stages(name: str, model: nn.Module, probe: Probe) -> Iterator[Row]:
    """All that a probe is made of, in the order of doing."""
    yield f"rehearsal: {name}", _seconds(partial(probe.rehearse, model)), "once, before training"
    size = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    read: list[Features] = []
    with isolating() as spent:
        whole = _seconds(lambda: read.append(_reading(model, probe)))
    hashed = _seconds(partial(weights_hash, model))
    without = f"of a probe of {N} stimuli without scoring and task ({whole:.1f} s); {size:.0f} MB"
    yield f"isolation: {name}", sum(spent), f"{sum(spent) / whole:.2%} {without}"
    yield f"hash: {name}", hashed, f"{hashed / whole:.2%}"
    yield f"forward pass and pooling: {name}", whole - sum(spent) - hashed, f"{len(read[0].values)} layers"
    features, given = read[0], benchmark(probe.stimuli)
    start = time.process_time()
    prepared = given.prepare(permutations=5)
    yield (
        f"preparing: {name}",
        time.process_time() - start,
        "once; 1000 voxels in 10 ROIs, default metrics and controls",
    )
    found: list[Written] = []
    scoring = _seconds(lambda: found.extend(prepared.score(features, run="r")))
    yield f"scoring: {name}", scoring, f"{scoring / whole:.2f} x the reading; {len(found):,} rows"
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path(folder) / "r", create=True)
        yield f"writing: {name}", _seconds(lambda: record.append(found)), ""


def benchmark(stimuli: StimulusSet) -> Benchmark:
    responses = np.random.default_rng(0).standard_normal((len(stimuli), 1000))
    ids, labels = stimuli.ids, tuple(f"roi{i // 100}" for i in range(1000))
    words = {"name": "b", "version": "1", "citation": "c", "licence": "l", "about": "a", "simulated": True}
    assembly = Assembly(name="a", subject="s", stimulus_ids=ids, responses=responses, roi=labels)
    metrics = (Ridge(), RSA(), CKA(), MutualKNN())
    return Benchmark(**words, stimuli=stimuli, assemblies=(assembly,), metrics=metrics, folds=make_folds(len(ids)))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _reading(model: nn.Module, probe: Probe) -> Features:
    """As `take_snapshot` does it."""
    with preserved(model):
        weights_hash(model)
        return probe(model)


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
