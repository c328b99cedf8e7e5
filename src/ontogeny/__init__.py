"""ontogeny: watch a model become brain-like while it trains.

    import ontogeny
    monitor = ontogeny.watch("planted-vision", record="runs/a", transform=my_transform)
    for step, batch in enumerate(loader, 1):
        ...
        monitor(model, step)

Importing this package is cheap: every public name is loaded when it is first used, and no trainer, tracker or
plot library is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ontogeny._renamed import install

if TYPE_CHECKING:
    from ontogeny import lag as lag
    from ontogeny.benchmarks import Benchmark as Benchmark
    from ontogeny.brain import Assembly as Assembly
    from ontogeny.brain import Geometry as Geometry
    from ontogeny.datasets import load as load
    from ontogeny.extraction import Features as Features
    from ontogeny.extraction import Probe as Probe
    from ontogeny.findings.published import load_published as load_published
    from ontogeny.monitoring import HeldOutLoss as HeldOutLoss
    from ontogeny.monitoring import Monitor as Monitor
    from ontogeny.monitoring import watch as watch
    from ontogeny.record import Record as Record
    from ontogeny.record import Score as Score
    from ontogeny.record import Series as Series
    from ontogeny.stimuli import StimulusSet as StimulusSet

install()

__version__ = "0.1.0"

_WHERE = {
    "Assembly": "brain",
    "Benchmark": "benchmarks",
    "Features": "extraction",
    "Geometry": "brain",
    "HeldOutLoss": "monitoring",
    "Monitor": "monitoring",
    "Probe": "extraction",
    "Record": "record",
    "Score": "record",
    "Series": "record",
    "StimulusSet": "stimuli",
    "load": "datasets",
    "load_published": "findings.published",
    "watch": "monitoring",
}

__all__ = [
    "Assembly",
    "Benchmark",
    "Features",
    "Geometry",
    "HeldOutLoss",
    "Monitor",
    "Probe",
    "Record",
    "Score",
    "Series",
    "StimulusSet",
    "lag",
    "load",
    "load_published",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name == "lag":
        return importlib.import_module("ontogeny.lag")
    if name not in _WHERE:
        raise AttributeError(f"module 'ontogeny' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"ontogeny.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
