"""Tables that stand beside images: which stimulus each volume is of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from ontogeny.errors import DataError, nearest
from ontogeny.neuroimaging.bids_names import COLUMNS, ENDS, RunKey
from ontogeny.neuroimaging.glmsingle import ENDINGS, design_sheet
from ontogeny.neuroimaging.image_grids import inside
from ontogeny.neuroimaging.table_files import Sheet, plain_column, read_sheet

__all__ = ["Row", "columns_like_runs", "read_rows"]

_STIMULUS = ("stimulus_id", "stim_id", "stim_file", "trial_type")


# Endings of files that are shown; "1.5" is no file.
_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"),
    *(".txt", ".wav", ".mp3", ".flac", ".mp4", ".avi", ".mov"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One presentation: which stimulus, in which run, for the how-manieth time (from 1); and its own file, or "".

    `onset` and `duration` are seconds from the start of the run, `trial` is the number of the trial or volume; None
    where the table does not say. `written` is the stimulus as the table has it, `table` and `number` (from 1) are where
    it stands. `left_out`: nothing was shown that is a stimulus (fixation).
    """

    stimulus_id: str
    key: RunKey
    repeat: int
    table: Path
    number: int
    file: str = ""
    onset: float | None = None
    duration: float | None = None
    trial: float | None = None
    written: str = ""
    left_out: bool = False

    @property
    def where(self) -> str:
        """The table and the row."""
        return f"{self.table.name}, row {self.number}"


def read_rows(
    paths: Sequence[str | Path],
    *,
    folder: Path | None = None,
    stimuli: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
) -> tuple[Row, ...]:
    """Which stimulus each volume is of, in order.

    Args:
        paths: TSV or CSV with a column of stimuli (the first there is of stimulus_id, stim_id, stim_file, trial_type)
            and, if they like, subject, session, task, acquisition, run, repeat, file, onset, duration. What a table's
            name says of its run (`sub-`, `ses-`, `run-`, ...) holds for all of its rows. Repeats are counted where no
            table numbers them. Or GLMsingle's design, see `ontogeny.neuroimaging.glmsingle`.
        folder: what paths are relative to, and must not leave.
        stimuli: ids of the stimulus set, where it is known; then "faces/cat.png" is "cat" where the set calls it so.
        leave_out: what stands in place of a stimulus where none was shown, e.g. "fixation"; "n/a" is every empty cell.

    Raises:
        DataError: no column of stimuli, an empty cell, an unknown stimulus, a repeat that appears twice, a column that
            contradicts the table's name, or two files that would be one stimulus; names the rows.
    """
    if len(set(map(Path, paths))) < len(paths):
        raise DataError(f"a table is named twice among {[str(path) for path in paths][:4]}; name each once")
    sheets = [_sheet(inside(folder, path)) for path in paths]
    owner = " and ".join(str(path) for path in paths)
    numbered = [sheet.find("repeat") for sheet in sheets]
    if None in numbered and any(numbered):
        raise DataError(f"{owner}: some of these tables have a column 'repeat', others not; number the repeats in all")
    for sheet in sheets if stimuli is not None else ():
        _refuse_other_names(sheet, set(stimuli or ()))
    rows = [row for sheet in sheets for row in _rows(sheet, leave_out)]
    if leave_out and (lacks := sorted(set(leave_out) - {row.stimulus_id for row in rows if row.left_out})):
        raise DataError(
            f"{owner}: no row is {lacks[0]!r}, which should be left out. "
            f"{nearest(lacks[0], {row.stimulus_id for row in rows})}"
        )
    rows = _counted(_called(rows, stimuli, owner)) if None in numbered else _called(rows, stimuli, owner)
    _check(rows, stimuli, owner)
    return tuple(rows)


def _sheet(path: Path) -> Sheet:
    return design_sheet(path) if path.suffix.lower() in ENDINGS else read_sheet(path)


def columns_like_runs(path: str | Path) -> tuple[str, ...]:
    """Columns that are not taken for the run or session of a row, but vary and have a word for it in their name."""
    sheet = _sheet(Path(path))
    known = {name for names in COLUMNS.values() for name in names}
    return tuple(
        column
        for column, cells in sheet.columns.items()
        if (plain := plain_column(column)) not in known
        and not _LIKE_RUN.isdisjoint(plain.split("_"))
        and 1 < len(set(map(str, cells))) <= len(sheet) / 2
    )


_LIKE_RUN = frozenset(("run", "session", "sess", "ses", "scan", "block", "visit", "day"))


def _refuse_other_names(sheet: Sheet, known: set[str]) -> None:
    """Columns that name the stimulus twice, e.g. its id and its file, must not name two of the set."""
    columns = [column for name in _STIMULUS[:-1] if (column := sheet.find(name)) is not None]
    if len(columns) < 2:
        return
    cells = [[_short(str(cell).strip(), known) for cell in sheet.cells(column)] for column in columns]
    for number, named in enumerate(zip(*cells, strict=True), 1):
        if len(set(named) & known) > 1:
            raise DataError(
                f"{sheet.path}, row {number}: the columns {columns} name different stimuli, "
                f"{sorted(set(named) & known)}; which was shown?"
            )


def _short(stimulus: str, known: set[str]) -> str:
    """A stimulus as the set calls it: the file faces/cat.png is "cat" where the set has that, and not the file."""
    if stimulus in known or PurePath(stimulus).suffix.lower() not in _ENDINGS:
        return stimulus
    stem = PurePath(stimulus).stem
    return stem if stem in known else stimulus


def _rows(sheet: Sheet, leave_out: Sequence[str]) -> list[Row]:
    column = next((found for name in _STIMULUS if (found := sheet.find(name)) is not None), None)
    if column is None:
        raise DataError(f"{sheet.path}: no column of stimuli, one of {list(_STIMULUS)}, got {list(sheet.columns)}")
    shown, keys = sheet.labels(column, missing="n/a" if "n/a" in leave_out else None), _keys(sheet)
    times, trials = {name: _times(sheet, name) for name in _TIMES}, _trials(sheet)
    files = [""] * len(sheet) if (name := sheet.find("file")) is None else sheet.labels(name)
    return [
        Row(
            stimulus_id=stimulus,
            key=keys[row],
            repeat=repeat,
            file=files[row],
            onset=times["onset"][row],
            duration=times["duration"][row],
            trial=trials[row],
            table=sheet.path,
            number=row + 1,
            left_out=stimulus in leave_out,
        )
        for row, (stimulus, repeat) in enumerate(zip(shown, _repeats(sheet), strict=True))
    ]


_TIMES = ("onset", "duration")


def _times(sheet: Sheet, name: str) -> Sequence[float | None]:
    """Seconds; of a duration BIDS lets "n/a" pass."""
    if (column := sheet.find(name)) is None:
        return [None] * len(sheet)
    if name == "onset":
        return sheet.numbers(column)
    return [None if np.isnan(value) else float(value) for value in sheet.numbers_or_nan(column)]


_TRIAL = tuple(f"{word}{end}" for word in ("trial", "volume", "vol", "beta") for end in ENDS)


def _trials(sheet: Sheet) -> Sequence[float | None]:
    """Numbers of trials or volumes; a column that has no number in every row is something else."""
    column = next((name for name in sheet.columns if plain_column(name) in _TRIAL), None)
    cells = [] if column is None else [str(cell).strip() for cell in sheet.cells(column)]
    if not cells or not all(re.fullmatch(r"[0-9]+(\.0+)?", cell) for cell in cells):
        return [None] * len(sheet)
    return [float(cell) for cell in cells]


def _repeats(sheet: Sheet) -> list[int]:
    if (column := sheet.find("repeat")) is None:
        return [0] * len(sheet)
    values = sheet.numbers(column)
    broken = [row for row, value in enumerate(values, 1) if not value.is_integer()]
    if broken:
        raise DataError(f"{sheet.path}, row {broken[0]}: column {column!r} should be a whole number")
    return [int(value) for value in values]


def _keys(sheet: Sheet) -> list[RunKey]:
    """What name and columns say of each row's run, together.

    Raises:
        DataError: they contradict each other.
    """
    named = RunKey.of_file(sheet.path)
    columns = {key: column for key, names in COLUMNS.items() if (column := sheet.find(*names)) is not None}
    cells = [sheet.labels(column) for column in columns.values()]
    made: dict[tuple[str, ...], RunKey] = {}
    out = []
    for number, values in enumerate(zip(*cells, strict=True) if cells else [()] * len(sheet), 1):
        if values not in made:
            row_key = RunKey.of(dict(zip(columns, values, strict=True)))
            if wrong := row_key.against(named):
                raise DataError(
                    f"{sheet.path}, row {number}: column {columns[wrong[0]]!r} says "
                    f"{dict(row_key.shown)[wrong[0]]!r}, the file's name says {named}; which is right? Mend "
                    "the column or the name"
                )
            made[values] = row_key.joined(named)
        out.append(made[values])
    return out


def _called(rows: Sequence[Row], stimuli: Sequence[str] | None, owner: str) -> list[Row]:
    """Rows with ids as the stimulus set has them: "faces/cat.png" is "cat" where it has that one only.

    Raises:
        DataError: two files would be one stimulus.
    """
    known, files = set(stimuli or ()), dict[str, str]()
    out = []
    for row in rows:
        stimulus = _short(row.stimulus_id, known)
        if files.setdefault(stimulus, row.stimulus_id) != row.stimulus_id:
            raise DataError(
                f"{owner}: {files[stimulus]!r} and {row.stimulus_id!r} would both be stimulus {stimulus!r}; name one "
                "of them as the stimulus set has it"
            )
        out.append(replace(row, stimulus_id=stimulus, written=row.stimulus_id))
    return out


def _counted(rows: Sequence[Row]) -> list[Row]:
    seen: Counter[str] = Counter()
    out = []
    for row in rows:
        seen[row.stimulus_id] += 1
        out.append(replace(row, repeat=seen[row.stimulus_id]))
    return out


def _check(rows: Sequence[Row], stimuli: Sequence[str] | None, owner: str) -> None:
    if stimuli is not None:
        unknown = sorted({row.stimulus_id for row in rows if not row.left_out} - set(stimuli))
        if unknown:
            raise DataError(
                f"{owner}: {len(unknown)} stimuli are not in the stimulus set, e.g. {unknown[:3]}. "
                f"{nearest(unknown[0], stimuli)}"
            )
    pairs = Counter((row.stimulus_id, row.repeat) for row in rows if not row.left_out)
    doubled = [pair for pair, count in pairs.items() if count > 1]
    if doubled:
        raise DataError(f"{owner}: stimulus {doubled[0][0]!r} has repeat {doubled[0][1]} twice; number its repeats")
