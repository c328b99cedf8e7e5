"""Questions: SQL over the scores of a record, in bounded memory (DuckDB)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontogeny.errors import RecordError, nearest, require
from ontogeny.scores import COLUMNS, KEY

__all__ = ["Ask", "asking", "best"]

Ask = Callable[[str, Sequence[Any]], Any]


@contextmanager
def asking(parts: Sequence[Path], lines: Any, memory: str) -> Iterator[Ask]:
    """A function from a statement about the view `scores`, and the values of its `?`, to a `pandas.DataFrame`.

    Args:
        parts: Parquet files.
        lines: pyarrow table of the rows that are in no part, of the same columns.
        memory: most that DuckDB may take, "4GB"; what goes beyond it lies in a temporary folder for the while.

    Raises:
        RecordError: a statement is wrong.
        MissingExtraError: duckdb or pandas is not installed.
    """
    duckdb = require("duckdb", "query")
    require("pandas", "tables")

    def ask(sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return connection.execute(sql, list(values)).df()
        except duckdb.Error as error:
            raise RecordError(
                f"the question cannot be answered: {error}\nThe table is called scores; its columns are "
                f"{', '.join(COLUMNS)}, and written, the order of writing"
            ) from error

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        ask(f'SET memory_limit = "{memory}"')
        connection.register("lines", lines)
        if parts:
            connection.read_parquet([_literally(path) for path in parts]).create_view("parts")
        both = "SELECT * FROM parts UNION ALL BY NAME SELECT * FROM lines" if parts else "SELECT * FROM lines"
        connection.execute(f"CREATE VIEW scores AS {both}")
        yield ask


def best(ask: Ask, of: str, by: Sequence[str], where: Mapping[str, Any]) -> Any:
    """Which value of one column scores highest in each group, on average over subjects.

    Args:
        ask: of `asking`.
        of: the column that is compared.
        by: columns that make a group.
        where: column -> the value that it must have.

    Raises:
        RecordError: no such column; or another column of the key has several values, whose scores do not compare.
    """
    for name in (of, *by, *where):
        if name not in KEY:
            raise RecordError(f"{name!r} is not one of the columns that name a score. {nearest(name, KEY)}")
    if of in by or not by:
        raise RecordError(f"groups are made of other columns than {of!r}, which is compared; got by={list(by)}")
    values = list(where.values())
    known = "value IS NOT NULL" + "".join(f' AND "{name}" = ?' for name in where)
    single = [name for name in KEY if name not in (of, *by, "subject")]
    if single:
        seen = ask(f"SELECT DISTINCT {_listed(single)} FROM scores WHERE {known}", values)
        for name in single:
            if len(found := sorted(set(seen[name].astype(str)))) > 1:
                raise RecordError(
                    f"scores of several kinds do not compare: choose {name} from {found[:12]}, or group by it"
                )
    return ask(
        f"WITH cells AS (SELECT {_listed([*by, of])}, favg(value) AS value, count(*) AS n, min(written) AS first "
        f"FROM scores WHERE {known} GROUP BY {_listed([*by, of])}) "
        f"SELECT {_listed([*by, of])}, value, n FROM cells "
        f"QUALIFY row_number() OVER (PARTITION BY {_listed(by)} ORDER BY value DESC, first) = 1 ORDER BY {_listed(by)}",
        values,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _literally(path: Path) -> str:
    """The path as a pattern that matches it alone."""
    return re.sub(r"([*?\[])", r"[\1]", str(path.resolve()))
