"""Rows of tables and volumes of images, put side by side: whatever is known of either must fit the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import RunKey, refuse_alike
from ontogeny.neuroimaging.event_tables import Row

__all__ = ["CHECKED", "Paired", "RowOrder", "RowRules", "check_series", "first_fall", "pair"]

_PIECE = 3
RowOrder: TypeAlias = Literal["checked", "rows", "onset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What a table's rows do not tell.

    Args:
        order: of the volumes within a run, see `pair`.
        leave_out: what stands in place of a stimulus where none was shown, see `read_rows`.
    """

    order: RowOrder = "checked"
    leave_out: tuple[str, ...] = ()


CHECKED = RowRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """What each volume is of.

    Args:
        rows: one a volume that is kept.
        keys: the run of each, from the table and the image together.
        places: which of all volumes these are; those of rows that are left out are not among them.
    """

    rows: tuple[Row, ...]
    keys: tuple[RunKey, ...]
    places: tuple[int, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """The run of each volume, as text: one spelling a run."""
        spelt: dict[RunKey, str] = {}
        return tuple(spelt.setdefault(key, str(key)) for key in self.keys)


def pair(
    rows: Sequence[Row],
    images: Sequence[str | Path],
    lengths: Sequence[int],
    *,
    subject: str,
    order: RowOrder = "checked",
) -> Paired:
    """Volumes in the order of the images, rows in that of the tables.

    Args:
        rows: see `read_rows`. Those that are left out have all a volume, which is left out too, or none of them has;
            the number of volumes tells.
        images: their names say what they can of subject, session, task, acquisition and run.
        lengths: volumes of each image.
        subject: whose; names and columns must not say otherwise.
        order: volumes of a run are in the order of its rows ("rows"), or in that of their onsets ("onset"). "checked":
            in that of the rows, and refused where onsets fall.

    Raises:
        DataError: other numbers of rows and volumes; a row and its volume of different runs, or of another subject;
            runs, tables or images that nothing tells apart; onsets that contradict the order.
    """
    shown = [row for row in rows if not row.left_out]
    rows = shown if sum(lengths) == len(shown) else rows
    if sum(lengths) != len(rows):
        lengths_text = ", ".join(f"{Path(p).name}: {n}" for p, n in zip(images[:4], lengths[:4], strict=True))
        raise DataError(
            f"the table has {len(rows)} rows but there are {sum(lengths)} volumes ({lengths_text}); one volume a row: "
            "is a run missing, or are these not betas but a time series (block_average, --blocks)?"
        )
    _refuse_doubled(images)
    names = [Path(path).name for path in images]
    file_keys = [RunKey.of_file(path) for path in images]
    at = [image for image, n in enumerate(lengths) for _ in range(n)]
    keys = [
        _joined(row, number, names[i], file_keys[i]) for number, (row, i) in enumerate(zip(rows, at, strict=True), 1)
    ]
    _refuse_subject(subject, rows, keys)
    several = {image for image, n in enumerate(lengths) if n > 1}
    _refuse_one_run_twice(keys, [Path(images[i]) if i in several else None for i in at], "images")
    _refuse_one_run_twice(keys, [row.table for row in rows], "tables")
    if len(several) > 1:
        _refuse_untold(rows, at, names, file_keys)
    refuse_alike({key: row.where for key, row in reversed(list(zip(keys, rows, strict=True)))})
    ordered = _ordered(rows, keys, order)
    places = tuple(place for place, row in enumerate(ordered) if not row.left_out)
    return Paired(
        rows=tuple(ordered[place] for place in places), keys=tuple(keys[place] for place in places), places=places
    )


def _refuse_doubled(images: Sequence[str | Path]) -> None:
    twice = [path for path, count in Counter(map(Path, images)).items() if count > 1]
    if twice:
        raise DataError(f"image {twice[0]} is named {list(map(Path, images)).count(twice[0])} times; name each once")


def _joined(row: Row, number: int, image: str, key: RunKey) -> RunKey:
    if wrong := row.key.against(key):
        raise DataError(
            f"row {number} of the table is of {row.key} ({row.where}), but its volume is in {image}: {wrong[0]}- is "
            f"{dict(row.key.shown)[wrong[0]]!r} in the one and {dict(key.shown)[wrong[0]]!r} in the other; give files "
            "and tables in the same order"
        )
    return row.key.joined(key)


def _refuse_subject(subject: str, rows: Sequence[Row], keys: Sequence[RunKey]) -> None:
    own_key = RunKey.of({"sub": subject})
    for row, key in zip(rows, keys, strict=True):
        if own_key.against(key):
            raise DataError(
                f"subject {subject!r}: {row.where} and its volume are of {key}, another subject; give each subject its "
                "own files, or rename them"
            )


def _refuse_one_run_twice(keys: Sequence[RunKey], files: Sequence[Path | None], what: str) -> None:
    """Two files of several volumes that would be one run: z-scored together, as if one."""
    first: dict[RunKey, Path] = {}
    for key, file in zip(keys, files, strict=True):
        if file is not None and (other := first.setdefault(key, file)) != file:
            shown = (other, file) if other.name == file.name else (other.name, file.name)
            raise DataError(
                f"the {what} {shown[0]} and {shown[1]} would both be {key}: are they runs or sessions of their own? "
                "Say so in their names (ses-1_run-2), or in columns session and run of the table"
            )


def _refuse_untold(rows: Sequence[Row], at: Sequence[int], names: Sequence[str], file_keys: Sequence[RunKey]) -> None:
    """Several tables beside several images: each must say which it is for, not only where it stands in the list."""
    keys: dict[Path, set[RunKey]] = {}
    own: dict[Path, set[int]] = {}
    for row, image in zip(rows, at, strict=True):
        keys.setdefault(row.table, set()).add(row.key)
        own.setdefault(row.table, set()).add(image)
    for table in keys if len(keys) > 1 else ():
        for image in sorted(set(at) - own[table]):
            if any(not key.against(file_keys[image]) for key in keys[table]):
                raise DataError(
                    f"nothing says that {table.name} is of {names[min(own[table])]} and not of {names[image]}; give "
                    "both the same session and run in their names, or columns session and run in the tables"
                )


def check_series(paired: Paired, trs: Sequence[float | None]) -> None:
    """Rows of time series, one a volume: runs in one piece, and onsets that go on by the TR.

    Args:
        paired: rows and volumes.
        trs: seconds from volume to volume, one per row; None where the image does not say.

    Raises:
        DataError: a run that is interrupted, or onsets that run away from the volumes; names the row.
    """
    ended: set[RunKey] = set()
    for one, other in pairwise(paired.keys):
        if one != other and (ended := ended | {one}) and other in ended:
            raise DataError(f"volumes of {other} stand before and after those of {one}; put each run in one piece")
    first: dict[RunKey, int] = {}
    for place, (row, key, tr) in enumerate(zip(paired.rows, paired.keys, trs, strict=True)):
        start = paired.rows[first.setdefault(key, place)].onset
        if row.onset is None or start is None or tr is None:
            continue
        passed = (place - first[key]) * tr
        if abs(row.onset - start - passed) > tr / 2:
            raise DataError(
                f"{row.where}: onset {row.onset:g} s is {row.onset - start:g} s after that of the first volume of "
                f"{key}, but {place - first[key]} volumes of {tr:g} s (the image's TR) are {passed:g} s; is a "
                "row missing, or the TR wrong?"
            )


def first_fall(onsets: Sequence[float], runs: Sequence[str]) -> tuple[int, int] | None:
    """The first two rows of one run, one after the other, whose onsets fall; None where none do."""
    last: dict[str, int] = {}
    for row, run in enumerate(runs):
        if run in last and onsets[row] < onsets[last[run]]:
            return last[run], row
        last[run] = row
    return None


def _ordered(rows: Sequence[Row], keys: Sequence[RunKey], order: RowOrder) -> tuple[Row, ...]:
    by_run: dict[RunKey, list[int]] = {}
    for place, key in enumerate(keys):
        by_run.setdefault(key, []).append(place)
    if order == "onset":
        return _by_onset(rows, by_run)
    if order == "checked":
        for places in by_run.values():
            timed = [rows[place] for place in places if rows[place].onset is not None]
            _refuse_falling(timed)
            _refuse_falling_trials([rows[place] for place in places if rows[place].trial is not None])
            if len(timed) < len(places):
                _refuse_returning([rows[place] for place in places], places)
    return tuple(rows)


def _refuse_falling(run: Sequence[Row]) -> None:
    onsets = [float(row.onset or 0.0) for row in run]
    if (found := first_fall(onsets, [""] * len(run))) is not None:
        one, other = (run[place] for place in found)
        raise DataError(
            f"{one.where} begins at {one.onset:g} s and {other.where}, of the same run ({other.key}), at "
            f"{other.onset:g} s: were volumes taken in the order of the rows? Are these two runs (give columns session "
            "and run)? Say order='onset' (--order onset): volumes are in the order of the onsets; or order='rows' "
            "(--order rows): in that of the rows"
        )


def _refuse_falling_trials(run: Sequence[Row]) -> None:
    """Numbers of trials or volumes that are each there once say the order, as onsets do."""
    trials = [float(row.trial or 0.0) for row in run]
    if len(set(trials)) == len(trials) and (found := first_fall(trials, [""] * len(run))) is not None:
        one, other = (run[place] for place in found)
        raise DataError(
            f"{one.where} is trial or volume {one.trial:g} and {other.where}, of the same run ({other.key}), "
            f"{other.trial:g}: were volumes taken in the order of the rows? Sort the table, say order='onset' (--order "
            "onset) where it has onsets, or order='rows' (--order rows): the volumes are in that of the rows"
        )


def _refuse_returning(run: Sequence[Row], places: Sequence[int]) -> None:
    """Without onsets: a run that ends, and comes again in pieces of several rows, is likely that of two sessions."""
    cuts = [k for k, (one, other) in enumerate(pairwise(places), 1) if other != one + 1]
    pieces = [stop - start for start, stop in zip([0, *cuts], [*cuts, len(places)], strict=True)]
    if cuts and min(pieces) >= _PIECE:
        raise DataError(
            f"{run[0].where} to {run[cuts[0] - 1].number} and again from {run[cuts[0]].where} on are of one run "
            f"({run[0].key}), with others in between: are these two sessions? Give a column session; or say "
            "order='rows' (--order rows): it is one run"
        )


def _by_onset(rows: Sequence[Row], by_run: Mapping[RunKey, Sequence[int]]) -> tuple[Row, ...]:
    out = list(rows)
    for places in by_run.values():
        run = [rows[place] for place in places]
        without = next((row for row in run if row.onset is None), None)
        if without is not None:
            raise DataError(f"{without.where} has no onset, so that rows cannot be put in the order of their onsets")
        twice = [onset for onset, count in Counter(row.onset for row in run).items() if count > 1]
        if twice:
            raise DataError(f"{run[0].table.name}: two rows of {run[0].key} begin at {twice[0]:g} s; which is first?")
        for place, row in zip(places, sorted(run, key=lambda row: float(row.onset or 0.0)), strict=True):
            out[place] = row
    return tuple(out)
