"""One subject's plain files -> an assembly: rows by id, ROIs, ceilings, mean of repeats; bad voxels are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ontogeny.assembly import Assembly, usable_voxels
from ontogeny.ceilings import METHODS, ceiling_from_repeats
from ontogeny.datasets.folder.extras import Extras
from ontogeny.datasets.plain import ResponseTable, numbers, read_responses, read_table, texts, typed
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.stimuli import check_ids

__all__ = ["Order", "Subject", "ceiling_of", "read_subject"]

_NO_ROI = "all voxels"
# What atlases and tables write where a voxel belongs to no region.
_UNLABELLED = ("", "0", "0.0", "nan", "NaN", "None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The stimulus table's ids, and which of its rows are the benchmark's first, second, ... stimulus."""

    table: tuple[str, ...]
    rows: tuple[int, ...]

    def of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Values of the table's rows in the benchmark's order."""
        return tuple(values[row] for row in self.rows)

    def places(self, path: Path, ids: tuple[str, ...] | None, n: int) -> list[int]:
        """Where in another file of n rows each stimulus of the benchmark is.

        Raises:
            DataError: without ids, another number of rows.
            AlignmentIdError: doubled ids, stimuli without a row, rows of unknown stimuli.
        """
        if ids is None:
            if n != len(self.table):
                raise DataError(
                    f"{path} has {n} rows and no ids, the stimulus table has {len(self.table)}; give one row a "
                    "stimulus in the table's order, or a table with a column stimulus_id"
                )
            return list(self.rows)
        check_ids(ids, str(path))
        place, known = {stimulus: row for row, stimulus in enumerate(ids)}, set(self.table)
        missing = [stimulus for stimulus in self.table if stimulus not in place]
        unknown = [stimulus for stimulus in ids if stimulus not in known]
        if missing or unknown:
            raise AlignmentIdError(
                f"{path} lacks {len(missing)} of {len(self.table)} stimuli, e.g. {missing[:3]}, and has {len(unknown)} "
                f"that the stimulus table lacks, e.g. {unknown[:3]}; make the two lists of ids the same"
            )
        return [place[stimulus] for stimulus in self.of(self.table)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An assembly, what is kept beside it, and what was left out: {"subject", "why", "voxels"}."""

    assembly: Assembly
    extras: Extras
    dropped: tuple[dict[str, Any], ...]


def read_subject(
    subject: str,
    responses: Path,
    rois: Path | None,
    *,
    name: str,
    order: Order,
    ceiling: tuple[float | str | None, str],
    drop_bad: bool,
) -> Subject:
    """Read and pair one subject's files.

    Args:
        subject: whose.
        responses: .npy, .safetensors or table.
        rois: table with `roi`, one row a voxel; None: all voxels are one ROI.
        name: of the assembly.
        order: of the stimuli.
        ceiling: one Pearson r for all voxels, a method of `ontogeny.ceilings` or None, and how given ones were made.
        drop_bad: leave bad voxels out and say so; otherwise they are refused.

    Raises:
        DataError: names the file, and the row or voxel.
    """
    read = read_responses(responses)
    rows = order.places(responses, read.ids, read.values.shape[-2])
    with np.errstate(over="ignore"):
        values = read.values[..., rows, :].astype(np.float32)
    mean = values if values.ndim == 2 else _mean(responses, values, order.of(order.table))
    voxels = _voxels(responses, read, rois)
    labels = [_label(value) for value in voxels.pop("roi")]
    bad = _bad(mean, labels)
    keep = ~np.any(list(bad.values()), axis=0)
    _refuse(responses, bad, keep, drop_bad=drop_bad)
    kept = values[:, :, keep] if values.ndim == 3 else None
    found, source = _ceiling(rois, voxels, keep, ceiling, kept)
    assembly = Assembly(
        name=name,
        subject=subject,
        stimulus_ids=order.of(order.table),
        responses=mean[:, keep],
        roi=tuple(label for label, kept in zip(labels, keep, strict=True) if kept),
        ceiling=found,
        ceiling_source=source,
    )
    columns = {key: typed(column)[keep] for key, column in voxels.items()}
    return Subject(
        assembly=assembly,
        extras=Extras(columns=columns, repeats=kept),
        dropped=tuple(
            {"subject": subject, "why": why, "voxels": np.flatnonzero(which).tolist()}
            for why, which in bad.items()
            if which.any()
        ),
    )


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


def _voxels(path: Path, read: ResponseTable, rois: Path | None) -> dict[str, Any]:
    """The voxel table's columns in the order of the responses' voxels."""
    n = read.values.shape[-1]
    named = {} if read.voxels is None else {"voxel": list(read.voxels)}
    if rois is None:
        return {"roi": [_NO_ROI] * n, **named}
    columns: dict[str, Any] = read_table(rois)
    if "roi" not in columns:
        texts(rois, columns, "roi")
    if "voxel" in columns and read.voxels is not None:
        rows = _named_rows(rois, path, texts(rois, columns, "voxel"), read.voxels)
        return {key: [values[row] for row in rows] for key, values in columns.items()}
    if len(columns["roi"]) != n:
        raise DataError(f"{rois} has {len(columns['roi'])} rows, but {path} has {n} voxels; give one row a voxel")
    return named | columns


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
    return "" if text in _UNLABELLED else text


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
    said = [f"{int(which.sum())} {why} (e.g. voxel {_first(which)})" for why, which in bad.items() if which.any()]
    if said and not drop_bad:
        raise DataError(f"{path}: of {keep.size} voxels, {', '.join(said)}; mend or drop them (--drop-bad-voxels)")
    if not keep.any():
        raise DataError(f"{path}: no voxel is left; {', '.join(said)}")


def _first(which: Bool[np.ndarray, " voxels"]) -> int:
    places: Int[np.ndarray, " some"] = np.flatnonzero(which)
    return int(places[0])


def _ceiling(
    path: Path | None,
    voxels: dict[str, Any],
    keep: Bool[np.ndarray, " voxels"],
    told: tuple[float | str | None, str],
    repeats: Float[np.ndarray, "repeats stimuli kept"] | None,
) -> tuple[Float[np.ndarray, " kept"] | None, str]:
    """From the table's column, which is taken out of it, or as `ceiling_of`; and how it was made."""
    given = voxels.pop("ceiling", None)
    if path is None or given is None:
        return ceiling_of(told, repeats, int(keep.sum()))
    if told[0] is not None:
        raise DataError(f"{path} has a column 'ceiling', and a ceiling is given for all voxels too; give one of them")
    return _checked(str(path), numbers(path, "ceiling", given)[keep]), told[1]


def ceiling_of(
    told: tuple[float | str | None, str], repeats: Float[np.ndarray, "repeats stimuli voxels"] | None, n: int
) -> tuple[Float[np.ndarray, " voxels"] | None, str]:
    """The same for all n voxels, or made from repeats; and how it was made.

    Raises:
        DataError: no r from 0 to 1, or repeats that do not make a ceiling which was asked for.
    """
    one, source = told
    if one is None or isinstance(one, str):
        return _from_repeats(repeats, one)
    return _checked("ceiling", np.full(n, one)), source


def _checked(owner: str, values: Float[np.ndarray, " voxels"]) -> Float[np.ndarray, " voxels"]:
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise DataError(
            f"{owner}: a ceiling is a Pearson r from 0 to 1, got {wrong[:3].tolist()}; give one a voxel, "
            "or leave the column out"
        )
    return np.asarray(values, dtype=np.float64)


def _from_repeats(
    repeats: Float[np.ndarray, "repeats stimuli voxels"] | None, method: str | None
) -> tuple[Float[np.ndarray, " voxels"] | None, str]:
    """By the method asked for; where none was, by ncsnr if repeats allow it."""
    if repeats is None:
        if method is None:
            return None, "not known"
        raise DataError(
            f"a ceiling by {method} needs repeats: responses as repeats x stimuli x voxels; there is one each"
        )
    try:
        return ceiling_from_repeats(repeats.transpose(1, 0, 2), method or METHODS[0])
    except DataError as error:
        if method is not None:
            raise
        return None, f"not known: {error}"
