"""A folder -> a benchmark, every file checked against benchmark.json and against the others."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly, Geometry
from ontogeny.datasets.folder._pieces import read_pieces
from ontogeny.datasets.folder._response_arrays import Arrays, read_arrays
from ontogeny.datasets.folder._stimulus_tables import column, pictures_of, read_parquet, strings
from ontogeny.datasets.folder.benchmark_json import MANIFEST, BenchmarkManifest, fact, read_manifest
from ontogeny.datasets.folder.metrics_json import metric_from_json
from ontogeny.datasets.folder.voxel_extras import Extras, FolderSpace, space_from_json
from ontogeny.datasets.folder.write_folder import STIMULUS_COLUMNS, VOXEL_COLUMNS, check_labels
from ontogeny.errors import DataError, MetricError
from ontogeny.metrics import Folds, Metric, Splits, make_folds
from ontogeny.stimuli import StimulusSet

__all__ = [
    "assembled",
    "read_assembly",
    "read_benchmark",
    "read_extra",
    "read_extras",
    "read_stimuli",
    "read_stimulus_columns",
]


def read_benchmark(
    folder: str | os.PathLike[str], *, check: bool = True, metrics: Sequence[Metric] | None = None
) -> Benchmark:
    """A folder as a benchmark; responses are memory-mapped where they are safetensors.

    Args:
        folder: with a benchmark.json.
        check: compare every file's sha256; otherwise only its size. (Pairing by id is always checked.)
        metrics: in place of those that the folder names.

    Raises:
        DatasetNotFoundError: no folder, or no benchmark.json in it.
        DataError: anything in it that is not as it should be; names the file.
    """
    manifest = read_manifest(Path(folder))
    stimuli, folds = read_stimuli(manifest, check=check)
    assemblies = [read_assembly(manifest, entry, check=check) for entry in manifest.facts["assemblies"]]
    return assembled(manifest, stimuli, folds, assemblies, metrics=metrics, check=check)


def assembled(
    manifest: BenchmarkManifest,
    stimuli: StimulusSet,
    folds: Folds | Splits,
    assemblies: Sequence[Assembly | Geometry],
    *,
    metrics: Sequence[Metric] | None = None,
    check: bool,
) -> Benchmark:
    """Parts of one folder put together, and what the model reads in place of the stimuli.

    Raises:
        DataError: a metric that is not known, or parts that do not fit each other.
    """
    facts, owner = manifest.facts, str(manifest.folder / MANIFEST)
    if metrics is None:
        metrics = [metric_from_json(entry, owner) for entry in facts["metrics"]]
    return Benchmark(
        name=facts["name"],
        version=facts["version"],
        citation=facts["citation"],
        licence=facts["licence"],
        about=facts["about"],
        simulated=facts["simulated"],
        baseline=facts["baseline"],
        stimuli=stimuli,
        assemblies=tuple(assemblies),
        metrics=tuple(metrics),
        folds=folds,
        pieces=read_pieces(manifest, stimuli, check=check),
        own_stimuli=fact(facts, "own_stimuli", bool, owner) if "own_stimuli" in facts else False,
        primary=fact(facts, "primary", str, owner) if "primary" in facts else "",
    )


def read_stimuli(manifest: BenchmarkManifest, *, check: bool) -> tuple[StimulusSet, Folds | Splits]:
    """The stimuli and the frozen folds.

    Raises:
        DataError: names the file, and the column or stimulus.
    """
    facts, owner = manifest.facts["stimuli"], str(manifest.folder / MANIFEST)
    path = manifest.find(fact(facts, "file", str, owner), check=check)
    modality = fact(facts, "modality", str, owner)
    if modality not in ("text", "image"):
        raise DataError(f"{owner}: modality is 'text' or 'image', got {modality!r}")
    table = read_parquet(path)
    ids = strings(path, table, "stimulus_id")
    stimuli = StimulusSet(
        name=fact(facts, "name", str, owner),
        modality="text" if modality == "text" else "image",
        ids=ids,
        inputs=strings(path, table, "text") if modality == "text" else pictures_of(path, table, ids),
        groups=strings(path, table, "group") if "group" in table.column_names else None,
        contiguous=fact(facts, "contiguous", bool, owner),
    )
    how = manifest.facts["folds"]
    if "splits" in table.column_names and "fold" not in table.column_names:
        return stimuli, replace(_splits(path, table), how=how)
    return stimuli, Folds(held_out=_folds(path, table), how=how)


def _splits(path: Path, table: Any) -> Folds | Splits:
    """Of the column "splits": one list per stimulus with one number per split, see `write_folder`."""
    roles = table.column("splits").to_pylist()
    lengths = {len(of_one or ()) for of_one in roles}
    if len(lengths) != 1 or not {role for of_one in roles for role in of_one or ()} <= {-1, 0, 1}:
        raise DataError(f"{path}: splits should be lists of -1, 0 and 1, as many for each stimulus, got {lengths} long")
    columns = np.asarray(roles, dtype=np.int8).T
    try:
        return make_folds(len(roles), cv=[(np.flatnonzero(c == 1), np.flatnonzero(c == -1)) for c in columns])
    except MetricError as error:
        raise DataError(f"{path}: {error}") from error


def _folds(path: Path, table: Any) -> tuple[int, ...]:
    held_out = column(path, table, "fold")
    used = np.unique(held_out)
    if held_out.dtype.kind not in "iu" or len(used) < 2 or not np.array_equal(used, np.arange(len(used))):
        raise DataError(f"{path}: folds should be numbered 0, 1, ... and at least two, got {used.tolist()[:12]}")
    return tuple(int(fold) for fold in held_out)


def read_assembly(manifest: BenchmarkManifest, entry: Any, *, check: bool) -> Assembly | Geometry:
    """One entry of benchmark.json's list of assemblies.

    Raises:
        DataError: names the file.
    """
    owner = f"{manifest.folder / MANIFEST}, assemblies"
    subject, kind = fact(entry, "subject", str, owner), fact(entry, "kind", str, owner)
    if kind not in ("voxels", "geometry"):
        raise DataError(f"{owner}: kind is 'voxels' or 'geometry', got {kind!r}")
    path = manifest.find(fact(entry, "arrays", str, owner), check=check)
    arrays, ids = read_arrays(path, subject=subject)
    name = fact(entry, "name", str, owner)
    if kind == "geometry":
        return Geometry(
            name=name,
            subject=subject,
            roi=fact(entry, "roi", str, owner),
            stimulus_ids=ids,
            rdm=_array(path, arrays, "rdm"),
            n_voxels=fact(entry, "n_voxels", int, owner),
            ceiling=float(fact(entry, "ceiling", float, owner)) if "ceiling" in entry else None,
            ceiling_source=fact(entry, "ceiling_source", str, owner) if "ceiling_source" in entry else "not known",
        )
    table_path = manifest.find(fact(entry, "voxels", str, owner), check=check)
    table = read_parquet(table_path)
    roi = strings(table_path, table, "roi")
    check_labels(roi, str(table_path))
    return Assembly(
        name=name,
        subject=subject,
        stimulus_ids=ids,
        responses=_array(path, arrays, "responses"),
        roi=roi,
        ceiling=_ceiling(table_path, table),
        ceiling_source=fact(entry, "ceiling_source", str, owner),
    )


def _array(path: Path, arrays: Arrays, name: str) -> np.ndarray:
    if name not in arrays or arrays[name].ndim != 2:
        raise DataError(
            f"{path} should hold a two-dimensional {name!r}, got { {k: v.shape for k, v in arrays.items()} }"
        )
    return arrays[name]


def _ceiling(path: Path, table: Any) -> np.ndarray | None:
    if "ceiling" not in table.column_names:
        return None
    values = column(path, table, "ceiling")
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(f"{path}: column 'ceiling' should be finite numbers, one per voxel; leave it out if not known")
    return values


def read_extras(folder: str | os.PathLike[str], *, check: bool = True) -> dict[str, Extras]:
    """Subject -> voxel columns, repeats and space, for subjects with voxels.

    Args:
        folder: with a benchmark.json.
        check: compare every file's sha256; otherwise only its size.

    Raises:
        DataError: names the file.
    """
    manifest = read_manifest(Path(folder))
    entries = [e for e in manifest.facts["assemblies"] if isinstance(e, dict) and e.get("kind") == "voxels"]
    return {str(entry.get("subject")): read_extra(manifest, entry, check=check) for entry in entries}


def read_stimulus_columns(folder: str | os.PathLike[str]) -> dict[str, Shaped[np.ndarray, " stimuli"]]:
    """Columns of stimuli.parquet that are the user's own.

    Args:
        folder: with a benchmark.json.

    Raises:
        DataError: names the file.
    """
    manifest = read_manifest(Path(folder))
    owner = str(manifest.folder / MANIFEST)
    path = manifest.find(fact(manifest.facts["stimuli"], "file", str, owner), check=False)
    table = read_parquet(path)
    return {name: column(path, table, name) for name in table.column_names if name not in STIMULUS_COLUMNS}


def read_extra(manifest: BenchmarkManifest, entry: Any, *, check: bool) -> Extras:
    """What is kept beside one assembly of voxels.

    Raises:
        DataError: names the file.
    """
    owner = f"{manifest.folder / MANIFEST}, assemblies"
    path = manifest.find(fact(entry, "arrays", str, owner), check=check)
    arrays, _ = read_arrays(path, subject=fact(entry, "subject", str, owner))
    table_path = manifest.find(fact(entry, "voxels", str, owner), check=check)
    table = read_parquet(table_path)
    names = [name for name in table.column_names if name not in VOXEL_COLUMNS]
    columns = {name: column(table_path, table, name) for name in names}
    space = _space(manifest, fact(entry, "space", str, owner), check=check) if "space" in entry else None
    if space is not None:
        space.check(columns, str(table_path))
    made_by = fact(entry, "made_by", str, owner) if "made_by" in entry else ""
    return Extras(columns=columns, repeats=arrays.get("repeats"), space=space, made_by=made_by)


def _space(manifest: BenchmarkManifest, file: str, *, check: bool) -> FolderSpace:
    path = manifest.find(file, check=check)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} cannot be read as JSON ({error})") from error
    return space_from_json(facts, str(path))
