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

if TYPE_CHECKING:
    from ontogeny import lag as lag
    from ontogeny.assembly import Assembly as Assembly
    from ontogeny.assembly import Geometry as Geometry
    from ontogeny.benchmark import Benchmark as Benchmark
    from ontogeny.datasets import load as load
    from ontogeny.extraction.features import Features as Features
    from ontogeny.extraction.probe import Probe as Probe
    from ontogeny.monitor import Monitor as Monitor
    from ontogeny.published import load_published as load_published
    from ontogeny.scores import Score as Score
    from ontogeny.series import Record as Record
    from ontogeny.series import Series as Series
    from ontogeny.stimuli import StimulusSet as StimulusSet
    from ontogeny.task import HeldOutLoss as HeldOutLoss
    from ontogeny.watching import watch as watch

__version__ = "0.1.0"

_WHERE = {
    "Assembly": "assembly",
    "Benchmark": "benchmark",
    "Features": "extraction.features",
    "Geometry": "assembly",
    "HeldOutLoss": "task",
    "Monitor": "monitor",
    "Probe": "extraction.probe",
    "Record": "series",
    "Score": "scores",
    "Series": "series",
    "StimulusSet": "stimuli",
    "load": "datasets",
    "load_published": "published",
    "watch": "watching",
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
