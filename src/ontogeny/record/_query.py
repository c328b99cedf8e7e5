"""Questions: SQL over the scores of a record, in bounded memory (DuckDB)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ontogeny.errors import RecordError, nearest, require
from ontogeny.record._storage.branches import as_sql
from ontogeny.record._storage.store import Store
from ontogeny.record.arrow import to_table
from ontogeny.record.event import EVENT_COLUMNS
from ontogeny.record.score import COLUMNS, KEY, KINDS

__all__ = ["Ask", "best_by_group", "open_query"]

Ask = Callable[[str, Sequence[Any]], Any]


@contextmanager
def open_query(store: Store, memory: str, *, files: bool = False) -> Iterator[Ask]:
    """A function from a statement about `scores` and `events`, and the values of its `?`, to a `pandas.DataFrame`.

    A statement is one question, and reads no file but the parts; what would write, attach, install or change a setting
    is refused.

    Args:
        store: of the record.
        memory: most that DuckDB may take, "4GB"; what goes beyond it lies in a temporary folder for the while.
        files: statements of any kind, which may read and write files as this process may.

    Raises:
        RecordError: a statement is wrong, or reaches beyond the record.
        MissingExtraError: duckdb or pandas is not installed.
    """
    duckdb = require("duckdb", "query")
    require("pandas", "tables")
    parts = store.parts.paths

    def ask(sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            if not files:
                _refuse_all_but_one_question(duckdb.extract_statements(sql), duckdb)
            return connection.execute(sql, list(values)).df()
        except duckdb.Error as error:
            raise RecordError(_error_text(error)) from error

    with TemporaryDirectory(prefix="ontogeny-") as scratch:
        connection = _connected(duckdb, memory, scratch)
        with connection:
            connection.register("lines", store.scores_table())
            connection.register("events", to_table(store.events(), EVENT_COLUMNS))
            if parts:
                connection.read_parquet([_literally(path) for path in parts]).create_view("parts")
            both = "SELECT * FROM parts UNION ALL BY NAME SELECT * FROM lines" if parts else "SELECT * FROM lines"
            where = f"kind IN {KINDS} AND {as_sql(store.branches)}"
            connection.execute(f"CREATE VIEW scores AS SELECT * FROM ({both}) WHERE {where}")
            if not files:
                paths = ", ".join(_quoted(text) for path in parts for text in (str(path.resolve()), _literally(path)))
                connection.execute(f"SET allowed_paths = [{paths}]")
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
            yield ask


def _connected(duckdb: Any, memory: str, scratch: str) -> Any:
    """A database in memory, in which names of tables are never those of Python's variables."""
    settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    settings |= {"python_enable_replacements": "false", "temp_directory": scratch, "memory_limit": memory}
    try:
        return duckdb.connect(config=settings)
    except duckdb.Error as error:
        raise RecordError(_error_text(error)) from error


def _refuse_all_but_one_question(statements: Sequence[Any], duckdb: Any) -> None:
    kinds = [statement.type for statement in statements]
    if len(kinds) != 1 or kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        named = ", ".join(kind.name for kind in kinds) or "nothing"
        raise RecordError(
            f"a question to a record is one SELECT, got {named}: it neither writes nor changes settings. To let a "
            "statement read and write files, ask with files=True (--files)"
        )


def _error_text(error: Exception) -> str:
    files = (
        ""
        if "disabled by configuration" not in str(error)
        else ("\nIt reaches beyond the record: to let it read and write files, ask with files=True (--files)")
    )
    return (
        f"query failed: {error}{files}\nThe table is called scores; its columns are "
        f"{', '.join(COLUMNS)}, and written, the order of writing. What is no score (probes, refusals, costs) is in "
        f"the table events: {', '.join(EVENT_COLUMNS)}"
    )


def best_by_group(ask: Ask, of: str, by: Sequence[str], where: Mapping[str, Any]) -> Any:
    """Which value of one column scores highest in each group, on average over subjects.

    Args:
        ask: of `open_query`.
        of: the column that is compared.
        by: columns that make a group.
        where: column -> the value that it must have, or a list of such.

    Raises:
        RecordError: no such column; or another column of the key has several values, whose scores do not compare.
    """
    for name in (of, *by, *where):
        if name not in KEY:
            raise RecordError(f"{name!r} is not one of the columns that name a score. {nearest(name, KEY)}")
    if of in by or not by:
        raise RecordError(f"groups are made of other columns than {of!r}, which is compared; got by={list(by)}")
    filters = {name: want if isinstance(want, list | tuple) else [want] for name, want in where.items()}
    values = [value for several in filters.values() for value in several]
    known = "value IS NOT NULL" + "".join(f' AND "{n}" IN ({", ".join("?" * len(w))})' for n, w in filters.items())
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


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
