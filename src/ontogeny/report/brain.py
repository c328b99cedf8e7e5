"""Pictures of the brain over training, and when each region rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import ConfigError, DataError, require
from ontogeny.imaging.grids import Volume
from ontogeny.imaging.maps import BEST, best_layers, painted, score_series, score_values, scores_of
from ontogeny.imaging.space import Space
from ontogeny.lag import RiseTime, rise_time
from ontogeny.report.figures import Figure, altair, file_stem, finished
from ontogeny.scores import Score
from ontogeny.series import Record

__all__ = [
    "RISE_CAPTION",
    "RegionRise",
    "RiseMap",
    "map_figure",
    "rise_figure",
    "rise_map",
    "step_maps",
    "write_glass_brain",
]

_NEVER = (float("nan"), float("nan"), float("nan"))
_MAPS = ("t50", "95 % low", "95 % high")
RISE_CAPTION = (
    "The step (optimizer update) at which each region's alignment first reaches half of its own gain, of the layer "
    "that is highest over training, with the two ends of its 95 % interval. White: no time can be said. Early says "
    "nothing of how high: read it beside the curves."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRise:
    """When one ROI (or voxel) reaches half of its gain.

    Args:
        roi: which.
        layer: whose curve.
        step: t50 with its 95 % interval (low, high), in optimizer updates; NaN where it cannot be said.
        why_not: the reason, "" where there is a time.
    """

    roi: str
    layer: str
    step: tuple[float, float, float]
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """One row of a table: roi, layer, t50, low, high, why_not; None where there is no time."""
        known = [None if np.isnan(value) else value for value in self.step]
        return {"roi": self.roi, "layer": self.layer, **dict(zip(("t50", "low", "high"), known, strict=True))} | {
            "why_not": self.why_not
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RiseMap:
    """When each region rises.

    Args:
        regions: one a ROI (or voxel), earliest first, those without a time last.
        maps: t50, and the two ends of its 95 % interval, one value a voxel of the space; NaN where there is no time.
        image: the three maps as a nibabel image.
    """

    regions: tuple[RegionRise, ...]
    maps: Float[np.ndarray, "3 voxels"]
    image: Any

    @property
    def titled(self) -> dict[str, Float[np.ndarray, " voxels"]]:
        """Title -> map."""
        return dict(zip(_MAPS, self.maps, strict=True))


def rise_map(record: Record, space: Space, *, metric: str, layer: str = BEST, **columns: Any) -> RiseMap:
    """When each ROI's alignment first reaches half of its own gain (`ontogeny.lag.rise_time`), as table and image.

    Args:
        record: of ROIs, or of single voxels (see `ontogeny.imaging.voxelwise`).
        space: of the presentations that the benchmark was made of.
        metric: with its options, e.g. "ridge-gcv".
        layer: its name; or "best": for each ROI the layer whose mean over all steps is highest.
        **columns: what else makes a map one: subject, benchmark, pooling.

    Raises:
        RecordError: see `ontogeny.imaging.score_map`.
    """
    rows = scores_of(record, metric=metric, layer=layer, **columns)
    curves: dict[tuple[str, str], list[Score]] = {}
    for row in rows:
        curves.setdefault((row.roi, row.layer), []).append(row)
    found = [_region(roi, depth, curves[roi, depth]) for roi, depth in best_layers(rows).items()]
    maps = np.stack([painted({r.roi: r.step[i] for r in found}, space, record) for i in range(3)])
    regions = tuple(sorted(found, key=lambda r: (np.isnan(r.step[0]), r.step[0])))
    return RiseMap(regions=regions, maps=maps, image=space.image(maps, names=_MAPS))


def _region(roi: str, layer: str, rows: Sequence[Score]) -> RegionRise:
    ordered = sorted(rows, key=lambda row: row.step)
    values = [float("nan") if row.value is None else row.value for row in ordered]
    risen = rise_time([row.step for row in ordered], values, name=roi)
    if not isinstance(risen, RiseTime):
        return RegionRise(roi=roi, layer=layer, step=_NEVER, why_not=risen.reason)
    low, high = (10**end - 1 for end in risen.ci_log10)
    return RegionRise(roi=roi, layer=layer, step=(risen.step, max(low, 0.0), high))


def map_figure(
    record: Record,
    space: Space,
    *,
    metric: str,
    steps: Sequence[int] = (),
    layer: str = BEST,
    slices: int = 3,
    **columns: Any,
) -> Figure:
    """Small multiples: the map of scores, a column a step and a row a slice, on one colour scale.

    Args:
        record: see `score_map`.
        space: of a volume; surfaces are drawn by `nilearn.plotting` from `score_map`'s image.
        metric: with its options.
        steps: which; where empty up to six of the record's, evenly spread over them.
        layer: its name, or "best" at each step.
        slices: how many, of those with the most voxels, lowest first, across the third axis of the image.
        **columns: what else makes a map one: subject, benchmark, pooling.

    Raises:
        DataError: the space is no volume.
        RecordError: see `score_map`.
        ConfigError: fewer than one slice.
    """
    grid = _volume(space, slices)
    maps = step_maps(record, space, metric=metric, layer=layer, steps=steps, **columns)
    caption = (
        f"{metric} of the {'best layer at each step' if layer == BEST else f'layer {layer}'} in every voxel (that of "
        "its ROI, where ROIs were scored), a column a step (optimizer updates), a row a slice across the image's third "
        "axis, left on the left; one colour scale. White: not scored. Read it beside the curves, which show chance and "
        "ceiling."
    )
    title = f"{metric} in the brain, over training"
    named = {f"step {step}": values for step, values in maps.items()}
    unit = scores_of(record, metric=metric, layer=layer, **columns)[0].unit
    chart = _chart(named, space, grid, slices, unit or metric)
    return Figure(name=file_stem(record.run, metric, "brain"), title=title, caption=caption, chart=finished(chart))


def step_maps(
    record: Record, space: Space, *, metric: str, layer: str = BEST, steps: Sequence[int] = (), **columns: Any
) -> dict[int, Float[np.ndarray, " voxels"]]:
    """Step -> one value a voxel; where no steps are named up to six of the record's, evenly spread over them.

    Raises:
        RecordError: see `ontogeny.imaging.score_map`.
    """
    if steps:
        return {s: score_values(record, space, step=s, metric=metric, layer=layer, **columns) for s in steps}
    maps = score_series(record, space, metric=metric, layer=layer, **columns)
    have = list(maps)
    return {have[i]: maps[have[i]] for i in np.unique(np.linspace(0, len(have) - 1, 6).round().astype(int))}


def rise_figure(risen: RiseMap, space: Space, *, name: str, slices: int = 3) -> Figure:
    """When each region rises: t50 and the two ends of its 95 % interval, a column each and a row a slice.

    Args:
        risen: of `rise_map`.
        space: of a volume.
        name: of the PNG file.
        slices: see `map_figure`.

    Raises:
        DataError: the space is no volume, or no region has a time.
        ConfigError: fewer than one slice.
    """
    grid = _volume(space, slices)
    if np.isnan(risen.maps).all():
        raise DataError(f"no region has a time, e.g. {risen.regions[0].roi}: {risen.regions[0].why_not}")
    chart = _chart(risen.titled, space, grid, slices, "step (log scale)", log=True)
    return Figure(name=name, title="When each region rises", caption=RISE_CAPTION, chart=finished(chart))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What all slices share: voxel numbers (3 x voxels), orientation, colour, pixels a voxel."""

    places: np.ndarray
    orientation: str
    colour: Any
    pixels: float


def write_glass_brain(image: Any, path: str | Path, *, title: str = "") -> Path:
    """Draw a map in MNI space as nilearn's glass brain (PNG, PDF or SVG by the path's ending).

    Args:
        image: of `score_map` or one of `rise_map`; a volume in MNI space, which nothing here can check.
        path: where to.
        title: above it.

    Raises:
        MissingExtraError: nilearn or matplotlib is not installed.
    """
    require("matplotlib", "nilearn").use("Agg")
    plotting = require("nilearn.plotting", "nilearn")
    shown = plotting.plot_glass_brain(image, title=title or None, colorbar=True, plot_abs=False)
    shown.savefig(str(path))
    shown.close()
    return Path(path)


def _volume(space: Space, slices: int) -> Volume:
    if not isinstance(space.grid, Volume):
        raise DataError(
            "a map of vertices or grayordinates needs a mesh to be drawn on; see ontogeny.report.surface, or write "
            "score_map(...) to a file and draw it with nilearn.plotting"
        )
    if slices < 1:
        raise ConfigError(f"expected at least one slice, got {slices}")
    return space.grid


def _chart(
    maps: dict[str, np.ndarray], space: Space, grid: Volume, slices: int, unit: str, *, log: bool = False
) -> Any:
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
        pixels=max(2.0, min(8.0, 160 / (1 + int(np.ptp(places[:2], axis=1).max())))),
    )
    rows = [[_slice(values, look, k, what) for what, values in maps.items()] for k in shown]
    return alt.vconcat(*(alt.hconcat(*row, spacing=8) for row in rows), spacing=8)


def _slice(values: np.ndarray, look: _Look, number: int, what: str) -> Any:
    """One slice: left is left, front is up, where the image's first two axes say so."""
    alt = altair()
    drawn = (look.places[2] == number) & np.isfinite(values)
    cells = [
        {"x": int(x), "y": int(y), "value": float(v)}
        for x, y, v in zip(*look.places[:2, drawn], values[drawn], strict=True)
    ]
    across, up = (list(range(int(axis.min()), int(axis.max()) + 1)) for axis in look.places[:2])
    return (
        alt.Chart(alt.Data(values=cells), title=f"{what}, slice {number}")
        .mark_rect()
        .encode(
            x=alt.X("x:O", axis=None, scale=alt.Scale(domain=across, reverse=look.orientation[0] == "L")),
            y=alt.Y("y:O", axis=None, scale=alt.Scale(domain=up, reverse=look.orientation[1] != "P")),
            color=look.colour,
        )
        .properties(width=len(across) * look.pixels, height=len(up) * look.pixels)
    )
