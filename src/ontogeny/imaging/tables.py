"""Tables that stand beside images: names of labels, and which stimulus each volume is of."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.errors import DataError, nearest
from ontogeny.imaging.bids import bids_name
from ontogeny.imaging.grids import inside

__all__ = ["Row", "label_names", "read_rows", "read_table"]

_STIMULUS = ("stimulus_id", "stim_id", "stim_file", "trial_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One presentation: which stimulus, in which run, for the how-manieth time (from 1); and its own file, or "".

    `onset` and `duration` are seconds from the start of the run, None where the table does not say.
    """

    stimulus_id: str
    run: str
    repeat: int
    file: str = ""
    onset: float | None = None
    duration: float | None = None


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a TSV or CSV file with a header, as text.

    Raises:
        DataError: not such a table; a line with more or fewer cells than the header, by number.
    """
    comma = path.suffix.lower() == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="," if comma else "\t", strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a {'CSV' if comma else 'TSV'} table ({error})") from error
    if len(lines) < 2:
        raise DataError(f"{path}: expected a header and at least one row, got {len(lines)} line(s)")
    header = [cell.strip() for cell in lines[0][1]]
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(f"{path}, line {number}: {len(header)} columns but {len(cells)} cells; is the line cut?")
    return [dict(zip(header, (c.strip() for c in cells), strict=True)) for _, cells in lines[1:]]


def label_names(path: str | Path, folder: Path | None) -> dict[int, str]:
    """Label number -> name, from TSV or CSV (`index`, `name`) or a FreeSurfer-like LUT (number name R G B A).

    Raises:
        DataError: neither; or a number that appears twice.
    """
    found = inside(folder, path)
    first = found.read_text(encoding="utf-8-sig", errors="replace").lstrip().split("\n", 1)[0]
    pairs = _columns(found) if "index" in first.lower() and not first.startswith("#") else _lut(found)
    names: dict[int, str] = {}
    for number, name in pairs:
        if number in names:
            raise DataError(f"{found}: label {number} appears twice, as {names[number]!r} and {name!r}")
        names[number] = name
    if not any(names.keys() - {0}):
        raise DataError(f"{found}: no label but 0, which is background")
    return names


def _columns(path: Path) -> list[tuple[int, str]]:
    rows = read_table(path)
    for column in ("index", "name"):
        if column not in rows[0]:
            raise DataError(f"{path}: column {column!r} is missing. {nearest(column, rows[0])}")
    return [(_whole(row["index"], path), row["name"] or row["index"]) for row in rows]


def _lut(path: Path) -> list[tuple[int, str]]:
    lines = [line.split() for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
    cells = [line for line in lines if line and not line[0].startswith("#")]
    if any(len(line) < 2 for line in cells):
        raise DataError(f"{path}: expected columns 'index' and 'name', or lines 'number name R G B A' (FreeSurfer LUT)")
    return [(_whole(line[0], path), line[1]) for line in cells]


def _whole(text: str, path: Path) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"{path}: label numbers are whole numbers, got {text!r}; expected 'index' and 'name'"
        ) from error


def read_rows(
    paths: Sequence[str | Path], *, folder: Path | None = None, stimuli: Sequence[str] | None = None
) -> tuple[Row, ...]:
    """Which stimulus each volume is of, in order.

    Args:
        paths: TSV or CSV with a column of stimuli (the first there is of stimulus_id, stim_id, stim_file, trial_type)
            and, if they like, run, repeat, file, onset, duration. A table without a column run is of the `run-` in its
            name; or else of several the first, second, ...; or else the run is "". Repeats are counted where the table
            does not say.
        folder: what paths are relative to, and must not leave.
        stimuli: ids of the stimulus set, where it is known; then "faces/cat.png" is "cat" where the set calls it so.

    Raises:
        DataError: no column of stimuli, an empty or unknown stimulus, or a repeat that appears twice.
    """
    known = set(stimuli or ())
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, path in enumerate(paths, 1):
        found = inside(folder, path)
        table = read_table(found)
        column = next((name for name in _STIMULUS if name in table[0]), None)
        if column is None:
            raise DataError(f"{found}: no column of stimuli, one of {list(_STIMULUS)}, got {list(table[0])}")
        run = bids_name(found).entities.get("run", str(number) if len(paths) > 1 else "")
        for cells in table:
            stimulus = cells[column]
            if stimulus not in known and (stem := Path(stimulus).stem) in known:
                stimulus = stem
            seen[stimulus] = seen.get(stimulus, 0) + 1
            rows.append(_row(cells, stimulus, run, seen[stimulus], found))
    _check(rows, stimuli, " and ".join(str(p) for p in paths))
    return tuple(rows)


def _row(cells: dict[str, str], stimulus: str, run: str, counted: int, path: Path) -> Row:
    if stimulus in ("", "n/a"):
        raise DataError(f"{path}: a row has no stimulus: {cells}")
    try:
        repeat = int(cells["repeat"]) if cells.get("repeat") else counted
        times = [float(cells[name]) if cells.get(name, "n/a") not in ("", "n/a") else None for name in _TIMES]
    except ValueError as error:
        raise DataError(f"{path}: repeat, onset and duration are numbers, got {cells}") from error
    onset, duration = times
    return Row(
        stimulus_id=stimulus,
        run=cells.get("run") or run,
        repeat=repeat,
        file=cells.get("file", ""),
        onset=onset,
        duration=duration,
    )


_TIMES = ("onset", "duration")


def _check(rows: Sequence[Row], stimuli: Sequence[str] | None, owner: str) -> None:
    if stimuli is not None:
        unknown = sorted({row.stimulus_id for row in rows} - set(stimuli))
        if unknown:
            raise DataError(
                f"{owner}: {len(unknown)} stimuli are not in the stimulus set, e.g. {unknown[:3]}. "
                f"{nearest(unknown[0], stimuli)}"
            )
    pairs = [(row.stimulus_id, row.repeat) for row in rows]
    doubled = [pair for pair in dict.fromkeys(pairs) if pairs.count(pair) > 1] if len(set(pairs)) < len(pairs) else []
    if doubled:
        raise DataError(f"{owner}: stimulus {doubled[0][0]!r} has repeat {doubled[0][1]} twice; number its repeats")
