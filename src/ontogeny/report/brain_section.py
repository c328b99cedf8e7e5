"""A record's scores in the brain, as pictures of its page and of `ontogeny map`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontogeny.datasets.folder import read_benchmark, read_spaces
from ontogeny.errors import DataError, MissingExtraError, RecordError
from ontogeny.neuroimaging.image_grids import Surface, Volume
from ontogeny.neuroimaging.score_maps import BEST
from ontogeny.neuroimaging.voxel_space import Space
from ontogeny.record import Record
from ontogeny.report.brain_figures import RiseMap, map_figure, rise_figure, rise_map, step_maps
from ontogeny.report.brain_surface import surface_picture
from ontogeny.report.figures import Picture, as_picture, file_stem

__all__ = ["Brain", "brain_of", "brain_pictures", "known_in", "over_training", "rise_picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brain:
    """A benchmark folder's way back to the brain.

    Args:
        benchmark: its name.
        fingerprint: of the benchmark; a record's scores are painted where it has the same.
        spaces: subject -> one space of a volume, or one a hemisphere.
    """

    benchmark: str
    fingerprint: str
    spaces: dict[str, tuple[Space, ...]]


def brain_of(folder: str | os.PathLike[str]) -> Brain:
    """Read the spaces of a benchmark folder.

    Raises:
        DataError: it is no benchmark folder, or none of its subjects has a space.
    """
    benchmark = read_benchmark(folder)
    return Brain(benchmark=benchmark.name, fingerprint=benchmark.fingerprint(), spaces=read_spaces(folder))


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


def brain_pictures(record: Record, brain: Brain) -> tuple[list[Picture], list[str]]:
    """Small multiples and the rise map of the first subject, by the first metric; and what could not be drawn.

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
    pictures: list[Picture] = []
    said: list[str] = []
    for space in brain.spaces[first.subject]:
        try:
            pictures.append(over_training(record, space, **one))
            pictures.append(rise_picture(rise_map(record, space, **one), record, space, metric=first.metric))
        except (DataError, MissingExtraError, RecordError) as error:
            said.append(str(error))
    others = len({row.subject for row in rows}) - 1
    if others:
        said.append(
            f"Subject {first.subject} is drawn; `ontogeny map` draws the other {others}, other metrics and layers."
        )
    return pictures, said


def over_training(
    record: Record, space: Space, *, metric: str, layer: str = BEST, mesh: Path | None = None, **columns: Any
) -> Picture:
    """The map at up to six steps, or at those of `steps=`.

    Raises:
        DataError: grayordinates, or a surface without a mesh.
        RecordError: see `ontogeny.neuroimaging.score_map`.
        MissingExtraError: nilearn is not installed, which surfaces need.
    """
    if isinstance(space.grid, Volume):
        return as_picture(map_figure(record, space, metric=metric, layer=layer, **columns))
    maps = step_maps(record, space, metric=metric, layer=layer, **columns)
    caption = (
        f"{metric} of the {'best layer at each step' if layer == BEST else f'layer {layer}'}, a column per step "
        "(optimizer updates), a row per view; one colour scale. Grey: not scored. Read it beside the curves, which "
        "show chance and ceiling."
    )
    about = (_name(record, space, metric, "brain"), f"{metric} in the brain, over training{_side(space)}", caption)
    return surface_picture({f"step {step}": values for step, values in maps.items()}, space, about, mesh=mesh)


def rise_picture(risen: RiseMap, record: Record, space: Space, *, metric: str, mesh: Path | None = None) -> Picture:
    """When each region rises.

    Args:
        risen: of `rise_map`.
        record: of which it is.
        space: the same.
        metric: the same.
        mesh: of a surface, see `surface_picture`.

    Raises:
        DataError: no region has a time; or as `over_training`.
    """
    name = _name(record, space, metric, "rise")
    if isinstance(space.grid, Volume):
        return as_picture(rise_figure(risen, space, name=name))
    risen.check()
    about = (name, f"When each region rises{_side(space)}", risen.caption)
    return surface_picture(risen.titled, space, about, unit="step (log scale)", log=True, mesh=mesh)


def _side(space: Space) -> str:
    return f", {space.grid.structure}" if isinstance(space.grid, Surface) and space.grid.structure else ""


def _name(record: Record, space: Space, metric: str, what: str) -> str:
    return file_stem(record.run, metric, what, *([space.grid.structure] if isinstance(space.grid, Surface) else []))
