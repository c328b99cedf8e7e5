"""All that is wrong with a folder, not only the first thing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ontogeny.brain import Assembly, Geometry
from ontogeny.datasets.folder.benchmark_json import MANIFEST, BenchmarkManifest, read_manifest
from ontogeny.datasets.folder.read_folder import assembled, read_assembly, read_extra, read_stimuli
from ontogeny.errors import DataError, MetricError

__all__ = ["FolderProblem", "verify_folder"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderProblem:
    """One thing that is not as it should be.

    Args:
        where: the file in the folder, or the part of the benchmark.
        what: expected, got, what to do.
    """

    where: str
    what: str


class _Findings:
    """Runs checks and keeps what they raise."""

    def __init__(self) -> None:
        self.problems: list[FolderProblem] = []

    def of(self, where: str, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except (DataError, MetricError) as error:
            if str(error) not in {problem.what for problem in self.problems}:
                self.problems.append(FolderProblem(where=where, what=str(error)))
            return None


def verify_folder(folder: str | os.PathLike[str]) -> list[FolderProblem]:
    """Hash and read everything in a folder: files, ids, NaN, constant voxels, ROIs, ceilings, places, folds, metrics.

    Args:
        folder: with a benchmark.json.

    Returns:
        What is wrong; empty where the benchmark can be scored.

    Raises:
        DataError: there is no benchmark.json that could be read.
    """
    manifest = read_manifest(Path(folder))
    found = _Findings()
    for name in manifest.files:
        found.of(name, lambda name=name: manifest.find(name, check=True))  # type: ignore[misc]
    wrong = {problem.where for problem in found.problems}
    found.problems += _strangers(manifest)
    readable = str(manifest.facts["stimuli"].get("file")) not in wrong
    read = found.of("stimuli", lambda: read_stimuli(manifest, check=False)) if readable else None
    if read is not None and read[0].modality == "image":
        stimuli = read[0]
        found.of("stimuli", lambda: [stimuli.inputs[row] for row in range(len(stimuli))])
    assemblies: list[Assembly | Geometry] = []
    for number, entry in enumerate(manifest.facts["assemblies"]):
        where = f"{MANIFEST}, assembly {number}"
        if isinstance(entry, dict) and wrong & {str(entry.get(key)) for key in ("arrays", "voxels", "space")}:
            continue
        assembly = found.of(where, lambda entry=entry: read_assembly(manifest, entry, check=False))  # type: ignore[misc]
        if isinstance(assembly, Assembly):
            found.of(where, lambda entry=entry: read_extra(manifest, entry, check=False))  # type: ignore[misc]
        assemblies += [] if assembly is None else [assembly]
    if read is not None and not found.problems:
        found.of("benchmark", lambda: assembled(manifest, *read, assemblies, check=False).prepare())
    return found.problems


def _strangers(manifest: BenchmarkManifest) -> list[FolderProblem]:
    """Files that benchmark.json does not list: nothing vouches for them. A README and hidden files are let pass."""
    there = [path.relative_to(manifest.folder) for path in sorted(manifest.folder.rglob("*")) if path.is_file()]
    return [
        FolderProblem(where=path.as_posix(), what=f"{path.as_posix()} is not listed in {MANIFEST}; move it elsewhere")
        for path in there
        if path.as_posix() not in manifest.files
        and path.as_posix() not in (MANIFEST, "README.md")
        and not any(part.startswith(".") for part in path.parts)
    ]
