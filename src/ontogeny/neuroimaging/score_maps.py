"""Scores of a record, back in the brain: one value per voxel, its own or that of its ROI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.errors import RecordError, in_words, nearest
from ontogeny.neuroimaging.voxel_masks import Space
from ontogeny.record import Record, Score
from ontogeny.record.curve_groups import SURPRISAL
from ontogeny.record.score import KEY

__all__ = ["BEST", "best_layers", "painted", "score_map", "score_series", "score_values", "scores_of"]

BEST = "best"
_ONE_OF = tuple(name for name in KEY if name not in ("step", "kind", "roi", "layer", "metric"))


def score_map(record: Record, space: Space, *, step: int, metric: str, layer: str = BEST, **columns: Any) -> Any:
    """Alignment at one step as an image.

    Args:
        record: of ROIs, or of single voxels (see `voxelwise`).
        space: of the presentations that the benchmark was made of.
        step: which.
        metric: with its options, e.g. "ridge-gcv".
        layer: its name; or "best": for each ROI (or voxel) the layer that scores highest at this step. The best of
            several is a little too high as an estimate.
        **columns: what else makes a map one: subject, benchmark, pooling.

    Returns:
        A nibabel image on the space's grid, in the metric's unit: NIfTI, CIFTI dense or GIFTI; NaN where the record
        has no score. `.to_filename(path)` writes it.

    Raises:
        RecordError: no such scores (says the nearest), scores of several maps, or ROIs that are not of this space.
    """
    return space.image(
        score_values(record, space, step=step, metric=metric, layer=layer, **columns),
        names=(f"{metric} {layer} step {step}",),
    )


def score_values(
    record: Record, space: Space, *, step: int, metric: str, layer: str = BEST, **columns: Any
) -> Float[np.ndarray, " voxels"]:
    """What `score_map` paints: one value per voxel of the space; NaN where the record has none.

    Raises:
        RecordError: see `score_map`.
    """
    rows = scores_of(record, metric=metric, step=step, layer=layer, **columns)
    return painted(_highest(rows), space, record)


def score_series(
    record: Record, space: Space, *, metric: str, layer: str = BEST, **columns: Any
) -> dict[int, Float[np.ndarray, " voxels"]]:
    """Step -> what `score_values` gives, for all steps of the record; "best" is chosen at each step anew.

    `space.image(np.stack(list(maps.values())), names=[f"step {step}" for step in maps])` is the film of it.

    Raises:
        RecordError: see `score_map`.
    """
    by_step: dict[int, list[Score]] = {}
    for row in scores_of(record, metric=metric, layer=layer, **columns):
        by_step.setdefault(row.step, []).append(row)
    return {step: painted(_highest(by_step[step]), space, record) for step in sorted(by_step)}


def _highest(rows: Iterable[Score]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for row in rows:
        value = np.nan if row.value is None else row.value
        highest[row.roi] = max(value, highest.get(row.roi, -np.inf))
    return highest


def scores_of(record: Record, *, metric: str, layer: str = BEST, **columns: Any) -> list[Score]:
    """Alignment rows with a value, of one subject, benchmark and pooling.

    Raises:
        RecordError: there is none, or they are of several; says from what to choose.
    """
    filters = {"kind": "alignment", "metric": metric, **columns} | ({} if layer == BEST else {"layer": layer})
    rows = [row for row in record.select(**filters) if row.value is not None]
    if layer == BEST:
        rows = [row for row in rows if row.layer != SURPRISAL]  # what is said of the words is no layer
    if not rows:
        every = record.select(kind="alignment")
        raise RecordError(f"record {record.folder} has no score with {in_words(filters)}. {_hint(every, filters)}")
    for name in _ONE_OF:
        seen = sorted({str(getattr(row, name)) for row in rows})
        if len(seen) > 1:
            raise RecordError(
                f"these scores are {len(seen)} maps, not one: choose {name} from {', '.join(map(repr, seen))}"
            )
    return rows


def _hint(rows: Sequence[Score], filters: Mapping[str, Any]) -> str:
    for name, want in filters.items():
        have = list(dict.fromkeys(getattr(row, name) for row in rows))
        if want not in have:
            near = sorted(have, key=lambda v: abs(v - want))[:4] if name == "step" else None
            return f"{name}: the nearest are {sorted(near)}" if near else f"{name}: {nearest(str(want), have)}"
    return "No row matches all of them at once; leave one out."


def best_layers(rows: Iterable[Score]) -> dict[str, str]:
    """ROI -> the layer whose mean over all steps is highest."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.value is not None:
            found.setdefault((row.roi, row.layer), []).append(row.value)
    best: dict[str, tuple[float, str]] = {}
    for (roi, layer), values in found.items():
        mean = float(np.mean(values))
        if roi not in best or mean > best[roi][0]:
            best[roi] = mean, layer
    return {roi: layer for roi, (_, layer) in best.items()}


def painted(values: Mapping[str, float], space: Space, record: Record) -> Float[np.ndarray, " voxels"]:
    """One value per voxel: that of its ROI; where no ROI is scored, that of the voxel by its own name; else NaN.

    Raises:
        RecordError: none of the values is of this space.
    """
    alike = set(space.roi) & values.keys()
    names = space.roi if alike else space.names
    out = np.asarray([values.get(name, np.nan) for name in names], dtype=np.float64)
    if not alike and np.isnan(out).all():
        raise RecordError(
            f"record {record.folder} has scores of {sorted(values)[:3]}, the space has the ROIs "
            f"{list(dict.fromkeys(space.roi))[:3]}; take the space that the benchmark was made with"
        )
    return out
