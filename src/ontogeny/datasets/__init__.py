"""Data sets by name.

load(name)              a Benchmark: "tuckute2024", "kriegeskorte2008", "planted-language", "planted-vision",
                        "planted-captions";
                        of files that you get yourself: "pereira2018", "pereira2018_concepts", "lebel2023", "li2022",
                        "nsd2022", "algonauts2023", "things_fmri"
load("path/to/folder")  your own, made by `ontogeny data build` or `folder.write_benchmark`
training_text(name)     paragraphs to train on: "books"
training_images(name)   pictures to train on: "cifar10-sample"

catalogue.py    the literal table: pinned files, citations, terms
store.py        where files are: ONTOGENY_DATA, then the user's cache folder
download.py     one pinned file, resumed and checked
elsewhere.py    sets that users get themselves: where, under which terms, how they lie
tuckute.py, kriegeskorte.py, planted.py, training.py    one reader each
pereira.py, lebel.py, petit_prince.py, nsd/, algonauts.py, things_fmri.py    one each for the sets from elsewhere
photos.py                                               pictures that stay in their files
textgrids.py, hdf5.py                                   files of Praat, of HDF5
folder/         one folder a benchmark: written, read, verified
plain.py, subjects.py, building.py    plain tables and arrays -> such a folder
interchange/    to and from rsatoolbox, xarray (Brain-Score) and Hugging Face `datasets`
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ontogeny.benchmark import Benchmark
from ontogeny.datasets.catalogue import SOURCES, PinnedFile, Source, find_source
from ontogeny.datasets.folder import is_benchmark_folder, read_benchmark
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
    "planted-captions": "ontogeny.datasets.planted:load_planted_captions",
    "pereira2018": "ontogeny.datasets.pereira:load_pereira",
    "pereira2018_concepts": "ontogeny.datasets.pereira:load_concepts",
    "lebel2023": "ontogeny.datasets.lebel:load_lebel",
    "li2022": "ontogeny.datasets.petit_prince:load_petit_prince",
    "nsd2022": "ontogeny.datasets.nsd:load_nsd",
    "algonauts2023": "ontogeny.datasets.algonauts:load_algonauts",
    "things_fmri": "ontogeny.datasets.things_fmri:load_things_fmri",
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
