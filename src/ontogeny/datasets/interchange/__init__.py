"""To and from other libraries' layouts: `export` writes files, the modules convert objects.

hub_dataset.py   Hugging Face `datasets`: Parquet and a dataset card; a benchmark folder too, so that `load` reads it
rsatoolbox.py    `Dataset` and `RDMs`
xarray.py        Brain-Score's assemblies: presentation x neuroid
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly, Geometry
from ontogeny.datasets.interchange.hub_dataset import write_hub
from ontogeny.datasets.interchange.rsatoolbox import (
    dataset_from_rsatoolbox,
    dataset_to_rsatoolbox,
    rdms_from_rsatoolbox,
    rdms_to_rsatoolbox,
)
from ontogeny.datasets.interchange.xarray import assemblies_from_xarray, assembly_to_xarray, read_netcdf
from ontogeny.datasets.registry import load
from ontogeny.errors import DataError

__all__ = [
    "assemblies_from_xarray",
    "assembly_to_xarray",
    "dataset_from_rsatoolbox",
    "dataset_to_rsatoolbox",
    "export",
    "rdms_from_rsatoolbox",
    "rdms_to_rsatoolbox",
    "read_netcdf",
    "write_hub",
]

Layout = Literal["datasets", "rsatoolbox", "xarray"]


def export(name: str | os.PathLike[str], out: str | os.PathLike[str], *, to: Layout) -> list[Path]:
    """Write a benchmark as files of another library.

    Args:
        name: of a benchmark, or its folder.
        out: folder to make.
        to: "datasets" (Parquet and a card), "rsatoolbox" (HDF5), "xarray" (NetCDF).

    Returns:
        What was written.

    Raises:
        DataError: there is something at `out`, or nothing that this layout can hold.
        MissingExtraError: the library is not installed.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is there already; choose another folder")
    if to == "datasets":
        return [write_hub(name, target)]
    benchmark = load(name)
    return _rsatoolbox(benchmark, target) if to == "rsatoolbox" else _xarray(benchmark, target)


def _rsatoolbox(benchmark: Benchmark, out: Path) -> list[Path]:
    written = _each(benchmark, out, ".h5", lambda a, path: dataset_to_rsatoolbox(a).save(str(path), file_type="hdf5"))
    geometries = [a for a in benchmark.assemblies if isinstance(a, Geometry)]
    if geometries:
        out.mkdir(parents=True, exist_ok=True)
        rdms_to_rsatoolbox(geometries).save(str(out / "rdms.h5"), file_type="hdf5")
        written.append(out / "rdms.h5")
    return written


def _xarray(benchmark: Benchmark, out: Path) -> list[Path]:
    written = _each(benchmark, out, ".nc", lambda a, path: assembly_to_xarray(a).to_netcdf(path, engine="scipy"))
    if not written:
        raise DataError(f"benchmark {benchmark.name!r} has RDMs and no voxels; export them to rsatoolbox or datasets")
    return written


def _each(benchmark: Benchmark, out: Path, ending: str, save: Callable[[Assembly, Path], object]) -> list[Path]:
    written: list[Path] = []
    for assembly in benchmark.assemblies:
        if isinstance(assembly, Assembly):
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{len(written) + 1:02d}-{_plain(assembly.subject)}{ending}"
            save(assembly, path)
            written.append(path)
    return written


def _plain(subject: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in subject)
