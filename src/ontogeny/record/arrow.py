"""Columns: scores as a typed table, its text coded as numbers into a list of the words that occur (pyarrow)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ontogeny.errors import RecordError, nearest, require
from ontogeny.record.event import EVENT_COLUMNS, Event
from ontogeny.record.row import Row, from_row, to_row
from ontogeny.record.score import COLUMNS, KEY, KINDS, NUMBERS, TEXT, Score

__all__ = [
    "arrow",
    "decode_dictionaries",
    "events_of",
    "from_table",
    "new_keys",
    "to_list",
    "to_table",
    "validate_table",
]

_DEFAULTS = {f.name: f.default for f in fields(Score) if f.default is not MISSING}


def arrow(module: str = "pyarrow") -> Any:
    """Pyarrow, or one of its modules.

    Raises:
        MissingExtraError: it is not installed.
    """
    return require(module, "tables")


def to_table(rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Any:
    """A pyarrow table, one row per score, one column per field; numbers that are not finite become null, with a note.

    Args:
        rows: scores, or events; fields that an event does not have get a score's defaults.
        columns: fields.

    Raises:
        RecordError: a field is of another type than a score's.
    """
    finite = [row if _finite(row) else from_row(to_row(row)) for row in rows]
    return arrow().table(
        {name: _column(name, [getattr(row, name, _DEFAULTS.get(name)) for row in finite]) for name in columns}
    )


def from_table(table: Any) -> list[Score]:
    """The scores that a table of `to_table` holds."""
    columns = [to_list(table.column(name)) for name in COLUMNS]
    return [Score(**dict(zip(COLUMNS, row, strict=True))) for row in zip(*columns, strict=True)]


def events_of(table: Any) -> list[tuple[int, Event]]:
    """The events that a table with a score's columns holds, as an older ontogeny wrote them, and their `written`."""
    names = [name for name in EVENT_COLUMNS if name in table.column_names]
    columns = [to_list(table.column(name)) for name in ("written", *names)]
    return [(at, Event(**dict(zip(names, row, strict=True)))) for at, *row in zip(*columns, strict=True)]


def decode_dictionaries(table: Any) -> Any:
    """The table with its text written out."""
    pa = arrow()
    fields = [
        pa.field(name, pa.string() if name in TEXT else table.schema.field(name).type) for name in table.column_names
    ]
    return table.cast(pa.schema(fields))


def validate_table(table: Any) -> Any:
    """A pyarrow table from elsewhere as one of `to_table`: columns left out get a score's defaults.

    Raises:
        RecordError: a column that no score has, one that is missing, of another type, or has nulls where it may not.
    """
    for name in table.column_names:
        if name not in COLUMNS:
            raise RecordError(f"a score has no column {name!r}. {nearest(name, COLUMNS)}")
    made = {}
    for name in COLUMNS:
        if name not in table.column_names and name not in _DEFAULTS:
            raise RecordError(f"the table lacks the column {name!r}; it has {table.column_names}")
        made[name] = _cast(name, table) if name in table.column_names else _constant(name, table.num_rows)
    if odd := set(to_list(made["kind"].unique())) - set(KINDS):
        raise RecordError(f"kind of a score is one of {', '.join(KINDS)}; the table has {sorted(odd)}")
    if below := [step for step in to_list(made["step"].unique()) if step < 0]:
        raise RecordError(f"step is the number of optimizer updates done, 0 or more; the table has {min(below)}")
    return _finite_table(arrow().table(made))


def to_list(column: Any) -> list[Any]:
    """A column as Python values; equal words are one object."""
    pa = arrow()
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(array.type):
        return list(array.to_pylist())
    words = array.dictionary.to_pylist()
    return [words[i] for i in array.indices.to_pylist()]


def new_keys(old: Any, new: Any) -> Bool[np.ndarray, " new"]:
    """Which rows of `new` have a key that is neither in `old` nor in a row of `new` above.

    Args:
        old: table with the columns of a key.
        new: such a table.
    """
    both = arrow().concat_tables([t.select(list(KEY)) for t in (old, new)]).unify_dictionaries().combine_chunks()
    _, first = np.unique(_codes(both), return_index=True)
    keep = np.zeros(both.num_rows, dtype=np.bool_)
    keep[first] = True
    return keep[old.num_rows :]


def _codes(table: Any) -> Int[np.ndarray, " rows"]:
    """One number per row, the same for the same key."""
    codes, size = np.zeros(table.num_rows, dtype=np.int64), 1
    for name in KEY:
        column = table.column(name).combine_chunks()
        coded = column.dictionary_encode() if name not in TEXT else column
        many = max(1, len(coded.dictionary))
        if size * many >= 2**62:
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
            size = int(codes.max(initial=0)) + 1
        codes, size = codes * many + coded.indices.to_numpy(), size * many
    return codes


def _finite(row: Row) -> bool:
    return all(value is None or math.isfinite(value) for value in (getattr(row, name, None) for name in NUMBERS))


def _type(name: str) -> Any:
    pa = arrow()
    if name in TEXT:
        return pa.dictionary(pa.int32(), pa.string())
    return pa.float64() if name in NUMBERS else pa.int64()


def _column(name: str, values: list[Any]) -> Any:
    pa = arrow()
    try:
        made = pa.array(values, pa.string() if name in TEXT else _type(name))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{_expected(name)}; one of {len(values)} rows has something else ({error})") from error
    if made.null_count and name not in NUMBERS:
        raise RecordError(f"{_expected(name)}; {made.null_count} of {len(values)} rows have none")
    return made.dictionary_encode() if name in TEXT else made


def _cast(name: str, table: Any) -> Any:
    pa, column = arrow(), table.column(name)
    try:
        if pa.types.is_dictionary(column.type):
            column = pa.table({name: column}).unify_dictionaries().column(name).combine_chunks()
            words = column.dictionary.cast(pa.string()).dictionary_encode()  # a word may stand there twice
            column = pa.DictionaryArray.from_arrays(words.indices.take(column.indices), words.dictionary)
        elif name in TEXT:
            column = column.cast(pa.string()).combine_chunks().dictionary_encode()
        made = column if name in TEXT else column.cast(_type(name))
    except (pa.ArrowException, AttributeError) as error:
        raise RecordError(f"{_expected(name)}; the table's is {table.column(name).type} ({error})") from error
    if made.null_count and name not in NUMBERS:
        raise RecordError(f"{_expected(name)}; {made.null_count} of {table.num_rows} rows have none")
    return made


def _expected(name: str) -> str:
    return f"column {name!r} is {'text' if name in TEXT else 'a number' if name in NUMBERS else 'a whole number'}"


def _constant(name: str, rows: int) -> Any:
    pa = arrow()
    if name not in TEXT:
        return pa.repeat(pa.scalar(_DEFAULTS[name], _type(name)), rows)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([_DEFAULTS[name]]))


def _finite_table(table: Any) -> Any:
    """The table with its few rows that hold numbers that are not finite done over as `to_table` does."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    bad = np.zeros(table.num_rows, dtype=np.bool_)
    for name in NUMBERS:
        bad |= ~compute.fill_null(compute.is_finite(table.column(name)), True).to_numpy(zero_copy_only=False)
    if not bad.any():
        return table
    done = pa.concat_tables([table.filter(pa.array(~bad)), to_table(from_table(table.filter(pa.array(bad))))])
    order = np.argsort(np.concatenate([np.flatnonzero(~bad), np.flatnonzero(bad)]))
    return done.unify_dictionaries().take(pa.array(order))
