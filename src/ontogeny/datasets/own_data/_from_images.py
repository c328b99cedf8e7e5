"""One subject's images of the brain -> an assembly and what a folder keeps beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.brain import Assembly
from ontogeny.datasets.folder.voxel_coordinates import as_places
from ontogeny.datasets.folder.voxel_extras import Extras
from ontogeny.datasets.own_data._ceilings import ceiling_of
from ontogeny.datasets.own_data._stimulus_order import StimulusOrder
from ontogeny.datasets.own_data._subject_assembly import AssemblyRules, Subject, lost
from ontogeny.datasets.own_data.image_files import Images, by_side, refuse_text_order
from ontogeny.errors import DataError
from ontogeny.neuroimaging.betas import read_betas, read_values
from ontogeny.neuroimaging.bids_names import bids_name
from ontogeny.neuroimaging.bold_blocks import REST, block_average
from ontogeny.neuroimaging.event_tables import columns_like_runs, read_rows
from ontogeny.neuroimaging.image_grids import Grayordinates, Unplaced, inside
from ontogeny.neuroimaging.image_opening import open_image, repetition_time
from ontogeny.neuroimaging.presentations import Presentations, Unusable, checked
from ontogeny.neuroimaging.run_preprocessing import detrend_runs, zscore_runs
from ontogeny.neuroimaging.volume_matching import check_series, pair
from ontogeny.neuroimaging.voxel_masks import Space, read_space

__all__ = ["atlases_said", "image_space", "read_images", "space_name"]

_RUNS_SHOWN = 8


def read_images(
    subject: str,
    images: Images,
    *,
    order: StimulusOrder,
    known: Sequence[str],
    rules: AssemblyRules,
) -> Subject:
    """Read, z-score, average and pair one subject's images.

    Args:
        subject: whose.
        images: which files.
        order: of the stimuli.
        known: stimuli that the table may name; of a benchmark of shared ones more than the benchmark has.
        rules: of all subjects; bad voxels are those that are NaN or constant within a run.

    Raises:
        DataError: grids, lengths, stimuli or voxels that do not fit; names the file.
    """
    read = list(_sides(subject, images, known=known, drop_bad=rules.drop_bad))
    spaces, sides = [space for space, _ in read], [shown for _, shown in read]
    ids, scored_ids = tuple(dict.fromkeys(sides[0].stimulus_ids)), set(order.table)
    kept = [place for place, stimulus in enumerate(ids) if stimulus in scored_ids or not images.shared]
    found = order.places(images.table[0], tuple(ids[place] for place in kept), len(kept))
    rows = [kept[place] for place in found]
    repeats = np.concatenate([shown.by_repeat()[1][rows] for shown in sides], axis=2)
    responses = np.concatenate([shown.assembly(rules.name).responses[rows] for shown in sides], axis=1)
    kept_repeats = np.moveaxis(repeats, 1, 0) if repeats.shape[1] > 1 else None
    found_ceiling, source = ceiling_of(rules.ceiling, kept_repeats, responses.shape[1])
    columns, place = as_places([shown.space for shown in sides], space_name(images))
    assembly = Assembly(
        name=rules.name,
        subject=subject,
        stimulus_ids=order.of(order.table),
        responses=responses,
        roi=tuple(label for shown in sides for label in _labels(images, shown.space)),
        ceiling=found_ceiling,
        ceiling_source=source,
    )
    if images.voxelwise:
        columns["region"] = np.array([label for shown in sides for label in shown.space.roi], dtype=object)
    extras = Extras(
        columns=columns,
        repeats=kept_repeats,
        space=place,
        made_by=_made_by(
            images, sides[0], spaces, repeats.shape[1], n_unseen=(len(known) - len(order.table)) * images.shared
        ),
    )
    return Subject(
        assembly=assembly,
        extras=extras,
        dropped=tuple(entry for space, shown in read for entry in _dropped(subject, space, shown)),
        notes=(_runs(subject, sides[0]), *_unused(subject, images)),
    )


def _sides(
    subject: str, images: Images, *, known: Sequence[str], drop_bad: bool
) -> Iterator[tuple[Space, Presentations]]:
    """Of each hemisphere, or of the volume: the atlas's voxels, and what was shown in those that can be used."""
    if not images.table:
        raise DataError(
            f"subject {subject!r} has images but no table of stimuli (--table); give one for it, or one for all"
        )
    for prefix, betas, atlas in by_side(subject, images, images.betas):
        refuse_text_order(subject, images, betas)
        space = image_space(images, prefix, betas, atlas)
        yield space, _presentations(subject, images, betas, space, known=known, drop_bad=drop_bad)


def _runs(subject: str, shown: Presentations) -> tuple[str, str]:
    """Which runs there are, as they are z-scored."""
    counts = Counter(shown.runs)
    listed = [f"{run} ({n})" for run, n in list(counts.items())[:_RUNS_SHOWN]]
    more = [f"{len(counts) - len(listed)} more"] if len(counts) > len(listed) else []
    return "runs", f"subject {subject}: {len(counts)}, with so many presentations: {', '.join(listed + more)}"


def _unused(subject: str, images: Images) -> list[tuple[str, str]]:
    """Columns that may say the run or session, and are not called so."""
    found = {column: path.name for path in images.table for column in columns_like_runs(path)}
    return [
        (
            "not used",
            f"subject {subject}: column {column!r} of {name}; call it run or session if that is what it says",
        )
        for column, name in found.items()
    ]


def image_space(images: Images, prefix: str, betas: tuple[Path, ...], atlas: Path) -> Space:
    """The voxels of an atlas on the grid of some images.

    Raises:
        DataError: names say that they are in other spaces; or see `read_space`.
    """
    like = betas[0] if betas else _beside(images.table)
    spaces_named = [bids_name(path).entities.get("space", "") for path in (like, atlas) if path is not None]
    if len(set(spaces_named) - {""}) > 1:
        raise DataError(
            f"betas are in space {spaces_named[0]}, atlas {atlas.name} in {spaces_named[1]}: resampling changes the "
            "grid, it does not register brains; take an atlas in the betas' space (where the two are near enough for "
            "you, rename it)"
        )
    chosen = list(images.regions) or None
    return read_space(atlas, labels=images.labels, rois=chosen, like=like, resample=images.resample, prefix=prefix)


def _beside(table: Sequence[Path]) -> Path | None:
    """The first image that a table's column `file` names."""
    first = read_rows(table[:1])[0].file
    return inside(table[0].parent, first) if first else None


def _presentations(
    subject: str, images: Images, betas: tuple[Path, ...], space: Space, *, known: Sequence[str], drop_bad: bool
) -> Presentations:
    unusable: Unusable = "drop" if drop_bad else "refuse"
    if images.blocks is not None:
        return _blocks(subject, images, betas, space, unusable, shift=images.blocks)
    shown = read_betas(
        betas or None,
        table=[path if betas else path.name for path in images.table],
        space=space,
        subject=subject,
        stimuli=known,
        folder=None if betas else images.table[0].parent,
        unusable=unusable,
        rules=images.rules,
    )
    return shown.zscored() if images.zscore else shown


def _blocks(
    subject: str, images: Images, series: tuple[Path, ...], space: Space, unusable: Unusable, *, shift: int
) -> Presentations:
    """Block averages of time series whose runs were z-scored after a line was taken out."""
    rows = [replace(row, left_out=False) for row in read_rows(images.table, leave_out=images.rules.leave_out)]
    values, lengths = read_values(series, space=space)
    if len(values) != len(rows):
        raise DataError(
            f"subject {subject!r}: {len(values)} volumes but {len(rows)} rows in {images.table[0].name}; blocks need a "
            "row a volume, rest too"
        )
    paired = pair(rows, series, lengths, subject=subject, order=images.rules.order)
    check_series(
        paired, [repetition_time(open_image(path)) for path, n in zip(series, lengths, strict=True) for _ in range(n)]
    )
    runs = paired.runs
    values, kept, dropped = checked(values, space, runs, unusable)
    shown = block_average(
        zscore_runs(detrend_runs(values, runs), runs),
        labels=[REST if row.stimulus_id in images.rules.leave_out else row.stimulus_id for row in paired.rows],
        runs=runs,
        space=kept,
        subject=subject,
        shift=shift,
    )
    return replace(shown, dropped=dropped)


def _labels(images: Images, space: Space) -> tuple[str, ...]:
    return space.names if images.voxelwise else space.roi


def _dropped(subject: str, space: Space, shown: Presentations) -> list[dict[str, Any]]:
    """What the folder says of voxels that were left out: their places in the image, and why."""
    if not shown.dropped:
        return []
    lost_voxels = np.setdiff1d(space.index, shown.space.index).tolist()
    why = ", ".join(f"{count} {reason}" for reason, count in shown.dropped.items()) + lost(space.roi, shown.space.roi)
    return [{"subject": subject, "why": f"{why} (numbers: places in the image)", "voxels": lost_voxels}]


def space_name(images: Images) -> str:
    """The space that names say."""
    for path in (*images.betas, *images.atlas):
        if "space" in (entities := bids_name(path).entities):
            return entities["space"]
    return "that of the betas"


def _made_by(images: Images, shown: Presentations, spaces: Sequence[Space], n_repeats: int, *, n_unseen: int) -> str:
    """One sentence for the folder; names of files only, so that the same files give the same bytes."""
    parts = []
    if images.blocks is not None:
        parts.append(f"runs z-scored after a line was taken out, block averages moved by {images.blocks} volumes")
    else:
        parts.append("z-scored within run" if images.zscore else "betas as given, not z-scored")
    parts.append(f"mean of up to {n_repeats} repeats" if n_repeats > 1 else "one presentation a stimulus")
    if n_unseen:
        parts.append(f"{n_unseen} stimuli left out that not every subject saw")
    parts += atlases_said(images, spaces, images.betas)
    return f"{len(shown.runs)} presentations in {len(set(shown.runs))} runs; " + "; ".join(parts)


def atlases_said(images: Images, spaces: Sequence[Space], files: Sequence[Path]) -> list[str]:
    """Which atlases, and how they came onto the grid of the files; a region that was lost on the way is named."""
    out = []
    for atlas, space in zip(images.atlas, spaces, strict=True):
        sha256 = hashlib.sha256(atlas.read_bytes()).hexdigest()[:16]
        out.append(f"atlas {atlas.name} (sha256 {sha256}){_moved(images, atlas, space, files)}")
    return out


def _moved(images: Images, atlas: Path, space: Space, files: Sequence[Path]) -> str:
    if files and isinstance(open_image(files[0]).grid, Unplaced):
        return "; the betas have no affine, their voxels are taken to be those of the atlas, whose shape they have"
    if not (images.resample and len(images.atlas) == 1 and open_image(atlas).grid.differs(space.grid)):
        return ""
    how = "grayordinates by structure and vertex or voxel" if isinstance(space.grid, Grayordinates) else _NEAREST
    before = read_space(atlas, labels=images.labels, rois=list(images.regions) or None)
    return f", put on the betas' {how}{lost(before.roi, space.roi)}"


_NEAREST = "grid by nearest neighbour"
