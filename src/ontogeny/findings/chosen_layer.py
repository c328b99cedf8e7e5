"""One value a model, subject and region: that of the layer which is best for the other subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.findings.cells import Cells

__all__ = ["at_chosen_layer"]


def at_chosen_layer(
    cells: Cells, values: Float[np.ndarray, " cells"], *, subjects: Sequence[str], rois: Sequence[str]
) -> tuple[list[str], Float[np.ndarray, "models subjects rois"]]:
    """Value at the layer (and pooling) that is best on average over the other subjects of the region.

    So no value is picked by its own noise. Of one subject: the mean over layers.

    Args:
        cells: one metric, one step a model.
        values: of each cell.
        subjects: whose, in this order; others are left out.
        rois: which regions, in this order.

    Returns:
        Models, and their values; NaN where no layer is known both of a subject and of another.

    Raises:
        DataError: two cells of one model, subject, region, layer and pooling.
    """
    models = cells.names("model")
    out = np.full((len(models), len(subjects), len(rois)), np.nan)
    for place, model in enumerate(models):
        rows = np.flatnonzero((cells.model == model) & np.isin(cells.subject, subjects) & np.isin(cells.roi, rois))
        grid = _grid(cells.only(rows), values[rows], subjects, rois)
        out[place] = _mean(grid) if len(subjects) == 1 else _chosen(grid)
    return models, out


def _grid(cells: Cells, values: np.ndarray, subjects: Sequence[str], rois: Sequence[str]) -> np.ndarray:
    """Subjects x regions x sites, NaN where there is no cell."""
    sites = list(dict.fromkeys(zip(cells.layer.tolist(), cells.pooling.tolist(), strict=True)))
    where = [{name: i for i, name in enumerate(names)} for names in (subjects, rois, sites)]
    keys = zip(
        cells.subject.tolist(),
        cells.roi.tolist(),
        zip(cells.layer.tolist(), cells.pooling.tolist(), strict=True),
        strict=True,
    )
    places = np.asarray([[index[name] for index, name in zip(where, key, strict=True)] for key in keys], dtype=np.int64)
    if len(np.unique(places, axis=0)) < len(places):
        raise DataError(
            f"{str(cells.model[0])!r} has two cells of one subject, region, layer and pooling; one is expected"
        )
    grid = np.full((len(subjects), len(rois), len(sites)), np.nan)
    grid[tuple(places.T)] = values
    return grid


def _mean(grid: np.ndarray) -> np.ndarray:
    known = np.isfinite(grid)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, grid, 0.0).sum(axis=2) / known.sum(axis=2))


def _chosen(grid: np.ndarray) -> np.ndarray:
    """Subjects x regions: each at the site with the highest mean over the other subjects."""
    known = np.isfinite(grid)
    filled = np.where(known, grid, 0.0)
    others = known.sum(axis=0) - known
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (filled.sum(axis=0) - filled) / others
    means = np.where(known & (others > 0), means, -np.inf)
    best = means.argmax(axis=2)[..., None]
    picked = np.take_along_axis(grid, best, axis=2)[..., 0]
    return np.asarray(np.where(np.isfinite(means.max(axis=2)), picked, np.nan))
