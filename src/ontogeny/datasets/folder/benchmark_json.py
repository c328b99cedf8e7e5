"""benchmark.json: what a folder says of itself, checked before anything is believed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontogeny.datasets.data_paths import check_file, place
from ontogeny.datasets.pinned_datasets import PinnedFile
from ontogeny.errors import ChecksumError, DataError, DatasetNotFoundError, nearest

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "NEWER_VERSION",
    "BenchmarkManifest",
    "fact",
    "is_benchmark_folder",
    "listed",
    "read_manifest",
]

FORMAT = "ontogeny benchmark folder"
FORMAT_VERSION = 1
NEWER_VERSION = 2
"""Of folders that an older reader would take for something else: pieces, subjects with own stimuli, splits."""
MANIFEST = "benchmark.json"

_FACTS: dict[str, type] = {
    "name": str,
    "version": str,
    "citation": str,
    "licence": str,
    "about": str,
    "simulated": bool,
    "baseline": bool,
    "stimuli": dict,
    "folds": str,
    "metrics": list,
    "assemblies": list,
    "dropped": list,
    "files": dict,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkManifest:
    """A folder and what its benchmark.json says.

    Args:
        folder: where it lies.
        facts: the JSON object; every key of the format is there and of the right type.
        files: path in the folder -> size and sha256.
    """

    folder: Path
    facts: Mapping[str, Any]
    files: Mapping[str, PinnedFile]

    def find(self, path: str, *, check: bool) -> Path:
        """Where a listed file is.

        Args:
            path: as benchmark.json has it.
            check: compare its sha256 too, not only its size.

        Raises:
            DataError: it is not listed, or leads out of the folder.
            ChecksumError: missing, cut short, or another file.
        """
        if path not in self.files:
            raise DataError(
                f"{self.folder / MANIFEST} uses {path!r} but lists no such file. {nearest(path, self.files)}"
            )
        found = place(self.folder, self.files[path])
        if not found.resolve().is_relative_to(self.folder.resolve()):
            raise DataError(f"{found} leads out of the folder, to {found.resolve()}; a benchmark keeps its own files")
        if not found.is_file():
            raise ChecksumError(f"{found} is missing, though {MANIFEST} lists it; get the whole folder anew")
        if check:
            check_file(found, self.files[path])
        elif found.stat().st_size != self.files[path].size:
            raise ChecksumError(f"{found}: expected {self.files[path].size} bytes, got {found.stat().st_size}")
        return found


def is_benchmark_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a benchmark.json in it."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(folder: Path) -> BenchmarkManifest:
    """Read and check a folder's benchmark.json; no other file is opened.

    Raises:
        DatasetNotFoundError: no such folder, or no benchmark.json in it.
        DataError: not JSON, another format, a newer version, a key missing or of a wrong type, a path that leaves
            the folder.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DatasetNotFoundError(f"{folder} has no {MANIFEST}; make one with `ontogeny data build {folder} ...`")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); it may be cut short") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT!r}; this is another kind of file")
    version = fact(facts, "format_version", int, str(path))
    if version not in (FORMAT_VERSION, NEWER_VERSION):
        todo = "install a newer ontogeny" if version > NEWER_VERSION else "build the folder anew"
        raise DataError(
            f"{path} has format version {version}, this ontogeny reads {FORMAT_VERSION} and {NEWER_VERSION}; {todo}"
        )
    for key, kind in _FACTS.items():
        fact(facts, key, kind, str(path))
    for entry in facts["dropped"]:
        for key, kind in (("subject", str), ("why", str), ("voxels", list)):
            fact(entry, key, kind, f"{path}, dropped")
    return BenchmarkManifest(folder=folder, facts=facts, files=_files(facts["files"], path))


def fact(facts: Any, key: str, kind: type, owner: str) -> Any:
    """One value of a JSON object, of the kind that is expected there.

    Raises:
        DataError: no object, no such key, or of another kind.
    """
    if not isinstance(facts, dict) or key not in facts:
        raise DataError(f"{owner}: {key!r} is missing; expected a {kind.__name__}")
    value = facts[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(f"{owner}: {key!r} should be a {kind.__name__}, got {value!r}")
    return value


def _files(listing: Mapping[str, Any], path: Path) -> dict[str, PinnedFile]:
    out = {}
    for name, about in listing.items():
        owner = f"{path}, file {name!r}"
        sha256, size = fact(about, "sha256", str, owner), fact(about, "bytes", int, owner)
        try:
            out[name] = PinnedFile(path=name, sha256=sha256, size=size)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    return out


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Path -> sha256 and bytes of all files in a folder, without benchmark.json itself; sorted by path."""
    out: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            out[name] = {"sha256": sha256, "bytes": path.stat().st_size}
    return out
