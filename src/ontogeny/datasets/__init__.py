"""Data sets by name.

load(name)              a Benchmark: "tuckute2024", "kriegeskorte2008", "planted-language", "planted-vision"
training_text(name)     paragraphs to train on: "books"
training_images(name)   pictures to train on: "cifar10-sample"

catalogue.py    the literal table: pinned files, citations, terms
store.py        where files are: ONTOGENY_DATA, then the user's cache folder
download.py     one pinned file, resumed and checked
tuckute.py, kriegeskorte.py, planted.py, training.py    one reader each
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from ontogeny.benchmark import Benchmark
from ontogeny.datasets.catalogue import SOURCES, PinnedFile, Source, find_source
from ontogeny.datasets.store import cache_folder, data_folders, is_here
from ontogeny.datasets.training import training_images, training_text
from ontogeny.errors import DataError, nearest

__all__ = [
    "SOURCES",
    "PinnedFile",
    "Source",
    "benchmark_names",
    "cache_folder",
    "data_folders",
    "find_source",
    "is_here",
    "load",
    "training_images",
    "training_text",
]

_READERS: dict[str, str] = {
    "tuckute2024": "ontogeny.datasets.tuckute:load_tuckute",
    "kriegeskorte2008": "ontogeny.datasets.kriegeskorte:load_kriegeskorte",
    "planted-language": "ontogeny.datasets.planted:load_planted_language",
    "planted-vision": "ontogeny.datasets.planted:load_planted_vision",
}


def benchmark_names() -> tuple[str, ...]:
    """Names that `load` takes."""
    return tuple(_READERS)


def load(name: str, **options: Any) -> Benchmark:
    """A benchmark by name.

    Args:
        name: see `benchmark_names()`, or `ontogeny data list`.
        options: the data set's own: `condition="B" | "D" | "S"` (tuckute2024), `monkey=True` (kriegeskorte2008),
            `seed` and `n_stimuli` (embedded worlds).

    Raises:
        DataError: no such name or option (says the nearest), or files that cannot be used.
        DatasetNotFoundError: files are not on this machine; says where it looked and the command that gets them.
    """
    if name not in _READERS:
        known = [s.name for s in SOURCES if s.name not in _READERS]
        if name in known:
            raise DataError(f"{name!r} is a training sample, not a benchmark; use training_text() or training_images()")
        raise DataError(f"no benchmark is called {name!r}. {nearest(name, _READERS)}")
    reader = _reader(name)
    allowed = inspect.signature(reader).parameters
    for option in options:
        if option not in allowed:
            raise DataError(f"benchmark {name!r} has no option {option!r}. {nearest(option, allowed)}")
    return reader(**options)


def _reader(name: str) -> Callable[..., Benchmark]:
    module, _, attribute = _READERS[name].partition(":")
    reader: Callable[..., Benchmark] = getattr(importlib.import_module(module), attribute)
    return reader
