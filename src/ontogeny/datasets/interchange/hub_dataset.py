"""Hugging Face `datasets` on the hub's layout: a benchmark folder with Parquet arrays, and a dataset card.

`datasets.load_dataset(OUT, "stimuli")` reads the stimuli, "responses-s1" and so on the rest; `load(OUT)` the whole.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from ontogeny.benchmarks import Benchmark
from ontogeny.datasets.folder import is_benchmark_folder, read_extras, read_stimulus_columns, write_benchmark
from ontogeny.datasets.folder.benchmark_json import read_manifest
from ontogeny.datasets.folder.write_folder import STIMULI
from ontogeny.datasets.registry import benchmark_names, load

__all__ = ["write_hub"]

# Identifiers that the hub knows, as people write them in a line on licences.
_LICENCES = ("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "mit", "apache-2.0", "odc-by")
_CARD = """\
# {name}

{about}

{count} {modality} stimuli; subjects: {subjects}; ROIs: {rois}.{simulated}

```python
import ontogeny
benchmark = ontogeny.load("path/to/this/folder")

import datasets
stimuli = datasets.load_dataset("path/to/this/folder", "stimuli", split="train")
```

Arrays have one row per stimulus, matched by `stimulus_id`. Format: benchmark.json, version {version} of `ontogeny`.

**Please cite** {citation}

**Terms** {licence}
"""


def write_hub(name: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write a benchmark on the hub's layout.

    Args:
        name: of a benchmark, or its folder: then what is kept beside the responses comes along.
        out: folder to make.

    Raises:
        DataError: there is something at `out`, or the benchmark cannot be read or written.
    """
    benchmark, own = load(name), name not in benchmark_names() and is_benchmark_folder(name)
    folder = write_benchmark(
        benchmark,
        out,
        extras=read_extras(name, check=False) if own else None,
        stimulus_columns=read_stimulus_columns(name) if own else None,
        dropped=read_manifest(Path(name)).facts["dropped"] if own else (),
        arrays="parquet",
    )
    manifest = read_manifest(folder)
    card = _card(benchmark, list(manifest.files), version=manifest.facts["format_version"])
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return folder


def _card(benchmark: Benchmark, files: list[str], *, version: int) -> str:
    facts = benchmark.describe("")
    head: dict[str, Any] = {
        "pretty_name": benchmark.name,
        "license": _licence(benchmark.licence),
        "tags": ["neuroscience", "brain", "ontogeny"],
        "configs": [
            {
                "config_name": _config(file),
                "data_files": file,
                "default": file == STIMULI,
            }
            for file in files
            if file.endswith(".parquet")
        ],
    }
    body = _CARD.format(
        version=version,
        name=benchmark.name,
        about=benchmark.about,
        count=facts["n_stimuli"],
        modality=facts["modality"],
        subjects=", ".join(facts["subjects"]),
        rois=", ".join(facts["rois"]),
        simulated=" SIMULATED: the responses are computed, not measured." if benchmark.simulated else "",
        citation=benchmark.citation,
        licence=benchmark.licence,
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n{body}"


def _config(file: str) -> str:
    """Name of a part: responses/s1.parquet is "responses-s1"."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", file.removesuffix(".parquet").replace("/", "-"))


def _licence(line: str) -> str:
    plain = re.sub(r"[\s_]+", "-", line.strip().casefold())
    return plain if plain in _LICENCES else "other"
