"""A record's scores in the brain, as pictures of its page and of `ontogeny map`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.datasets.folder import read_benchmark, read_spaces
from ontogeny.datasets.folder.voxel_coordinates import in_mni
from ontogeny.errors import DataError, MissingExtraError, RecordError
from ontogeny.neuroimaging.image_grids import Volume
from ontogeny.neuroimaging.score_maps import BEST, best_layers, scores_of
from ontogeny.neuroimaging.voxel_masks import Space
from ontogeny.record import Record, Score
from ontogeny.report.brain_figures import RISE_UNIT, map_figure, rise_figure, rise_map, step_maps
from ontogeny.report.brain_surface import Scale, surface_picture
from ontogeny.report.figures import BLUE, Figure, Picture, altair, as_picture, file_stem, step_axis

__all__ = ["Brain", "brain_of", "brain_pictures", "known_in", "over_training", "region_curves", "rise_picture"]

_NAMED = 10
_PROJECTED = " MNI volume on fsaverage5: each vertex shows the voxel most frequent between white and pial surface."


@dataclass(frozen=True, slots=True, kw_only=True)
class Brain:
    """A benchmark folder's way back to the brain.

    Args:
        benchmark: its name.
        fingerprint: of the benchmark; a record's scores are painted where it has the same.
        spaces: subject -> one space of a volume, or one a hemisphere.
        mni: volumes are in MNI space, so that they are drawn on the cortex.
    """

    benchmark: str
    fingerprint: str
    spaces: dict[str, tuple[Space, ...]]
    mni: bool = False


def brain_of(folder: str | os.PathLike[str], *, mni: bool = False) -> Brain:
    """Read the spaces of a benchmark folder.

    Args:
        folder: of the benchmark.
        mni: volumes are in MNI space; known already where the folder names its space so.

    Raises:
        DataError: it is no benchmark folder, or none of its subjects has a space.
    """
    benchmark = read_benchmark(folder)
    return Brain(
        benchmark=benchmark.name,
        fingerprint=benchmark.fingerprint(),
        spaces=read_spaces(folder),
        mni=mni or in_mni(folder),
    )


def known_in(brain: Brain, records: Sequence[Record]) -> None:
    """Refuse a folder that none of the records was scored with.

    Raises:
        RecordError: says what they were scored with.
    """
    seen = {
        f"{name} (fingerprint {about.get('fingerprint')})": about.get("fingerprint")
        for record in records
        for name, about in record.header["benchmarks"].items()
    }
    if brain.fingerprint not in seen.values():
        raise RecordError(
            f"benchmark {brain.benchmark!r} (fingerprint {brain.fingerprint}) is not what {records[0].folder} was "
            f"scored with: {', '.join(seen) or 'nothing yet'}; give the folder of that benchmark, unchanged"
        )


def brain_pictures(record: Record, brain: Brain) -> tuple[list[Figure | Picture], list[str]]:
    """A film over training, the curves of its regions, when each rises; and what could not be drawn.

    Of the first subject, by the first metric.

    Args:
        record: scored with the benchmark or not; where not, there is nothing.
        brain: of `brain_of`.
    """
    rows = record.select(kind="alignment", benchmark=brain.benchmark, fingerprint=brain.fingerprint)
    rows = [row for row in rows if row.value is not None and row.subject in brain.spaces]
    if not rows:
        return [], []
    first = rows[0]
    one: dict[str, Any] = {name: getattr(first, name) for name in ("metric", "subject", "benchmark", "pooling")}
    pictures: list[Figure | Picture] = []
    said: list[str] = []
    spaces = brain.spaces[first.subject]
    for drawn in (over_training, rise_picture):
        try:
            pictures.append(drawn(record, spaces, mni=brain.mni, **one))
        except (DataError, MissingExtraError, RecordError) as error:
            said.append(str(error))
    if pictures:
        best = [row for row in rows if row.metric == first.metric and row.pooling == first.pooling]
        pictures.insert(1, region_curves(record, best))
    others = len({row.subject for row in rows}) - 1
    if others:
        said.append(
            f"Subject {first.subject} is drawn; `ontogeny map` draws the other {others}, other metrics and layers."
        )
    return pictures, list(dict.fromkeys(said))


def over_training(
    record: Record,
    spaces: Sequence[Space],
    *,
    metric: str,
    layer: str = BEST,
    mesh: Path | None = None,
    mni: bool = False,
    **columns: Any,
) -> Picture:
    """The map at up to six steps, or at those of `steps=`: a frame per step on both hemispheres, or slices.

    Raises:
        DataError: grayordinates, or a surface without a mesh.
        RecordError: see `ontogeny.neuroimaging.score_map`.
        MissingExtraError: nilearn is not installed, which surfaces need.
    """
    if isinstance(spaces[0].grid, Volume) and not mni:
        return as_picture(map_figure(record, spaces[0], metric=metric, layer=layer, **columns))
    maps = [step_maps(record, space, metric=metric, layer=layer, **columns) for space in spaces]
    unit = scores_of(record, metric=metric, layer=layer, **_kept(columns))[0].unit or metric
    caption = (
        f"{metric} of the {'best layer at each step' if layer == BEST else f'layer {layer}'} (steps are optimizer "
        f"updates), both hemispheres, on one colour scale.{_PROJECTED if mni else ''} Grey: not scored. Read it beside "
        "the curves, which show chance and ceiling."
        f"{' The slider picks a step; the PNG file has all.' if len(maps[0]) > 1 else ''}"
    )
    frames = {f"step {step:,}": [each[step] for each in maps] for step in maps[0]}
    about = (file_stem(record.run, metric, "brain"), f"{metric} in the brain, over training", caption)
    return surface_picture(frames, spaces, about, scale=Scale(unit=unit), mesh=mesh, mni=mni)


def _kept(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name != "steps"}


def rise_picture(
    record: Record,
    spaces: Sequence[Space],
    *,
    metric: str,
    layer: str = BEST,
    mesh: Path | None = None,
    mni: bool = False,
    **columns: Any,
) -> Picture:
    """When each region rises, with how sure that is, in one map.

    Raises:
        DataError: no region has a time; or as `over_training`.
    """
    name = file_stem(record.run, metric, "rise")
    risen = [rise_map(record, space, metric=metric, layer=layer, **columns) for space in spaces]
    if isinstance(spaces[0].grid, Volume) and not mni:
        return as_picture(rise_figure(risen[0], spaces[0], name=name))
    if all(np.isnan(one.maps).all() for one in risen):
        risen[0].check()
    about = (name, "When each region rises", risen[0].caption + (_PROJECTED if mni else ""))
    unsure = [one.unsure for one in risen]
    maps = {"half-way": [one.half for one in risen]}
    how: dict[str, Any] = {"scale": Scale(unit=RISE_UNIT, log=True), "unsure": unsure, "mesh": mesh, "mni": mni}
    return surface_picture(maps, spaces, about, **how)


def region_curves(record: Record, rows: Sequence[Score]) -> Figure:
    """One curve per region, of the layer that is highest over training, as the maps are coloured by.

    Args:
        record: of which.
        rows: of one metric, subject and pooling.
    """
    alt, best = altair(), best_layers(rows)
    own = [row for row in rows if best[row.roi] == row.layer and row.subject == rows[0].subject]
    values = [{"step": row.step, "value": row.value, "roi": row.roi} for row in own]
    steps = sorted({row.step for row in own})
    shown = list(dict.fromkeys(row.roi for row in own))
    colour = alt.Color("roi:N", title="region", sort=shown) if len(shown) <= _NAMED else alt.value(BLUE)
    chart = (
        alt.Chart(alt.Data(values=values), width=330, height=300)
        .mark_line(clip=True, opacity=1 if len(shown) <= _NAMED else 0.3)
        .encode(
            x=step_axis(steps),
            y=alt.Y("value:Q", title=rows[0].unit or rows[0].metric, scale=alt.Scale(zero=False)),
            color=colour,
            detail="roi:N",
            tooltip=["roi:N", "step:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    caption = (
        f"Subject {rows[0].subject}, {rows[0].metric}: each region by the layer that is highest over training, at all "
        "steps; the maps beside it show up to six of them."
    )
    return Figure(
        name=file_stem(record.run, rows[0].metric, "regions"), title="The same as curves", caption=caption, chart=chart
    )
