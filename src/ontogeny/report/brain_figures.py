"""Pictures of the brain over training, and when each region rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ontogeny.errors import DataError, require
from ontogeny.lag import RiseTime, rise_time
from ontogeny.neuroimaging.score_maps import BEST, best_layers, painted, score_series, score_values, scores_of
from ontogeny.neuroimaging.voxel_masks import Space
from ontogeny.record import Record, Score
from ontogeny.report._brain_slices import sliced
from ontogeny.report.figures import Figure, file_stem, finished

__all__ = [
    "RISE_UNIT",
    "UNSURE",
    "RegionRise",
    "RiseMap",
    "map_figure",
    "rise_figure",
    "rise_map",
    "step_maps",
    "write_glass_brain",
]

UNSURE = 3.0
RISE_UNIT = "step of half-way (log scale)"
_NEVER = (float("nan"), float("nan"), float("nan"))
_MAPS = ("t50", "95 % low", "95 % high")
_CAPTION = (
    "The step (optimizer update) at which each region's alignment first reaches half of its own gain, of the layer "
    "that is highest over training. Hatched or crossed: its 95 % interval spans more than a factor of 3. "
    "Without colour: no time can be said. Early says nothing of how high: read it beside the curves."
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
        regions: one per ROI (or voxel), earliest first, those without a time last.
        maps: t50, and the two ends of its 95 % interval, one value per voxel of the space; NaN where there is no time.
        image: the three maps as a nibabel image.
    """

    regions: tuple[RegionRise, ...]
    maps: Float[np.ndarray, "3 voxels"]
    image: Any

    @property
    def caption(self) -> str:
        """How to read a picture of it, and which regions have no time."""
        without = [region.roi for region in self.regions if region.why_not]
        named = f"{', '.join(without[:6])}{', ...' * (len(without) > 6)}"
        return _CAPTION + (f" No clear rise: {named}." if without else "")

    def check(self) -> None:
        """Refuse to draw what has no time.

        Raises:
            DataError: no region has one; says why of the first.
        """
        if np.isnan(self.maps).all():
            raise DataError(
                f"no region has a time, so there is no map of when they rise: {self.regions[0].why_not}; more probes "
                "or a longer run would tell more"
            )

    @property
    def titled(self) -> dict[str, Float[np.ndarray, " voxels"]]:
        """Title -> map."""
        return dict(zip(_MAPS, self.maps, strict=True))

    @property
    def half(self) -> Float[np.ndarray, " voxels"]:
        """t50 alone."""
        return np.asarray(self.maps[0])

    @property
    def unsure(self) -> Bool[np.ndarray, " voxels"]:
        """Where the interval's ends are more than a factor of 3 apart."""
        return np.asarray((self.maps[2] + 1) / (self.maps[1] + 1) > UNSURE)


def rise_map(record: Record, space: Space, *, metric: str, layer: str = BEST, **columns: Any) -> RiseMap:
    """When each ROI's alignment first reaches half of its own gain (`ontogeny.lag.rise_time`), as table and image.

    Args:
        record: of ROIs, or of single voxels (see `ontogeny.neuroimaging.voxelwise`).
        space: of the presentations that the benchmark was made of.
        metric: with its options, e.g. "ridge-gcv".
        layer: its name; or "best": for each ROI the layer whose mean over all steps is highest.
        **columns: what else makes a map one: subject, benchmark, pooling.

    Raises:
        RecordError: see `ontogeny.neuroimaging.score_map`.
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
    """Small multiples: the map of scores, a column per step and a row per slice, on one colour scale.

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
    maps = step_maps(record, space, metric=metric, layer=layer, steps=steps, **columns)
    caption = (
        f"{metric} of the {'best layer at each step' if layer == BEST else f'layer {layer}'} in every voxel (that of "
        "its ROI, where ROIs were scored), a column per step (optimizer updates), a row per slice across the image's "
        "third axis, left on the left; one colour scale. White: not scored. Read it beside the curves, which show "
        "chance and ceiling."
    )
    title = f"{metric} in the brain, over training"
    named = {f"step {step}": values for step, values in maps.items()}
    unit = scores_of(record, metric=metric, layer=layer, step=next(iter(maps)), **columns)[0].unit
    chart = sliced(named, space, slices, unit or metric)
    return Figure(name=file_stem(record.run, metric, "brain"), title=title, caption=caption, chart=finished(chart))


def step_maps(
    record: Record, space: Space, *, metric: str, layer: str = BEST, steps: Sequence[int] = (), **columns: Any
) -> dict[int, Float[np.ndarray, " voxels"]]:
    """Step -> one value per voxel; where no steps are named up to six of the record's, evenly spread over them.

    Raises:
        RecordError: see `ontogeny.neuroimaging.score_map`.
    """
    if steps:
        return {s: score_values(record, space, step=s, metric=metric, layer=layer, **columns) for s in steps}
    maps = score_series(record, space, metric=metric, layer=layer, **columns)
    have = list(maps)
    return {have[i]: maps[have[i]] for i in np.unique(np.linspace(0, len(have) - 1, 6).round().astype(int))}


def rise_figure(risen: RiseMap, space: Space, *, name: str, slices: int = 3) -> Figure:
    """When each region rises: t50, a row per slice; crossed where its 95 % interval is wide.

    Args:
        risen: of `rise_map`.
        space: of a volume.
        name: of the PNG file.
        slices: see `map_figure`.

    Raises:
        DataError: the space is no volume, or no region has a time.
        ConfigError: fewer than one slice.
    """
    risen.check()
    chart = sliced({"half-way": risen.half}, space, slices, RISE_UNIT, log=True, crossed=risen.unsure)
    return Figure(name=name, title="When each region rises", caption=risen.caption, chart=finished(chart))


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
