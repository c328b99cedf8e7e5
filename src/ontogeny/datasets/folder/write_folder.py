"""A benchmark -> a folder, written aside and put in its place as a whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ontogeny._atomic_write import what_helps
from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly, Geometry
from ontogeny.datasets.folder._pieces import write_pieces
from ontogeny.datasets.folder._response_arrays import write_arrays
from ontogeny.datasets.folder._stimulus_tables import as_png, write_parquet, write_pictures
from ontogeny.datasets.folder.benchmark_json import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    NEWER_VERSION,
    is_benchmark_folder,
    listed,
)
from ontogeny.datasets.folder.metrics_json import metric_to_json
from ontogeny.datasets.folder.voxel_extras import Extras, space_to_json
from ontogeny.errors import DataError, nearest
from ontogeny.metrics import Folds, Splits
from ontogeny.record.arrow import arrow

__all__ = ["STIMULI", "STIMULUS_COLUMNS", "VOXEL_COLUMNS", "check_labels", "write_benchmark"]

Arrays = Literal["safetensors", "parquet"]
STIMULI = "stimuli.parquet"
STIMULUS_COLUMNS = ("stimulus_id", "text", "image", "fold", "splits", "group")
VOXEL_COLUMNS = ("roi", "ceiling")


def write_benchmark(
    benchmark: Benchmark,
    folder: str | os.PathLike[str],
    *,
    extras: Mapping[str, Extras] | None = None,
    stimulus_columns: Mapping[str, Any] | None = None,
    dropped: Sequence[Mapping[str, Any]] = (),
    overwrite: bool = False,
    arrays: Arrays = "safetensors",
) -> Path:
    """Write a benchmark as a folder; `read_benchmark` gives it back with the same fingerprint.

    Args:
        benchmark: what to write.
        folder: made, with its parents.
        extras: subject -> what is kept beside its assembly.
        stimulus_columns: more columns of stimuli.parquet: name -> one value per stimulus.
        dropped: what was left out and why: {"subject", "why", "voxels": [numbers]}.
        overwrite: replace a benchmark folder that is there already.
        arrays: "safetensors", or "parquet" for readers that know nothing else.

    Returns:
        The folder.

    Raises:
        DataError: there is something at `folder`, a metric that cannot be named, an ROI without a name, extras that do
            not fit, or a disk that cannot be written.
    """
    target = Path(folder)
    _check_free(target, overwrite)
    scratch: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        facts = _facts(benchmark, dropped)
        _write_stimuli(benchmark, scratch / STIMULI, stimulus_columns or {})
        if benchmark.pieces is not None:
            facts |= {"pieces": write_pieces(scratch, benchmark.pieces), "format_version": NEWER_VERSION}
        if isinstance(benchmark.folds, Splits):
            facts |= {"format_version": NEWER_VERSION}
        if benchmark.primary:
            facts["primary"] = benchmark.primary
        if benchmark.own_stimuli:
            facts |= {"own_stimuli": True, "format_version": NEWER_VERSION}
        facts["assemblies"] = _Writer(scratch, arrays, dict(extras or {})).write(benchmark.assemblies)
        facts["files"] = listed(scratch)
        (scratch / MANIFEST).write_text(_json(facts), encoding="utf-8", newline="\n")
        scratch.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        scratch.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error}; {what_helps(target, error)}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _check_free(target: Path, overwrite: bool) -> None:
    ours = is_benchmark_folder(target)
    if not target.exists() or (ours and overwrite) or (target.is_dir() and not any(target.iterdir())):
        return
    raise DataError(f"{target} is there already; choose another folder{', or ask to overwrite it' if ours else ''}")


def check_labels(labels: Sequence[str], owner: str) -> None:
    """Refuse voxels whose ROI has no name.

    Raises:
        DataError: says how many and the first one.
    """
    empty = [voxel for voxel, label in enumerate(labels) if not label.strip()]
    if empty:
        raise DataError(
            f"{owner}: {len(empty)} of {len(labels)} voxels have an empty ROI label, e.g. voxel {empty[0]}; name them "
            "or leave these voxels out"
        )


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _facts(benchmark: Benchmark, dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    stimuli = benchmark.stimuli
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": benchmark.name,
        "version": benchmark.version,
        "citation": benchmark.citation,
        "licence": benchmark.licence,
        "about": benchmark.about,
        "simulated": benchmark.simulated,
        "baseline": benchmark.baseline,
        "stimuli": {
            "name": stimuli.name,
            "modality": stimuli.modality,
            "contiguous": stimuli.contiguous,
            "file": STIMULI,
        },
        "folds": benchmark.folds.how,
        "metrics": [metric_to_json(metric) for metric in benchmark.metrics],
        "dropped": [dict(entry) for entry in dropped],
    }


def _write_stimuli(benchmark: Benchmark, path: Path, more: Mapping[str, Any]) -> None:
    stimuli, pa = benchmark.stimuli, arrow()
    columns: dict[str, Any] = {"stimulus_id": pa.array(stimuli.ids, pa.string())}
    if stimuli.modality == "text":
        columns["text"] = pa.array(list(stimuli.inputs), pa.string())
    if isinstance(benchmark.folds, Folds):
        columns["fold"] = pa.array(benchmark.folds.held_out, pa.int64())
    else:
        columns["splits"] = pa.array(_roles(benchmark.folds).tolist(), pa.list_(pa.int8()))
    if stimuli.groups is not None:
        columns["group"] = pa.array(stimuli.groups, pa.string())
    columns |= _unreserved(more, STIMULUS_COLUMNS, "stimuli")
    if stimuli.modality == "text":
        write_parquet(path, columns)
        return
    named = zip(stimuli.ids, stimuli.inputs, strict=True)
    write_pictures(path, columns, (as_png(image, f"stimulus {name!r}") for name, image in named), stimuli.ids)


def _roles(splits: Splits) -> np.ndarray:
    """Stimuli x splits: 1 where it is trained on, -1 where it is held out, 0 where neither."""
    roles = np.zeros((splits.n_stimuli, len(splits)), dtype=np.int8)
    for number, (train, test) in enumerate(splits):
        roles[train, number], roles[test, number] = 1, -1
    return roles


def _unreserved(more: Mapping[str, Any], reserved: Sequence[str], owner: str) -> dict[str, Any]:
    taken = [name for name in more if name in reserved]
    if taken:
        raise DataError(f"{owner}: the columns {taken} have a meaning of their own here; give them other names")
    return dict(more)


def _values(assembly: Assembly, extras: Extras) -> dict[str, np.ndarray]:
    if extras.repeats is None:
        return {"responses": assembly.responses}
    if extras.repeats.shape[1:] != assembly.responses.shape:
        raise DataError(
            f"subject {assembly.subject!r}: repeats should be repeats x stimuli x voxels = n x "
            f"{assembly.responses.shape}, got {extras.repeats.shape}"
        )
    return {"responses": assembly.responses, "repeats": extras.repeats}


class _Writer:
    """Assemblies into one folder; `extras` are used up."""

    def __init__(self, folder: Path, arrays: Arrays, extras: dict[str, Extras]) -> None:
        self._folder = folder
        self._suffix = arrays
        self._extras = extras
        self._taken: set[str] = set()

    def write(self, assemblies: Sequence[Assembly | Geometry]) -> list[dict[str, Any]]:
        """Entries of benchmark.json, in the order of the assemblies."""
        subjects = [a.subject for a in assemblies if isinstance(a, Assembly)]
        for subject in self._extras:
            if subjects.count(subject) != 1:
                raise DataError(
                    f"extras are given for subject {subject!r}, which has {subjects.count(subject)} assemblies of "
                    f"voxels, not one. {nearest(subject, subjects)}"
                )
        return [self._voxels(a) if isinstance(a, Assembly) else self._geometry(a) for a in assemblies]

    def _file(self, subject: str) -> str:
        """A file name of a subject's own, also where upper and lower case are one."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", subject).strip("-.") or "subject"
        name, number = plain, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name.casefold())
        return name

    def _voxels(self, assembly: Assembly) -> dict[str, Any]:
        owner, subject = f"subject {assembly.subject!r}", assembly.subject
        extras = self._extras.get(subject, Extras())
        check_labels(assembly.roi, owner)
        columns: dict[str, Any] = {"roi": arrow().array(assembly.roi, arrow().string())}
        if assembly.ceiling is not None:
            columns["ceiling"] = np.asarray(assembly.ceiling)
        columns |= _unreserved(extras.columns, VOXEL_COLUMNS, owner)
        file = self._file(subject)
        entry = {
            "kind": "voxels",
            "name": assembly.name,
            "subject": subject,
            "ceiling_source": assembly.ceiling_source,
            "arrays": self._arrays(f"responses/{file}", _values(assembly, extras), assembly),
            "voxels": f"voxels/{file}.parquet",
        }
        if extras.made_by:
            entry["made_by"] = extras.made_by
        write_parquet(self._folder / entry["voxels"], columns)
        if extras.space is not None:
            extras.space.check(extras.columns, owner)
            entry["space"] = f"space/{file}.json"
            path = self._folder / entry["space"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(_json(space_to_json(extras.space)), encoding="utf-8", newline="\n")
        return entry

    def _geometry(self, geometry: Geometry) -> dict[str, Any]:
        check_labels([geometry.roi], f"subject {geometry.subject!r}")
        file = f"geometry/{self._file(f'{geometry.subject}-{geometry.roi}')}"
        known = {} if geometry.ceiling is None else {"ceiling": geometry.ceiling}
        return {
            "kind": "geometry",
            "name": geometry.name,
            "subject": geometry.subject,
            "roi": geometry.roi,
            "n_voxels": geometry.n_voxels,
            "ceiling_source": geometry.ceiling_source,
            **known,
            "arrays": self._arrays(file, {"rdm": geometry.rdm}, geometry),
        }

    def _arrays(self, name: str, values: Mapping[str, np.ndarray], owner: Assembly | Geometry) -> str:
        file = f"{name}.{self._suffix}"
        write_arrays(
            self._folder / file,
            values,
            name=owner.name,
            subject=owner.subject,
            stimulus_ids=owner.stimulus_ids,
        )
        return file
