"""Where files are: `ONTOGENY_DATA` (only read), then the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs

from ontogeny.datasets.pinned_datasets import PinnedFile, Source
from ontogeny.errors import ChecksumError, DatasetNotFoundError

__all__ = ["cache_folder", "check_file", "data_folders", "find_file", "is_here", "locate", "place"]


def cache_folder() -> Path:
    """The user's cache folder of this package; downloads go here."""
    return Path(platformdirs.user_cache_dir("ontogeny"))


def data_folders() -> tuple[Path, ...]:
    """Folders looked into, in this order."""
    given = os.environ.get("ONTOGENY_DATA", "").strip()
    return (Path(given).expanduser(), cache_folder()) if given else (cache_folder(),)


def place(folder: Path, file: PinnedFile) -> Path:
    """Where a pinned file lies, or would lie, in a folder."""
    return folder.joinpath(*file.path.split("/"))


def locate(file: PinnedFile) -> Path | None:
    """The first folder's copy of a file, or None."""
    for folder in data_folders():
        path = place(folder, file)
        if path.is_file():
            return path
    return None


def is_here(source: Source) -> bool:
    """Whether all files of a data set are on this machine (embedded worlds always are)."""
    return all(locate(file) is not None for file in source.files)


def find_file(source: Source, name: str) -> Path:
    """Path of one of a data set's files, by its last name.

    The content is not hashed here: readers check what they read, and a benchmark's fingerprint covers the values.
    `ontogeny data verify` compares the bytes.

    Raises:
        DatasetNotFoundError: it is in none of the folders; says which these are and the command that gets it.
    """
    file = next(f for f in source.files if f.path.split("/")[-1] == name)
    path = locate(file)
    if path is not None:
        return path
    looked = " and ".join(str(place(folder, file)) for folder in data_folders())
    if file.address is None:
        todo = f"this sample has no public file; use {source.stand_in}, or set ONTOGENY_DATA to a folder that has it"
    else:
        todo = f"run `ontogeny data get {source.name}`, or set ONTOGENY_DATA to a folder that has it"
    raise DatasetNotFoundError(f"{source.name}: {name} is not on this machine; looked at {looked}; {todo}")


def check_file(path: Path, file: PinnedFile) -> None:
    """Compare size and sha256 with the pinned ones.

    Raises:
        ChecksumError: the file is another one.
    """
    size = path.stat().st_size
    if size != file.size:
        raise ChecksumError(f"{path}: expected {file.size} bytes, got {size}; it is cut short or another version")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        raise ChecksumError(f"{path}: expected sha256 {file.sha256}, got {found}; it is damaged or another version")
