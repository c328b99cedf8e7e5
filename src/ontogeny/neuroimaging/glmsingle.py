"""GLMsingle's outputs: betas of single trials, and the design that says which condition each trial is of.

The Python version writes `TYPED_FITHRF_GLMDENOISE_RR.npy` (a dictionary with `betasmd`) or `.hdf5`, and
`DESIGNINFO.npy` (`stimorder` from 0, `numtrialrun`); the MATLAB version `.mat` with `modelmd`, and `DESIGNINFO.mat`
(`stimorder` from 1). Trials are in the order of time, run after run. The files have no affine: voxels are those of the
atlas, whose shape must be theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float
from scipy.io.matlab import MatReadError

from ontogeny.errors import DataError
from ontogeny.neuroimaging._npy_objects import read_objects
from ontogeny.neuroimaging.hdf5_files import open_hdf5
from ontogeny.neuroimaging.table_files import Sheet, read_sheet

__all__ = ["CONDITIONS", "ENDINGS", "design_sheet", "read_betasmd"]

ENDINGS = (".npy", ".mat", ".hdf5", ".h5")
CONDITIONS = "conditions.tsv"
_BETAS = ("betasmd", "modelmd")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """Values by name; of a MATLAB file conditions count from 1."""

    values: dict[str, Any]
    matlab: bool


def read_betasmd(path: Path) -> Float[np.ndarray, "x y z trials"]:
    """Betas of single trials; of a list of voxels or vertices, y and z are 1.

    Raises:
        DataError: no such file, or without betas.
        MissingExtraError: h5py is not installed, which `.hdf5` and new `.mat` files need.
    """
    found = _read(path, _BETAS).values
    name = next((name for name in _BETAS if isinstance(found.get(name), np.ndarray)), None)
    if name is None:
        raise DataError(f"{path}: expected GLMsingle's betas, {' or '.join(_BETAS)}, got {sorted(found)[:12]}")
    betas = np.asarray(found[name], dtype=np.float32)
    if betas.ndim == 2:
        betas = betas[:, None, None, :]
    if betas.ndim != 4:
        raise DataError(f"{path}: {name!r} should be x, y, z, trials or voxels x trials, got {betas.shape}")
    return betas


def design_sheet(path: Path) -> Sheet:
    """The design as a table of trials, with the columns stimulus_id, run and condition.

    Conditions are columns of the design matrix and have no names: `conditions.tsv` beside the design has one row for
    each, with the column stimulus_id.

    Raises:
        DataError: no design, no names, or other numbers of them.
    """
    file = _read(path, ("stimorder", "numtrialrun", "condcounts"))
    order, trials, counts = (_whole(path, file.values, name) for name in ("stimorder", "numtrialrun", "condcounts"))
    order = order - file.matlab
    beside = path.with_name(CONDITIONS)
    if not beside.is_file():
        raise DataError(
            f"{path} numbers its conditions: put {CONDITIONS} beside it, with the column stimulus_id and one row for "
            f"each of the {len(counts)} columns of the design matrix, in their order"
        )
    sheet = read_sheet(beside)
    names = sheet.labels("stimulus_id")
    if len(names) != len(counts):
        raise DataError(f"{beside}: the design has {len(counts)} conditions, the table {len(names)} rows")
    if (column := sheet.find("condition", "condition_id", "column", "index")) is not None:
        numbers = sheet.numbers(column)
        if any(other <= one for one, other in pairwise(numbers)):
            raise DataError(
                f"{beside}: column {column!r} does not rise, but rows are in the order of the design's columns"
            )
    if trials.sum() != len(order) or not np.array_equal(np.bincount(order, minlength=len(counts)), counts):
        raise DataError(f"{path}: stimorder, numtrialrun and condcounts contradict each other; is the file whole?")
    runs = np.repeat(np.arange(1, len(trials) + 1), trials)
    return Sheet(
        path=path,
        columns={
            "stimulus_id": [names[condition] for condition in order],
            "run": [str(run) for run in runs],
            "condition": [str(condition) for condition in order],
        },
    )


def _whole(path: Path, found: dict[str, Any], name: str) -> np.ndarray:
    try:
        values = np.asarray(found[name], dtype=np.float64).ravel()
        whole = values.astype(np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected GLMsingle's design with {name!r}, got {sorted(found)[:12]}") from error
    if not np.array_equal(whole, values) or (whole < 0).any():
        raise DataError(f"{path}: {name!r} should be whole numbers, 0 or more")
    return whole


def _read(path: Path, names: tuple[str, ...]) -> _File:
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path and its ending")
    if path.suffix == ".npy":
        return _File(values=read_objects(path), matlab=False)
    matlab = path.suffix == ".mat"
    with path.open("rb") as stream:
        old = matlab and b"MATLAB 5.0" in stream.read(128)
    found = _old_mat(path, names) if old else _hdf5(path, names, transposed=matlab)
    return _File(values=found, matlab=matlab)


def _hdf5(path: Path, names: tuple[str, ...], *, transposed: bool) -> dict[str, Any]:
    """MATLAB writes the axes of arrays in the other order."""
    with open_hdf5(path) as file:
        try:
            found = {name: np.asarray(file[name][()]) for name in names if name in file}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: its arrays cannot be read ({error}); it may be cut short") from error
        others = {name: None for name in file if name not in names}
    return {name: value.T if transposed else value for name, value in found.items()} | others


def _old_mat(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        return dict(scipy.io.loadmat(path, variable_names=list(names)))
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file ({error}); it may be cut short") from error
