"""HDF5 files; h5py stands behind this module (extra `hdf5`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, require

__all__ = ["open_hdf5"]


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file, open for reading: an `h5py.File`.

    Raises:
        DataError: no such file, or one that is not HDF5.
        MissingExtraError: h5py is not installed.
    """
    h5py = require("h5py", "hdf5")
    if not path.is_file():
        raise DataError(f"{path} is not there; of a datalad set, `datalad get` brings what a link stands for")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} cannot be read as HDF5 ({error}); it may be cut short, get it anew") from error
    with file:
        yield file
