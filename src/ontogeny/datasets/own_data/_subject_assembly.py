"""One subject's plain files -> an assembly: rows by id, ROIs, ceilings, mean of repeats; bad voxels are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ontogeny.brain import Assembly
from ontogeny.brain.assembly import usable_voxels
from ontogeny.datasets.folder.voxel_extras import Extras, FolderSpace
from ontogeny.datasets.own_data._array_files import ResponseTable, read_responses, typed
from ontogeny.datasets.own_data._ceilings import ceiling_of, checked_ceiling
from ontogeny.datasets.own_data._stimulus_order import StimulusOrder
from ontogeny.datasets.own_data._whose_files import refuse_other_subject, rois_of
from ontogeny.errors import DataError
from ontogeny.neuroimaging.table_files import Sheet, is_missing

__all__ = ["AssemblyRules", "Subject", "Voxels", "lost", "read_subject", "subject_of", "voxel_columns"]

_NO_ROI = "all voxels"
_SHOWN = 6
# What atlases and tables write where a voxel belongs to no region.
_UNLABELLED = ("0", "0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyRules:
    """What holds for the assemblies of all subjects of a benchmark.

    Args:
        name: of the assemblies.
        ceiling: one Pearson r for all voxels, a method of `ontogeny.brain.noise_ceiling` or None, and how given ones
            were made.
        drop_bad: leave bad voxels out and say so; otherwise they are refused.
    """

    name: str
    ceiling: tuple[float | str | None, str]
    drop_bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An assembly, what is kept beside it, what was left out: {"subject", "why", "voxels"}, and what should be said."""

    assembly: Assembly
    extras: Extras
    dropped: tuple[dict[str, Any], ...]
    notes: tuple[tuple[str, str], ...] = ()


def lost(before: Sequence[str], after: Sequence[str]) -> str:
    """The end of a sentence that names ROIs of which no voxel is left; "" where there are none."""
    missing_rois = [roi for roi in dict.fromkeys(before) if roi and roi not in set(after)]
    return f"; no voxel is left of {', '.join(map(repr, missing_rois))}" if missing_rois else ""


def read_subject(
    subject: str,
    responses: Path,
    rois: Path | None,
    *,
    order: StimulusOrder,
    rules: AssemblyRules,
) -> Subject:
    """Read and pair one subject's files.

    Args:
        subject: whose.
        responses: .npy, .safetensors or table.
        rois: table with `roi`, one row per voxel; None: all voxels are one ROI.
        order: of the stimuli.
        rules: of all subjects.

    Raises:
        DataError: names the file, and the row or voxel.
    """
    table = rois_of(subject, rois)
    named = () if table is None or "voxel" not in table.columns else table.labels("voxel")
    read = read_responses(responses, voxels=named)
    refuse_other_subject(subject, responses, read)
    rows = order.places(responses, read.ids, read.values.shape[-2])
    with np.errstate(over="ignore"):
        values = read.values[..., rows, :].astype(np.float32)
    about = Voxels(path=responses, columns=voxel_columns(responses, read, table), table=table)
    made = subject_of(subject, values, about, ids=order.of(order.table), rules=rules)
    return replace(made, notes=_notes(subject, responses, read, unused=len(set(named) - set(read.voxels or named))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Voxels:
    """What is known of a file's voxels: `roi` and more columns, one value per voxel; and the table they come from."""

    path: Path
    columns: Mapping[str, Any]
    table: Sheet | None = None
    space: FolderSpace | None = None
    made_by: str = ""


def subject_of(
    subject: str,
    values: Float[np.ndarray, "..."],
    voxels: Voxels,
    *,
    ids: tuple[str, ...],
    rules: AssemblyRules,
) -> Subject:
    """An assembly of the mean over repeats; bad voxels are refused, or left out and said.

    Args:
        subject: whose.
        values: stimuli x voxels, or repeats x stimuli x voxels (NaN where a stimulus has fewer), in the order of ids.
        voxels: what they are.
        ids: one per row.
        rules: of all subjects.

    Raises:
        DataError: names the file and the voxel.
    """
    columns = dict(voxels.columns)
    mean = values if values.ndim == 2 else _mean(voxels.path, values, ids)
    labels = [_label(value) for value in columns.pop("roi")]
    bad = _bad(mean, labels)
    keep = ~np.any(list(bad.values()), axis=0)
    _refuse(voxels.path, bad, keep, drop_bad=rules.drop_bad)
    kept = values[:, :, keep] if values.ndim == 3 else None
    found, source = _ceiling(voxels.table, columns, keep, rules.ceiling, kept)
    assembly = Assembly(
        name=rules.name,
        subject=subject,
        stimulus_ids=ids,
        responses=mean[:, keep],
        roi=tuple(label for label, kept in zip(labels, keep, strict=True) if kept),
        ceiling=found,
        ceiling_source=source,
    )
    return Subject(
        assembly=assembly,
        extras=Extras(
            columns={
                key: (column if isinstance(column, np.ndarray) else typed(column))[keep]
                for key, column in columns.items()
            },
            repeats=kept,
            space=voxels.space,
            made_by=voxels.made_by,
        ),
        dropped=_dropped(subject, labels, bad, assembly),
    )


def _dropped(
    subject: str, labels: Sequence[str], bad: Mapping[str, Bool[np.ndarray, " voxels"]], left: Assembly
) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "subject": subject,
            "why": why
            + lost([label for label, missing_rois in zip(labels, which, strict=True) if missing_rois], left.roi),
            "voxels": np.flatnonzero(which).tolist(),
        }
        for why, which in bad.items()
        if which.any()
    )


def _notes(subject: str, path: Path, read: ResponseTable, *, unused: int) -> tuple[tuple[str, str], ...]:
    """Which columns of a table were taken for voxels, which were not, and how many the table of ROIs names besides."""
    if read.voxels is None:
        return ()
    few = len(read.voxels) <= 2 * _SHOWN
    shown = read.voxels if few else (*read.voxels[:_SHOWN], "...", *read.voxels[-_SHOWN:])
    left = f"; no voxels: {', '.join(map(repr, read.others))}" if read.others else ""
    left += f"; {unused} voxels of its table of ROIs have no column" if unused else ""
    return (("columns", f"subject {subject}: {len(read.voxels)} voxels of {path.name}: {', '.join(shown)}{left}"),)


def _mean(
    path: Path, repeats: Float[np.ndarray, "repeats stimuli voxels"], ids: Sequence[str]
) -> Float[np.ndarray, "stimuli voxels"]:
    """Over the repeats that a stimulus has; one that it lacks is NaN in every voxel."""
    there = ~np.isnan(repeats).all(axis=2)
    counts = there.sum(axis=0)
    if not counts.all():
        never = [ids[int(row)] for row in np.flatnonzero(counts == 0)]
        raise DataError(f"{path}: {len(never)} stimuli have no repeat at all, e.g. {never[:3]}")
    total = np.where(there[:, :, None], repeats, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / counts[:, None], dtype=np.float32)


def voxel_columns(path: Path, read: ResponseTable, rois: Sheet | None) -> dict[str, Any]:
    """The voxel table's columns in the order of the responses' voxels."""
    n = read.values.shape[-1]
    named = {} if read.voxels is None else {"voxel": list(read.voxels)}
    if rois is None:
        return {"roi": [_NO_ROI] * n, **named}
    rois.cells("roi")
    if "voxel" in rois.columns and read.voxels is not None:
        rows = _named_rows(rois.path, path, rois.labels("voxel"), read.voxels)
        return {key: [values[row] for row in rows] for key, values in rois.columns.items()}
    if len(rois) != n:
        raise DataError(f"{rois.path} has {len(rois)} rows, but {path} has {n} voxels; give one row per voxel")
    _refuse_numbers_that_fall(rois, path)
    return named | dict(rois.columns)


def _refuse_numbers_that_fall(rois: Sheet, path: Path) -> None:
    """Voxels without names are matched in order; a table that numbers them in another order says that it is not."""
    cells = [re.fullmatch(r"(.*?)([0-9]+)", str(cell).strip()) for cell in rois.columns.get("voxel", ())]
    pairs = [(row, a, b) for row, (a, b) in enumerate(pairwise(cells), 2) if a and b and a[1] == b[1]]
    if falls := [row for row, a, b in pairs if int(b[2]) <= int(a[2])]:
        raise DataError(
            f"{rois.path}, row {falls[0]}: column 'voxel' does not rise, but the voxels of {path.name} have no names, "
            "so that they are matched in order; sort the table by voxel"
        )


def _named_rows(rois: Path, path: Path, have: Sequence[str], want: Sequence[str]) -> list[int]:
    place = {voxel: row for row, voxel in enumerate(have)}
    missing = [voxel for voxel in want if voxel not in place]
    if missing or len(place) < len(have):
        raise DataError(
            f"{rois}: column 'voxel' should name each voxel of {path} once; {len(missing)} are missing, e.g. "
            f"{missing[:3]}, and {len(have) - len(place)} are doubled"
        )
    return [place[voxel] for voxel in want]


def _label(value: Any) -> str:
    text = str(value).strip()
    return "" if is_missing(value) or text in _UNLABELLED else text


def _bad(mean: Float[np.ndarray, "stimuli voxels"], labels: Sequence[str]) -> dict[str, Bool[np.ndarray, " voxels"]]:
    """Why -> which voxels; a voxel has one reason."""
    unnamed = np.array([not label for label in labels])
    finite = np.isfinite(mean).all(axis=0)
    return {
        "no ROI label": unnamed,
        "NaN or infinite": ~unnamed & ~finite,
        "constant over stimuli": ~unnamed & finite & ~usable_voxels(mean),
    }


def _refuse(
    path: Path, bad: Mapping[str, Bool[np.ndarray, " voxels"]], keep: Bool[np.ndarray, " voxels"], *, drop_bad: bool
) -> None:
    reasons = [f"{int(which.sum())} {why} (e.g. voxel {_first(which)})" for why, which in bad.items() if which.any()]
    if reasons and not drop_bad:
        raise DataError(f"{path}: of {keep.size} voxels, {', '.join(reasons)}; mend or drop them (--drop-bad-voxels)")
    if not keep.any():
        raise DataError(f"{path}: no voxel is left; {', '.join(reasons)}")


def _first(which: Bool[np.ndarray, " voxels"]) -> int:
    places: Int[np.ndarray, " some"] = np.flatnonzero(which)
    return int(places[0])


def _ceiling(
    table: Sheet | None,
    columns: dict[str, Any],
    keep: Bool[np.ndarray, " voxels"],
    given_for_all: tuple[float | str | None, str],
    repeats: Float[np.ndarray, "repeats stimuli kept"] | None,
) -> tuple[Float[np.ndarray, " kept"] | None, str]:
    """From the table's column, which is taken out of it, or as `ceiling_of`; and how it was made."""
    of_voxels = columns.pop("ceiling", None)
    if table is None or of_voxels is None:
        return ceiling_of(given_for_all, repeats, int(keep.sum()))
    if given_for_all[0] is not None:
        raise DataError(
            f"{table.path} has a column 'ceiling', and a ceiling is given for all voxels too; give one of them"
        )
    values = Sheet(path=table.path, columns={"ceiling": of_voxels}).numbers_or_nan("ceiling")
    return checked_ceiling(str(table.path), values[keep]), given_for_all[1]
