"""Watched: one benchmark and how the model is read on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ontogeny.benchmark import Benchmark, PreparedBenchmark
from ontogeny.pooling import Pooling
from ontogeny.probe import Probe

__all__ = ["Watched"]

_PERMUTATIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One benchmark and how the model is read on it."""

    benchmark: PreparedBenchmark
    probe: Probe
    controls: bool = True

    @classmethod
    def of(
        cls,
        benchmark: Benchmark,
        *,
        reader: Any,
        layers: str | Sequence[str] = "auto",
        pooling: Pooling | Sequence[Pooling] = "",
        batch_size: int = 64,
        controls: bool = True,
    ) -> Watched:
        """Prepare a benchmark and its probe.

        Args:
            benchmark: what the model is compared with.
            reader: see `Probe`, as are layers, pooling and batch_size.
            layers: which layers are read.
            pooling: one or several.
            batch_size: stimuli a forward pass.
            controls: score random features, permuted stimuli and the stimuli's own surface beside the layers.
        """
        probe = Probe(stimuli=benchmark.stimuli, reader=reader, layers=layers, pooling=pooling, batch_size=batch_size)
        prepared = benchmark.prepare(permutations=_PERMUTATIONS if controls else 0)
        return cls(benchmark=prepared, probe=probe, controls=controls)
