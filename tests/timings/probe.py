"""A whole probe: eight layers scored by every metric, beside the forward pass that made them. CPU seconds, one thread.

1000 stimuli, 1000 voxels in 10 ROIs of one subject; features are means over positions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny import Assembly, Benchmark, Features, StimulusSet
from ontogeny.extraction.features import Site
from ontogeny.metrics import CKA, RSA, Metric, MutualKNN, Ridge, UniqueVariance, make_folds
from tests.timings import Row

torch.set_num_threads(1)
N, V, N_ROIS, N_LAYERS = 1000, 1000, 10, 8
DEFAULT: tuple[Metric, ...] = (Ridge(), RSA(), CKA(), MutualKNN())


class GPT(nn.Module):
    """Eight blocks of 256 dimensions, 16 000 tokens: 10 million parameters."""

    def __init__(self, width: int = 256, vocabulary: int = 16_000, length: int = 32) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(N_LAYERS)
        )
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.mask = nn.Transformer.generate_square_subsequent_mask(length)

    def layers(self, ids: Tensor) -> Iterator[Tensor]:
        x = self.tokens(ids) + self.places.weight
        for block in self.blocks:
            x = block(x, src_mask=self.mask, is_causal=True)
            yield x.mean(dim=1)
        self.head(x)


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.past = nn.Conv2d(inside, outside, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.way(x) + self.past(x))


class CNN(nn.Module):
    """The eight blocks of a ResNet-18, for pictures of 64 x 64: 11 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nn.ModuleList(Block(a, b, 1 + (a != b)) for a, b in pairwise(widths))
        self.head = nn.Linear(512, 1000)

    def layers(self, images: Tensor) -> Iterator[Tensor]:
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
            yield x.mean(dim=(2, 3))
        self.head(x.mean(dim=(2, 3)))


def cpu(work: Callable[[], object], repeats: int = 1) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def read(model: GPT | CNN, inputs: Tensor) -> list[Tensor]:
    with torch.no_grad():
        parts = [list(model.eval().layers(part)) for part in inputs.split(50)]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def benchmark(metrics: tuple[Metric, ...]) -> Benchmark:
    rng = np.random.default_rng(0)
    ids = tuple(f"s{i}" for i in range(N))
    texts = [" ".join("w" * int(k) for k in rng.integers(1, 9, rng.integers(4, 12))) for _ in ids]
    return Benchmark(
        name="timing",
        version="1",
        citation="none",
        licence="none",
        about="made for timings",
        simulated=True,
        stimuli=StimulusSet(name="timing", modality="text", ids=ids, inputs=texts),
        assemblies=(
            Assembly(
                name="timing",
                subject="s1",
                stimulus_ids=ids,
                responses=rng.standard_normal((N, V)),
                roi=tuple(f"roi{i * N_ROIS // V}" for i in range(V)),
            ),
        ),
        metrics=metrics,
        folds=make_folds(N),
    )


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    worlds: list[tuple[str, GPT | CNN, Tensor]] = [
        ("GPT, 32 tokens", GPT(), torch.randint(0, 16_000, (N, 32), generator=generator)),
        ("CNN, 64 x 64 pixels", CNN(), torch.randn(N, 3, 64, 64, generator=generator)),
    ]
    of_all = benchmark(DEFAULT)
    for name, model, inputs in worlds:
        read(model, inputs[:50])
        layers: list[Tensor] = []
        forward = cpu(lambda m=model, i=inputs, into=layers: into.extend(read(m, i)))
        yield f"{name}: forward, {N} stimuli", forward, ""
        values = {Site(f"block{i}", "mean"): x for i, x in enumerate(layers)}
        features = Features(stimulus_ids=of_all.stimuli.ids, values=values, refused={})
        for metrics in (DEFAULT, *((m,) for m in (*DEFAULT, Ridge(rule="loo"), UniqueVariance()))):
            prepared = replace(of_all, metrics=metrics).prepare()
            seconds = cpu(lambda p=prepared, f=features: p.score(f), 3 if len(metrics) == 1 else 5)
            what = metrics[0].name if len(metrics) == 1 else "whole probe: all default metrics"
            yield f"{name}: {what}, {N_LAYERS} layers", seconds, f"{100 * seconds / forward:.0f} % of the forward"
