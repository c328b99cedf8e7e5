"""Betas: files of one volume (or map) a presentation, an atlas and a table become presentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.neuroimaging.event_tables import Row, read_rows
from ontogeny.neuroimaging.image_grids import Opened
from ontogeny.neuroimaging.image_opening import open_image
from ontogeny.neuroimaging.presentations import Presentations, Unusable, checked
from ontogeny.neuroimaging.volume_matching import CHECKED, RowRules, pair
from ontogeny.neuroimaging.volume_names import names_of, refuse_other_names
from ontogeny.neuroimaging.voxel_masks import Space, same_grid

__all__ = ["read_betas", "read_values"]

_IMAGES = (".nii", ".nii.gz", ".gii", ".mgz", ".img", ".hdr")  # a column `file` may be of pictures that were shown
Files = str | Path | Sequence[str | Path]


def read_values(
    files: Files, *, space: Space, folder: str | Path | None = None
) -> tuple[Float[np.ndarray, "rows voxels"], tuple[int, ...]]:
    """A space's voxels of all volumes (or maps) of one or several images, one after the other.

    Args:
        files: NIfTI (3-D, 4-D), CIFTI dense, or GIFTI; read one at a time.
        space: which voxels; a file on another grid is refused.
        folder: what paths are relative to, and must not leave.

    Returns:
        Volumes x voxels (float32), and how many volumes each file has.

    Raises:
        DataError: a file that cannot be read, or on another grid.
    """
    opened = _opened(_several(files), space, folder)
    return np.concatenate([image.read(space.index) for image in opened]), tuple(o.n_maps for o in opened)


def read_betas(
    files: Files | None,
    *,
    table: Files,
    space: Space,
    subject: str,
    stimuli: Sequence[str] | None = None,
    folder: str | Path | None = None,
    unusable: Unusable = "refuse",
    rules: RowRules = CHECKED,
) -> Presentations:
    """One subject's betas, one row per presentation.

    Args:
        files: 4-D images (one, or one per run) or 3-D ones, one per presentation, in the order of the table; what their
            names say of subject, session, task and run is held against the table. None: its column `file` names them.
        table: which stimulus each volume is of; see `read_rows`. One file, or one per run.
        space: which voxels, and their ROIs; see `read_space(..., like=files)`.
        subject: whose.
        stimuli: ids of the stimulus set; a table that names others is refused.
        folder: what paths are relative to, and must not leave.
        unusable: voxels with NaN, or constant within a run: "refuse", or "drop" and count them.
        rules: how rows become those of volumes, see `RowRules`.

    Raises:
        DataError: grids or lengths that differ, rows and volumes that contradict each other, unknown stimuli, unusable
            voxels; says which and what to do.
    """
    root = None if folder is None else Path(folder)
    rows = read_rows(_several(table), folder=root, stimuli=stimuli, leave_out=rules.leave_out)
    images = _named(rows, table) if files is None else _several(files)
    opened = _opened(images, space, folder)
    lengths = tuple(image.n_maps for image in opened)
    paired = pair(rows, images, lengths, subject=subject, order="rows" if files is None else rules.order)
    if files is not None and len(rows) == sum(lengths):
        _refuse_other_files(rows, images, lengths)
    if rules.order != "rows":
        names = names_of(opened)
        refuse_other_names(paired.rows, [names[place] for place in paired.places], stimuli or ())
    values = np.concatenate([image.read(space.index) for image in opened])
    values, kept, dropped = checked(values[list(paired.places)], space, paired.runs, unusable)
    return Presentations(
        subject=subject,
        stimulus_ids=tuple(row.stimulus_id for row in paired.rows),
        runs=paired.runs,
        responses=values,
        space=kept,
        dropped=dropped,
    )


def _refuse_other_files(rows: Sequence[Row], images: Sequence[str | Path], lengths: Sequence[int]) -> None:
    """A column `file` beside images that are given: both must name the same."""
    given = [Path(image).name for image, n in zip(images, lengths, strict=True) for _ in range(n)]
    for row, name in zip(rows, given, strict=True):
        if row.file.lower().endswith(_IMAGES) and Path(row.file).name != name:
            raise DataError(
                f"{row.where}: column 'file' names {row.file!r}, but this volume is in {name}; give no images, so that "
                "the column finds them, or take the column out"
            )


def _several(files: Files) -> list[str | Path]:
    return [files] if isinstance(files, str | Path) else list(files)


def _named(rows: Sequence[Row], table: Files) -> list[str | Path]:
    without = [row.stimulus_id for row in rows if not row.file]
    if without:
        raise DataError(
            f"{table}: no image is given and {len(without)} rows have no 'file', e.g. that of {without[0]!r}; give "
            "files=, or a column file with one 3-D image a row"
        )
    return [row.file for row in rows]


def _opened(files: Sequence[str | Path], space: Space, folder: str | Path | None) -> list[Opened]:
    if not files:
        raise DataError("no image was given; name at least one file")
    opened = [open_image(path, None if folder is None else Path(folder)) for path in files]
    for image in opened:
        same_grid(image.grid, space.grid, str(image.path), "the atlas")
    return opened
