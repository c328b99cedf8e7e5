"""Runs and repeats, on arrays: drifts taken out, z-scores within run, repeats averaged or kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import Responses
from ontogeny.errors import DataError

__all__ = ["average_repeats", "detrend_runs", "keep_repeats", "rows_of", "zscore_runs"]

Rows = Float[np.ndarray, "rows voxels"]


def rows_of(labels: Sequence[str]) -> dict[str, list[int]]:
    """Label -> its rows, in the order in which labels first appear."""
    found: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        found.setdefault(label, []).append(row)
    return found


def _rows(x: Rows, labels: Sequence[str], what: str) -> dict[str, list[int]]:
    if len(labels) != len(x):
        raise DataError(f"expected one {what} a row, {len(x)}, got {len(labels)}")
    return rows_of(labels)


def zscore_runs(x: Rows, runs: Sequence[str]) -> Rows:
    """Each voxel of each run to mean 0 and standard deviation 1 (over the run's rows, divided by n).

    Args:
        x: rows (presentations or volumes) x voxels.
        runs: one per row.

    Raises:
        DataError: a run of one row, or voxels that are constant within a run: their z-score is not defined.
    """
    out = np.empty_like(x)
    for run, rows in _rows(x, runs, "run").items():
        part = x[rows].astype(np.float64)
        if len(rows) < 2:
            raise DataError(f"run {run!r} has 1 row; a z-score within run needs 2 or more: leave it out or join runs")
        still = np.ptp(part, axis=0) == 0
        if still.any():
            raise DataError(
                f"{int(still.sum())} voxels are constant in run {run!r}, e.g. voxel {int(np.flatnonzero(still)[0])}; "
                "drop them first"
            )
        out[rows] = (part - part.mean(axis=0)) / part.std(axis=0)
    return out


def detrend_runs(x: Rows, runs: Sequence[str], *, order: int = 1) -> Rows:
    """Take polynomials up to an order (1: a line) out of each run, its mean too.

    Args:
        x: volumes x voxels, evenly spaced in time.
        runs: one a volume.
        order: of the polynomial.

    Raises:
        DataError: a run with no more volumes than the polynomial has terms.
    """
    out = np.empty_like(x)
    for run, rows in _rows(x, runs, "run").items():
        if len(rows) <= order + 1:
            raise DataError(f"run {run!r} has {len(rows)} volumes; a polynomial of order {order} needs {order + 2}")
        basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, len(rows)), order))
        part = x[rows].astype(np.float64)
        out[rows] = part - basis @ (basis.T @ part)
    return out


def average_repeats(x: Rows, ids: Sequence[str]) -> tuple[tuple[str, ...], Responses]:
    """Mean over the rows of each stimulus.

    Returns:
        Ids in the order in which they first appear, and stimuli x voxels.
    """
    found = _rows(x, ids, "stimulus id")
    means = [x[rows].mean(axis=0, dtype=np.float64) for rows in found.values()]
    return tuple(found), np.stack(means).astype(x.dtype)


def keep_repeats(x: Rows, ids: Sequence[str]) -> tuple[tuple[str, ...], Float[np.ndarray, "stimuli repeats voxels"]]:
    """Rows of each stimulus side by side, for noise ceilings.

    Returns:
        Ids in the order in which they first appear, and stimuli x repeats x voxels, repeats in the order of the rows;
        NaN where a stimulus has fewer.
    """
    found = _rows(x, ids, "stimulus id")
    out = np.full((len(found), max(len(rows) for rows in found.values()), x.shape[1]), np.nan, dtype=x.dtype)
    for stimulus, rows in enumerate(found.values()):
        out[stimulus, : len(rows)] = x[rows]
    return tuple(found), out
