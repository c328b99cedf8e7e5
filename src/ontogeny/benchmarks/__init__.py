"""Benchmark: stimulus set + assemblies + metrics + frozen folds + version + citation.

`prepare()` does all that depends on the brain side alone, once; what it returns scores any number of probes.

benchmark.py          Benchmark
prepared.py           PreparedBenchmark: what scores
fitted.py             FittedEncoding: weights, predictions and residuals of an encoding model
drawn_scores.py       a record's curves for stimuli drawn anew, from kept features
partition.py          what layers, and feature spaces of one's own, explain alone and together
stimulus_mapping.py   StimulusMapping: what a model reads (words) -> stimuli (volumes)
controls.py           what stands beside the layers, by name
protocols.py          published studies by name: their metrics, and what they read
shen2026.py           the grid of a published study: its metrics, and the number it plots
diagnostics/          row order, leaks between folds, how small an effect shows
"""

from __future__ import annotations

from ontogeny._renamed import renamed
from ontogeny.benchmarks.benchmark import (
    MIN_STIMULI,
    Benchmark,
)
from ontogeny.benchmarks.fitted import (
    FittedEncoding,
)
from ontogeny.benchmarks.partition import (
    partition_variance,
)
from ontogeny.benchmarks.prepared import (
    PreparedBenchmark,
)
from ontogeny.benchmarks.stimulus_mapping import (
    StimulusMapping,
)

__all__ = ["MIN_STIMULI", "Benchmark", "FittedEncoding", "PreparedBenchmark", "StimulusMapping", "partition_variance"]

__getattr__ = renamed(__name__, {"Pieces": "StimulusMapping"})
