"""Maps of a volume as slices: every voxel as it is, nothing resampled or smoothed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ontogeny.errors import ConfigError, DataError
from ontogeny.neuroimaging.image_grids import Volume
from ontogeny.neuroimaging.voxel_masks import Space
from ontogeny.report.figures import altair

__all__ = ["sliced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What all slices share: voxel numbers (3 x voxels), orientation, colour, which are crossed, pixels a voxel."""

    places: np.ndarray
    orientation: str
    colour: Any
    crossed: np.ndarray
    pixels: float


def _volume(space: Space, slices: int) -> Volume:
    if not isinstance(space.grid, Volume):
        raise DataError(
            "a map of vertices or grayordinates needs a mesh to be drawn on; see ontogeny.report.brain_surface, or "
            "write "
            "score_map(...) to a file and draw it with nilearn.plotting"
        )
    if slices < 1:
        raise ConfigError(f"expected at least one slice, got {slices}")
    return space.grid


def sliced(
    maps: Mapping[str, Float[np.ndarray, " voxels"]],
    space: Space,
    slices: int,
    unit: str,
    *,
    log: bool = False,
    crossed: Bool[np.ndarray, " voxels"] | None = None,
) -> Any:
    """An Altair chart: a column per map, a row per slice across the third axis, on one colour scale; white: NaN.

    nilearn's own slices paint NaN as 0, which here is a score: chance.

    Args:
        maps: title -> one value per voxel of the space.
        space: of a volume.
        slices: how many, of those with the most voxels, lowest first.
        unit: above the colour scale.
        log: a logarithmic colour scale that has a place for 0.
        crossed: voxels that get a cross.

    Raises:
        DataError: the space is no volume.
        ConfigError: fewer than one slice.
    """
    grid = _volume(space, slices)
    alt = altair()
    places = np.stack(np.unravel_index(space.index, grid.shape))
    numbers, counts = np.unique(places[2], return_counts=True)
    shown = sorted(numbers[np.argsort(-counts, kind="stable")[:slices]].tolist())
    ends = [float(end(list(maps.values()))) for end in (np.nanmin, np.nanmax)]
    if log:  # t50 may be 0, where a log has no place
        scale, legend = alt.Scale(scheme="viridis", domain=ends, type="symlog"), alt.Legend(format="~s")
    else:
        scale, legend = alt.Scale(scheme="viridis", domain=ends), alt.Legend(format=".2f")
    look = _Look(
        places=places,
        orientation=grid.orientation,
        colour=alt.Color("value:Q", title=unit, scale=scale, legend=legend),
        crossed=np.zeros(len(space), dtype=bool) if crossed is None else np.asarray(crossed),
        pixels=max(2.0, min(8.0, 160 / (1 + int(np.ptp(places[:2], axis=1).max())))),
    )
    rows = [[_slice(values, look, k, what) for what, values in maps.items()] for k in shown]
    return alt.vconcat(*(alt.hconcat(*row, spacing=8) for row in rows), spacing=8)


def _slice(values: np.ndarray, look: _Look, number: int, what: str) -> Any:
    """One slice: left is left, front is up, where the image's first two axes say so."""
    alt = altair()
    drawn = (look.places[2] == number) & np.isfinite(values)
    cells = [
        {"x": int(x), "y": int(y), "value": float(v), "crossed": bool(c)}
        for x, y, v, c in zip(*look.places[:2, drawn], values[drawn], look.crossed[drawn], strict=True)
    ]
    across, up = (list(range(int(axis.min()), int(axis.max()) + 1)) for axis in look.places[:2])
    x = alt.X("x:O", axis=None, scale=alt.Scale(domain=across, reverse=look.orientation[0] == "L"))
    y = alt.Y("y:O", axis=None, scale=alt.Scale(domain=up, reverse=look.orientation[1] != "P"))
    base = alt.Chart(alt.Data(values=cells), title=f"{what}, slice {number}").encode(x=x, y=y)
    drawing = base.mark_rect().encode(color=look.colour)
    if look.crossed.any():
        drawing += base.mark_text(text="×", color="white").transform_filter("datum.crossed")
    return drawing.properties(width=len(across) * look.pixels, height=len(up) * look.pixels)
