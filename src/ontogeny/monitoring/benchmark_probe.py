"""BenchmarkProbe: one benchmark and how the model is read on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ontogeny._display import one_line
from ontogeny.benchmarks import Benchmark, PreparedBenchmark
from ontogeny.benchmarks.controls import DEFAULT, parse_controls
from ontogeny.extraction import Probe
from ontogeny.extraction.model_inputs import random_tokens
from ontogeny.extraction.random_state import same_randomness
from ontogeny.record import Score

__all__ = ["BenchmarkProbe"]

_PERMUTATIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkProbe:
    """One benchmark and how the model is read on it.

    Args:
        benchmark: with the brain side done.
        probe: of its stimuli.
        controls: by name.
        random: the probe of random tokens, where that control is asked for.
        known: rows of controls that need no model, without their run.
    """

    benchmark: PreparedBenchmark
    probe: Probe
    controls: tuple[str, ...] = DEFAULT
    random: Probe | None = None
    known: tuple[Score, ...] = ()

    __repr__ = one_line

    @property
    def probes(self) -> tuple[Probe, ...]:
        """All that read the model, in the order of reading."""
        return (self.probe,) if self.random is None else (self.probe, self.random)

    @classmethod
    def of(
        cls,
        benchmark: Benchmark,
        *,
        reader: Any,
        controls: bool | str | Sequence[str] = True,
        **how: Any,
    ) -> BenchmarkProbe:
        """Prepare a benchmark and its probe.

        Args:
            benchmark: what the model is compared with.
            reader: see `Probe`.
            controls: what is scored beside the layers: True (random features, permuted stimuli, the surface), False, or
                names, see `ontogeny.benchmarks.controls`.
            **how: layers, pooling and the other options of `Probe`.

        Raises:
            ConfigError: no control of that name.
            DataError: stimuli that a control cannot use.
            ProbeError: random tokens of images.
        """
        names = parse_controls(controls)
        probe = Probe(stimuli=benchmark.read, reader=reader, **how)
        prepared = benchmark.prepare(
            permutations=_PERMUTATIONS if "permuted stimuli" in names else 0,
            within=_PERMUTATIONS if "permuted within groups" in names else 0,
            halves="held-out layer" in names,
        )
        random = None
        if "random tokens" in names:
            with same_randomness():
                random = replace(probe, reader=random_tokens(benchmark.read, reader, truncation=probe.truncation))
        known = prepared.constants(run="", n_features=1, names=["split leak"]) if "split leak" in names else []
        return cls(benchmark=prepared, probe=probe, controls=names, random=random, known=tuple(known))
