"""Record: all scores of a run on disk, and the events of the run beside them, in a folder of its own.

Its files are those of `_storage.store`. One probe's rows are flushed to disk before the probe counts as done. A process
killed at any byte leaves at most one torn last line in each file, which is dropped with a warning when the record is
opened again. Rows of weights that the run was rolled back from stay on disk and are in no answer (`_storage.branches`).
One process writes at a time (`_storage.lock`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from ontogeny._display import Table, table_html, table_text
from ontogeny.errors import RecordError, in_words
from ontogeny.record._export import as_frame, as_parquet
from ontogeny.record._facts import facts_of, probed, with_benchmark
from ontogeny.record._query import best_by_group, open_query
from ontogeny.record._select import asks_for_events, hint, known_filter, row_of, select_events, select_scores
from ontogeny.record._storage.branches import Branch, Written
from ontogeny.record._storage.metadata import has_header
from ontogeny.record._storage.store import Store, begin
from ontogeny.record.event import Event
from ontogeny.record.row import Row, to_row
from ontogeny.record.score import Score
from ontogeny.record.score_columns import ScoreColumns, columns_of_store
from ontogeny.record.series import Series, curve

__all__ = ["MOST_LINES", "Record", "Series"]

MOST_LINES = 20_000  # read in .5 s


class Record:
    """All scores of a run and its events, on disk, append-only, one row per key.

    `Record("runs/a")` opens a record; a torn last line is dropped with a warning. Opening changes nothing on disk. Rows
    in JSON lines are held in memory, those in Parquet parts are read when they are asked for.

    Args:
        path: the record's folder.
        create: make it when it is missing.
        run: name of the run in a new record; the folder's own name where empty.

    Raises:
        RecordError: no record there, a newer schema, a broken line that is not the last, lines or a part missing.
        MissingExtraError: it has Parquet parts, and pyarrow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False, run: str = "") -> None:
        self.folder = Path(path)
        if not has_header(self.folder):
            if not create:
                raise RecordError(f"there is no record at {self.folder} (no record.json); a probe makes one")
            begin(self.folder, run)
        self._store = Store(self.folder, MOST_LINES)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, run: str = "") -> Record:
        """The old way to open a record, for one release."""
        warnings.warn("Record.open(path) is now Record(path)", DeprecationWarning, stacklevel=2)
        return cls(path, create=create, run=run)

    @override
    def __repr__(self) -> str:
        probes = probed(self._store.events())
        return f"Record({str(self.folder)!r}, run {self.run!r}, {probes}, {len(self)} scores)"

    __str__ = table_text
    _repr_html_ = table_html

    def _table(self) -> Table:
        return Table(title=repr(self), rows=tuple(self.facts().items()))

    def facts(self) -> dict[str, str]:
        """Identity, scores, events, bytes on disk, probes, benchmarks, tasks, refusals and branches, in words."""
        return facts_of(self._store)

    def close(self) -> None:
        """Let other processes write here; the next row that this one writes asks for the right to do so again."""
        self._store.lock.release()

    @property
    def header(self) -> Mapping[str, Any]:
        """What record.json says."""
        return self._store.header

    @property
    def run(self) -> str:
        """Name of the run."""
        return self._store.run

    @property
    def identity(self) -> str:
        """What tells this run from all others: made once, at random."""
        return str(self.header["identity"])

    @property
    def scores(self) -> Sequence[Score]:
        """All scores, in the order of writing. Reads all parts into memory; `select` and `query` need not."""
        return tuple(self._store.select({}))

    def __len__(self) -> int:
        """Number of scores."""
        return self._store.rows

    @property
    def written(self) -> Written:
        """How many rows were ever written, those that were left behind among them."""
        return self._store.written

    @property
    def branches(self) -> tuple[Branch, ...]:
        """What was left behind when the run was rolled back and went on differently."""
        return self._store.branches

    def describe(self, name: str, about: Mapping[str, Any]) -> None:
        """Write what a benchmark is into record.json; another fingerprint under the same name is refused.

        Raises:
            RecordError: the record holds scores of another benchmark of this name; or see `append`.
        """
        self._store.hold()
        self._store.note({"benchmarks": with_benchmark(self.folder, self.header["benchmarks"], name, about)})

    def note(self, key: str, value: Any) -> None:
        """Write one fact about the run (library versions, schedule) into record.json."""
        self._store.note({key: value})

    def identify(self) -> None:
        """Give a record of an older ontogeny its identity, and be the one process that writes there."""
        self._store.identify()

    def leave_behind(self, after: int, *, before: Written, note: str, weights: str = "") -> Branch:
        """Mark rows as a branch that the run has left: they stay on disk, and are in no answer any more.

        Args:
            after: the step that the run was rolled back to; rows of later steps are left behind.
            before: only those among the rows that had been written then, see `written`.
            note: a sentence that says why.
            weights: hash of the first weights that differed.

        Raises:
            RecordError: see `append`.
        """
        branch = Branch(name=f"branch {len(self.branches) + 1}", after=after, before=before, note=note)
        self._store.leave_behind(branch, weights)
        return branch

    def left_behind(self, branch: Branch) -> list[Row]:
        """The rows of a branch: its scores, then its events, each in the order of writing."""
        return self._store.left_behind(branch)

    def get(self, key: tuple[Any, ...]) -> Row | None:
        """The score or event of this key."""
        return row_of(self._store, key)

    def append(self, rows: Iterable[Row]) -> list[Row]:
        """Write the scores and events whose keys are new, flush them to disk (scores first), and return them.

        Beyond `MOST_LINES` JSON lines (an eighth of the rows in parts, where that is more) these and new ones become
        a Parquet part together, if pyarrow is installed. No other process may write here, from the first row on until
        this one ends or calls `close`.

        Raises:
            RecordError: the disk is full (nothing is half-written then), another process writes there or did since the
                record was opened, the file system has no locks, or a field is of the wrong type.
        """
        return self._store.append(rows)

    def append_table(self, table: Any) -> int:
        """Write the rows of a `pyarrow.Table` whose keys are new, in one piece, and return how many these were.

        Args:
            table: columns are a score's fields; those left out get a score's defaults (`run`, `step` and `kind` are
                needed). Text may be dictionary-coded. Numbers that are not finite become None, with a note.

        Raises:
            RecordError: see `append`; or a column that no score has.
            MissingExtraError: pyarrow is not installed.
        """
        return self._store.append_table(table)

    def compact(self) -> int:
        """Move the rows in JSON lines into a Parquet part, and return how many; a kill at any byte loses nothing.

        `append` does so by itself. Refused while another process writes.

        Raises:
            RecordError: see `append`.
            MissingExtraError: pyarrow is not installed.
        """
        return self._store.compact()

    def rows(self) -> list[dict[str, Any]]:
        """All scores as plain dicts."""
        return [to_row(score) for score in self.scores]

    def select(self, **columns: Any) -> list[Score]:
        """Scores whose columns equal what is asked for, or one of a list: `select(kind="task", roi=["V1", "V4"])`.

        Of the parts no more is read than what can match: by kind, by step, by the values that occur.

        Raises:
            RecordError: no such column.
        """
        found = select_scores(self._store, columns)
        if asks_for_events(columns):  # for one release
            warnings.warn("events are no scores: ask record.events(kind=...)", DeprecationWarning, stacklevel=2)
            found += self.events(**columns)  # type: ignore[arg-type]
        return found

    def columns(self, **columns: Any) -> ScoreColumns:
        """What `select` finds, as columns of numbers instead of an object per score: millions take seconds.

        Raises:
            RecordError: no such column.
        """
        return columns_of_store(self._store, known_filter(columns))

    def events(self, **columns: Any) -> list[Event]:
        """Events whose columns equal what is asked for, or one of a list: `events(kind="refusal", step=0)`.

        Raises:
            RecordError: no such column.
        """
        return select_events(self._store, columns)

    def series(self, **columns: Any) -> Series:
        """One curve: the scores that match, by step; averaged over subjects unless one is named.

        Args:
            **columns: any columns of a score; `kind` is "alignment" where not said.

        Raises:
            RecordError: nothing matches, or the scores belong to several curves.
        """
        columns.setdefault("kind", "alignment")
        found = [s for s in self.select(**columns) if s.value is not None]
        if not found:
            raise RecordError(f"record {self.folder} holds no score with {in_words(columns)}. {self.hint(columns)}")
        return curve(found)

    def hint(self, columns: Mapping[str, Any]) -> str:
        """Which of these values, of those that `select` found nothing with, does not occur, and what does."""
        return hint(self._store, columns)

    def query(self, sql: str, *, memory: str = "4GB", files: bool = False) -> Any:
        """What an SQL statement about the tables `scores` and `events` yields, as a `pandas.DataFrame` (DuckDB).

        Args:
            sql: columns are a score's or an event's fields; of scores also `written`, the order of writing.
            memory: most that DuckDB may take.
            files: let the statement read and write files, and load extensions, as this process may. Without, it is one
                question that reads the record alone.

        Example:
            record.query("SELECT step, avg(value) AS value FROM scores WHERE kind = 'task' GROUP BY step ORDER BY step")

        Raises:
            RecordError: the statement is wrong, or reaches beyond the record.
            MissingExtraError: duckdb, pyarrow or pandas is not installed.
        """
        with open_query(self._store, memory, files=files) as ask:
            return ask(sql, ())

    def best(self, of: str, *, by: Sequence[str] = ("roi", "step"), memory: str = "4GB", **columns: Any) -> Any:
        """Which layer (or metric, pooling, ...) scores highest in each group, averaged over subjects (DuckDB).

        Args:
            of: the column that is compared, "layer".
            by: columns that make a group.
            memory: most that DuckDB may take.
            **columns: what is asked for, e.g. metric="ridge-gcv", roi=["V1", "V4"]; `kind` is "alignment" where not
                said.

        Returns:
            A `pandas.DataFrame`, one row a group, sorted: `by`, `of`, its mean value, and n, the rows that this is a
            mean of. The best of several is a little too high as an estimate.

        Raises:
            RecordError: no such column, or scores of several metrics, benchmarks, ... would be compared.
            MissingExtraError: see `query`.
        """
        where = columns if "kind" in (*by, of) else {"kind": "alignment", **columns}
        with open_query(self._store, memory) as ask:
            return best_by_group(ask, of, by, where)

    def to_pandas(self) -> Any:
        """All scores as a `pandas.DataFrame`, one row per score; all in memory."""
        return as_frame(self._store)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write all scores as one Parquet file."""
        return as_parquet(self._store, Path(path))
