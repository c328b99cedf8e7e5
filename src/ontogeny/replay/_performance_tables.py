"""How good models are, out of CSV tables of others: leaderboards, joined by what a table calls a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny._csv_files import csv_rows
from ontogeny.errors import ConfigError, DataError, nearest
from ontogeny.replay.checkpoint_series import CheckpointProblem

__all__ = ["ABOUT", "RESERVED", "SCORES", "Table", "joined", "read_table"]

ABOUT = ("model", "family", "parameters")
"""What a table of models says of a model."""
SCORES = (
    "benchmark",
    "subject",
    "roi",
    "layer",
    "pooling",
    "metric",
    "value",
    "unit",
    "chance",
    "ceiling",
    "n_stimuli",
    "n_voxels",
    "n_features",
)
"""What it says of a score."""
RESERVED = (*ABOUT, *SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers of one file.

    Args:
        path: of the file.
        columns: our names.
        rows: what the table calls a model, with its numbers by our names; None where a cell is empty or no number.
        problems: cells that are no numbers.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, float | None]], ...]
    problems: tuple[CheckpointProblem, ...] = ()


def read_table(path: Path, *, key: str, columns: Mapping[str, str] | None, where: str) -> Table:
    """A table from a CSV file with a line of names.

    Args:
        path: the file.
        key: its column that says which model.
        columns: our name -> the table's; None: all columns of numbers, by their own names.
        where: for messages.

    Raises:
        ConfigError: it cannot be read, has no rows, or lacks a column.
    """
    try:
        rows = [{name: cell or "" for name, cell in row.items()} for row in csv_rows(path)]
    except DataError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not rows:
        raise ConfigError(f"{where}: {path} has no rows; a line of names and a line per model are expected")
    names = list(rows[0])
    for name in (key, *(columns or {}).values()):
        if name not in names:
            raise ConfigError(f"{where}: {path} has no column {name!r}. {nearest(name, names)}")
    chosen = columns or {name: name for name in names if name and name != key and _numbers([r[name] for r in rows])}
    if not chosen:
        raise ConfigError(f"{where}: {path} has no column of numbers; say which one by columns")
    bad = [
        CheckpointProblem(
            kind="unread", what=str(path), reason=f"{column_name} of {row[key]!r} is no number: {row[column_name]!r}"
        )
        for row in rows
        for column_name in chosen.values()
        if row[column_name].strip() and _number(row[column_name]) is None
    ]
    rows_read = tuple(
        (row[key].strip(), {ours: _number(row[column_name]) for ours, column_name in chosen.items()}) for row in rows
    )
    return Table(path=path, columns=tuple(chosen), rows=rows_read, problems=tuple(bad))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and all(_number(cell) is not None for cell in filled)


def joined(
    inline: Mapping[str, Mapping[str, float]], aliases: Mapping[str, Sequence[str]], tables: Sequence[Table]
) -> tuple[dict[str, dict[str, float]], tuple[str, ...], tuple[CheckpointProblem, ...]]:
    """Tables joined to models, and what does not meet.

    Args:
        inline: model -> name -> value, as the list has it.
        aliases: model -> what a table may call it; its own name before all others.
        tables: joined one after the other.

    Returns:
        Model -> name -> value; all names; and problems: models that a table lacks, rows that no model or several have,
        two values for one place (the first is used), cells without a number.
    """
    values = {model: dict(own) for model, own in inline.items()}
    columns = list(dict.fromkeys(name for own in inline.values() for name in own))
    problems: list[CheckpointProblem] = []
    for table in tables:
        problems += table.problems
        met = {model: 0 for model in inline}
        for called, numbers in table.rows:
            model, reason = _meant(called, aliases)
            if model is None:
                problems.append(CheckpointProblem(kind="unread", what=str(table.path), reason=reason))
                continue
            met[model] += 1
            problems += _put(values[model], numbers, model, table)
        absent = [model for model, times in met.items() if not times]
        problems += [
            CheckpointProblem(kind="missing", what=str(table.path), reason=f"has no row for {m!r}") for m in absent
        ]
        columns += [name for name in table.columns if name not in columns]
    return values, tuple(columns), tuple(problems)


def _meant(called: str, aliases: Mapping[str, Sequence[str]]) -> tuple[str | None, str]:
    """The model that a row belongs to, or why there is none."""
    if called in aliases:
        return called, ""
    meant = [model for model, names in aliases.items() if called in names]
    if len(meant) == 1:
        return meant[0], ""
    rows_read = f"may be each of {', '.join(meant)}" if meant else "is no model of the list"
    return None, f"the row {called!r} {rows_read}; left out"


def _put(
    own: dict[str, float], numbers: Mapping[str, float | None], model: str, table: Table
) -> list[CheckpointProblem]:
    """Add a row's numbers; one that is there already stays."""
    problems = []
    for name, value in numbers.items():
        if value is None:
            problems.append(
                CheckpointProblem(kind="missing", what=str(table.path), reason=f"has no {name} for {model!r}")
            )
        elif own.setdefault(name, value) != value:
            reason = f"{name} of {model!r} is {value:g} here and {own[name]:g} before, which is used"
            problems.append(CheckpointProblem(kind="twice", what=str(table.path), reason=reason))
    return problems
