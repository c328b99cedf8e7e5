"""The registry: name or folder -> Benchmark."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ontogeny.benchmarks import Benchmark
from ontogeny.datasets.folder import is_benchmark_folder, read_benchmark
from ontogeny.datasets.pinned_datasets import SOURCES
from ontogeny.errors import DataError, nearest

__all__ = ["benchmark_names", "load"]

_READERS: dict[str, str] = {
    "tuckute2024": "ontogeny.datasets.readers.tuckute:load_tuckute",
    "kriegeskorte2008": "ontogeny.datasets.readers.kriegeskorte:load_kriegeskorte",
    "planted-language": "ontogeny.datasets.readers.planted:load_planted_language",
    "planted-vision": "ontogeny.datasets.readers.planted:load_planted_vision",
    "planted-captions": "ontogeny.datasets.readers.planted:load_planted_captions",
    "pereira2018": "ontogeny.datasets.readers.pereira:load_pereira",
    "pereira2018_concepts": "ontogeny.datasets.readers.pereira:load_concepts",
    "lebel2023": "ontogeny.datasets.readers.lebel:load_lebel",
    "li2022": "ontogeny.datasets.readers.petit_prince:load_petit_prince",
    "nsd2022": "ontogeny.datasets.readers.nsd:load_nsd",
    "algonauts2023": "ontogeny.datasets.readers.algonauts:load_algonauts",
    "things_fmri": "ontogeny.datasets.readers.things_fmri:load_things_fmri",
}


def benchmark_names() -> tuple[str, ...]:
    """Names that `load` takes."""
    return tuple(_READERS)


def load(name: str | os.PathLike[str], **options: Any) -> Benchmark:
    """A benchmark by name, or from its folder.

    Args:
        name: see `benchmark_names()`, or `ontogeny data list`; or the path of a benchmark folder (`datasets.folder`).
        options: the data set's own: `condition="B" | "D" | "S"` (tuckute2024), `monkey=True` (kriegeskorte2008),
            `seed` and `n_stimuli` (embedded worlds), `folder` (sets from elsewhere), `check` and `metrics` (a folder).

    Raises:
        DataError: no such name or option (says the nearest), or files that cannot be used.
        DatasetNotFoundError: files are not on this machine; says where it looked and the command that gets them.

    Example:
        >>> benchmark = load("planted-language")
        >>> benchmark.stimuli.modality, [metric.name for metric in benchmark.metrics]
        ('text', ['ridge-gcv'])
    """
    reader = _reader(name)
    allowed = list(inspect.signature(reader).parameters)
    for option in options:
        if option not in allowed:
            raise DataError(f"benchmark {os.fspath(name)!r} has no option {option!r}. {nearest(option, allowed)}")
    return reader(**options)


def _reader(name: str | os.PathLike[str]) -> Callable[..., Benchmark]:
    if isinstance(name, str) and name in _READERS:
        module, _, attribute = _READERS[name].partition(":")
        reader: Callable[..., Benchmark] = getattr(importlib.import_module(module), attribute)
        return reader
    path = Path(name)
    if is_benchmark_folder(path) or not isinstance(name, str) or len(path.parts) > 1 or path.is_dir():
        return functools.partial(read_benchmark, path.expanduser())
    if name in [s.name for s in SOURCES]:
        raise DataError(f"{name!r} is a training sample, not a benchmark; use training_text() or training_images()")
    raise DataError(f"no benchmark is called {name!r}. {nearest(name, _READERS)} A folder is given by its path.")
