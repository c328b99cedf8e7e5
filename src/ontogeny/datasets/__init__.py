"""Data sets by name.

load(name)              a Benchmark: "tuckute2024", "kriegeskorte2008", "planted-language", "planted-vision",
                        "planted-captions";
                        of files that you get yourself: "pereira2018", "pereira2018_concepts", "lebel2023", "li2022",
                        "nsd2022", "algonauts2023", "things_fmri"
load("path/to/folder")  your own, made by `ontogeny data build` or `folder.write_benchmark`
training_text(name)     paragraphs to train on: "books"
training_images(name)   pictures to train on: "cifar10-sample"

registry.py           load(): name or folder -> Benchmark
pinned_datasets.py    the literal table: pinned files, citations, terms
manual_datasets.py    sets that users get themselves: where, under which terms, how they lie
data_paths.py         where files are: ONTOGENY_DATA, then the user's cache folder
download.py           one pinned file, resumed and checked
readers/              one reader a public data set
training_samples.py   training_text(), training_images()
_lazy_images.py       pictures that stay in their files
folder/               one folder per benchmark: written, read, verified
own_data/             a lab's own tables, arrays and images -> such a folder
interchange/          to and from rsatoolbox, xarray (Brain-Score) and Hugging Face `datasets`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ontogeny.datasets.data_paths import (
    cache_folder,
    data_folders,
    is_here,
)
from ontogeny.datasets.pinned_datasets import (
    SOURCES,
    PinnedFile,
    Source,
    find_source,
)

if TYPE_CHECKING:
    from ontogeny.datasets.registry import benchmark_names as benchmark_names
    from ontogeny.datasets.registry import load as load
    from ontogeny.datasets.training_samples import training_images as training_images
    from ontogeny.datasets.training_samples import training_text as training_text

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

_WHERE = {  # what needs torch, and is imported when it is first used: `ontogeny data list` does not
    "benchmark_names": "registry",
    "load": "registry",
    "training_images": "training_samples",
    "training_text": "training_samples",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
