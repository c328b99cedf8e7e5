"""Maps on a hemisphere's surface; nilearn and matplotlib stand behind this module."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError, require
from ontogeny.neuroimaging.image_grids import Surface
from ontogeny.neuroimaging.voxel_space import Space
from ontogeny.report.figures import Picture

__all__ = ["surface_picture"]

_FSAVERAGE5 = 10242  # vertices of the one mesh that nilearn brings along; others would be downloaded
_VIEWS = ("lateral", "medial", "ventral")


def surface_picture(
    maps: Mapping[str, Float[np.ndarray, " voxels"]],
    space: Space,
    about: tuple[str, str, str],
    *,
    unit: str = "",
    log: bool = False,
    mesh: str | Path | None = None,
) -> Picture:
    """Small multiples on one hemisphere: a column per map, a row per view, on one colour scale; grey: not scored.

    Args:
        maps: title -> one value per voxel of the space, e.g. of `ontogeny.report.brain_figures.step_maps`.
        space: of one hemisphere's vertices.
        about: name of the PNG file, title and caption.
        unit: beside the colour scale.
        log: colours by log10 of value + 1.
        mesh: a `.surf.gii` of as many vertices; not needed for fsaverage5, whose inflated mesh nilearn brings along.

    Raises:
        DataError: the space is no surface, or there is no mesh of its size.
        MissingExtraError: nilearn is not installed.
    """
    require("matplotlib", "nilearn").use("Agg")
    pyplot, plotting = require("matplotlib.pyplot", "nilearn"), require("nilearn.plotting", "nilearn")
    hemi, drawn, folds = _mesh(space, mesh)
    full = {title: _full(np.log10(values + 1) if log else values, space) for title, values in maps.items()}
    low, high = (float(end(list(full.values()))) for end in (np.nanmin, np.nanmax))
    shape, size = (len(_VIEWS), len(full)), (1.8 * len(full) + 1, 1.4 * len(_VIEWS))
    close = {"wspace": 0, "hspace": 0, "left": 0, "right": 0.98, "bottom": 0, "top": 0.93}
    figure, axes = pyplot.subplots(
        *shape, figsize=size, subplot_kw={"projection": "3d"}, squeeze=False, gridspec_kw=close
    )
    look: dict[str, Any] = {
        "hemi": hemi,
        "bg_map": folds,
        "avg_method": "median",
        "cmap": "viridis",
        "vmin": low,
        "vmax": high,
    }
    for view, row in zip(_VIEWS, axes, strict=True):
        for values, ax in zip(full.values(), row, strict=True):
            plotting.plot_surf(drawn, values, view=view, axes=ax, figure=figure, colorbar=False, **look)
    for title, ax in zip(full, axes[0], strict=True):
        ax.set_title(title, fontsize=9, y=0.97)
    scale = pyplot.cm.ScalarMappable(norm=pyplot.Normalize(low, high), cmap="viridis")
    bar = figure.colorbar(scale, ax=axes, shrink=0.5, label=unit)
    if log:
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{10**value - 1:.3g}")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=200)
    pyplot.close(figure)
    name, title, caption = about
    return Picture(name=name, title=title, caption=caption, png=buffer.getvalue())


def _mesh(space: Space, mesh: str | Path | None) -> tuple[str, str, str | None]:
    """Hemisphere, mesh, and the folds that are drawn under the map."""
    if not isinstance(space.grid, Surface):
        raise DataError("only vertices of a surface are drawn on a mesh; this space is of voxels or grayordinates")
    said = space.grid.structure.casefold()
    hemi = "right" if "right" in said or said in ("r", "rh") else "left"
    if mesh is not None:
        return hemi, str(mesh), None
    if space.grid.size != _FSAVERAGE5:
        raise DataError(
            f"a surface of {space.grid.size} vertices needs a mesh of as many (--mesh FILE.surf.gii); only fsaverage5, "
            f"{_FSAVERAGE5} vertices, comes with nilearn"
        )
    there = require("nilearn.datasets", "nilearn").fetch_surf_fsaverage("fsaverage5")
    return hemi, str(there[f"infl_{hemi}"]), str(there[f"sulc_{hemi}"])


def _full(values: Float[np.ndarray, " voxels"], space: Space) -> Float[np.ndarray, " places"]:
    out = np.full(space.grid.size, np.nan)
    out[space.index] = values
    return out
