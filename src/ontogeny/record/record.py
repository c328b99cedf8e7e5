"""Record and Series: all scores of a run on disk, and one curve out of them.

A record is a folder:

    record.json     schema version, identity, run, benchmarks with their fingerprints, library versions
    scores.jsonl    one JSON object a line, one line a score, only ever appended to
    scores/         Parquet files, once there are more rows than `MOST_LINES` (pyarrow); see `_storage.parquet_shards`

One probe's rows are written in one piece and flushed to disk before the probe counts as done. A process killed at
any byte leaves at most one torn last line, which is dropped with a warning when the record is opened again. Rows of
weights that the run was rolled back from stay on disk and are in no answer (`_storage.branches`). One process writes at
a time (`_storage.lock`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

from typing_extensions import override

from ontogeny.errors import RecordError, nearest, require
from ontogeny.record._query import Ask, best_by_group, open_query
from ontogeny.record._storage.branches import Branch, as_sql
from ontogeny.record._storage.metadata import has_header
from ontogeny.record._storage.parquet_format import write_parquet
from ontogeny.record._storage.parquet_shards import as_filter
from ontogeny.record._storage.store import Store, begin, new_identity
from ontogeny.record.arrow import to_list, to_table
from ontogeny.record.score import COLUMNS, COUNTS, KEY, NUMBERS, Score, to_row
from ontogeny.record.series import Series, curve

__all__ = ["MOST_LINES", "Record", "Series"]

MOST_LINES = 200_000


class Record:
    """All scores of a run, on disk, append-only, one row a key.

    Use `Record.open(path)`; a record that is not there yet is made by `Record.open(path, create=True, run=...)`. Rows
    in JSON lines are held in memory, those in Parquet parts are read when they are asked for.
    """

    def __init__(self, store: Store) -> None:
        self.folder = store.folder
        self._store = store

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, run: str = "") -> Record:
        """Open a record's folder; drop a torn last line with a warning. Opening changes nothing on disk.

        Args:
            path: the record's folder.
            create: make it when it is missing.
            run: name of the run in a new record; the folder's own name where empty.

        Raises:
            RecordError: no record there, a newer schema, a broken line that is not the last, lines or a part missing.
            MissingExtraError: it has Parquet parts, and pyarrow is not installed.
        """
        folder = Path(path)
        if not has_header(folder):
            if not create:
                raise RecordError(f"there is no record at {folder} (no record.json); a probe makes one")
            begin(folder, run)
        return cls(Store(folder, MOST_LINES))

    @override
    def __repr__(self) -> str:
        steps = sorted({score.step for score in self.select(kind="probe")})
        probed = f"{len(steps)} probes" + (f", steps {steps[0]} to {steps[-1]}" if steps else "")
        return f"Record({str(self.folder)!r}, run {self.run!r}, {probed}, {len(self)} rows)"

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
    def written(self) -> int:
        """How many rows were ever written, those that were left behind among them."""
        return self._store.recent.written

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
        benchmarks = self.header["benchmarks"]
        known = benchmarks.get(name)
        if known is not None and known["fingerprint"] != about["fingerprint"]:
            raise RecordError(
                f"record {self.folder} holds scores of benchmark {name!r} with fingerprint {known['fingerprint']}, "
                f"this one has {about['fingerprint']}: stimuli, responses, folds or metrics differ. "
                "Write to another folder, or give the benchmark another name"
            )
        self._store.note({"benchmarks": {**benchmarks, name: dict(about)}})

    def note(self, key: str, value: Any) -> None:
        """Write one fact about the run (library versions, schedule) into record.json."""
        self._store.note({key: value})

    def identify(self) -> None:
        """Give a record of an older ontogeny its identity, and be the one process that writes there."""
        self._store.hold()
        if not self.identity:
            self.note("identity", new_identity())

    def leave_behind(self, after: int, *, before: int, note: str, weights: str = "") -> Branch:
        """Mark rows as a branch that the run has left: they stay on disk, and are in no answer any more.

        Args:
            after: the step that the run was rolled back to; rows of later steps are left behind.
            before: only those among the first so many rows that were written, see `written`.
            note: a sentence that says why.
            weights: hash of the first weights that differed.

        Raises:
            RecordError: see `append`.
        """
        branch = Branch(name=f"branch {len(self.branches) + 1}", after=after, before=before, note=note)
        self._store.leave_behind(branch, weights)
        return branch

    def left_behind(self, branch: Branch) -> list[Score]:
        """The rows of a branch, in the order of writing."""
        return self._store.left_behind(branch)

    def get(self, key: tuple[Any, ...]) -> Score | None:
        """The row of this key."""
        if (recent := self._store.recent.by_key.get(key)) is not None:
            return recent
        found = self._store.parts.select(as_filter(dict(zip(KEY, key, strict=True))))
        return next((score for score in found if score.key == key), None)

    def append(self, scores: Iterable[Score]) -> list[Score]:
        """Write the scores whose keys are new, in one piece, and flush them to disk.

        Once there would be more than `MOST_LINES` JSON lines, these and the new rows become a Parquet part together,
        if pyarrow is installed. From the first row on no other process may write here, until this one ends or calls
        `close`.

        Returns:
            The scores that were written.

        Raises:
            RecordError: the disk is full (nothing is half-written then), another process writes there or did since the
                record was opened, the file system has no locks, or a field is of the wrong type.
        """
        return self._store.append(scores)

    def append_table(self, table: Any) -> int:
        """Write the rows of a `pyarrow.Table` whose keys are new, in one piece: for scorers with many rows a probe.

        Args:
            table: columns are a score's fields; those left out get a score's defaults (`run`, `step` and `kind` are
                needed). Text may be dictionary-coded. Numbers that are not finite become None, with a note.

        Returns:
            How many rows were written.

        Raises:
            RecordError: see `append`; or a column that no score has.
            MissingExtraError: pyarrow is not installed.
        """
        return self._store.append_table(table)

    def compact(self) -> int:
        """Move the rows in JSON lines into a Parquet part; a kill at any byte loses and doubles nothing.

        `append` does so by itself. Refused while another process writes.

        Returns:
            How many rows were moved.

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
        for name in columns:
            if name not in COLUMNS:
                raise RecordError(f"a record has no column {name!r}. {nearest(name, COLUMNS)}")
        found = self._store.select(as_filter(columns))
        wanted = {name: want if isinstance(want, list | tuple) else (want,) for name, want in columns.items()}
        return [s for s in found if all(getattr(s, name) in want for name, want in wanted.items())]

    def series(self, **columns: Any) -> Series:
        """One curve: the rows that match, by step; averaged over subjects unless one is named.

        Args:
            **columns: any columns of a score; `kind` is "alignment" where not said.

        Raises:
            RecordError: nothing matches, or the rows belong to several curves.
        """
        columns.setdefault("kind", "alignment")
        found = [s for s in self.select(**columns) if s.value is not None]
        if not found:
            raise RecordError(f"record {self.folder} holds no score with {columns}. {self.hint(columns)}")
        for name in KEY:
            if name in ("step", "subject"):
                continue
            seen = sorted({str(getattr(s, name)) for s in found})
            if len(seen) > 1:
                raise RecordError(f"these rows are {len(seen)} curves, not one: choose {name} from {seen}")
        return curve(found)

    def hint(self, columns: Mapping[str, Any]) -> str:
        """Which of these values, of those that `select` found nothing with, does not occur, and what does."""
        for name, wanted in columns.items():
            recent = {str(getattr(s, name)) for s in self._store.recent.by_key.values()}
            have = sorted(self._store.parts.words(name) | recent)
            for want in wanted if isinstance(wanted, list | tuple) else (wanted,):
                if str(want) not in have:
                    return f"{name}: {nearest(str(want), have)}"
        return "Each value occurs, but not together."

    def _asking(self, memory: str, *, files: bool = False) -> AbstractContextManager[Ask]:
        store = self._store
        return open_query(store.parts.paths, store.lines_table(), memory, where=as_sql(self.branches), files=files)

    def query(self, sql: str, *, memory: str = "4GB", files: bool = False) -> Any:
        """What an SQL statement about the table `scores` yields, as a `pandas.DataFrame` (DuckDB).

        Args:
            sql: columns are a score's fields, and `written`, the order of writing.
            memory: most that DuckDB may take.
            files: let the statement read and write files, and load extensions, as this process may. Without, it is one
                question that reads the record alone.

        Example:
            record.query("SELECT step, avg(value) AS value FROM scores WHERE kind = 'task' GROUP BY step ORDER BY step")

        Raises:
            RecordError: the statement is wrong, or reaches beyond the record.
            MissingExtraError: duckdb, pyarrow or pandas is not installed.
        """
        with self._asking(memory, files=files) as ask:
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
        with self._asking(memory) as ask:
            return best_by_group(ask, of, by, where)

    def to_pandas(self) -> Any:
        """All scores as a `pandas.DataFrame`, one row a score; all in memory."""
        pandas, types = require("pandas", "tables"), dict.fromkeys(COUNTS, "int64") | dict.fromkeys(NUMBERS, "float64")
        recent = [to_row(score) for score in self._store.recent.by_key.values()]
        rows = [recent] if recent or not self._store.parts.rows else []
        parts = ({n: to_list(table.column(n)) for n in COLUMNS} for table in self._store.parts.tables({}, COLUMNS))
        frames = [pandas.DataFrame(one, columns=list(COLUMNS)).astype(types) for one in chain(parts, rows)]
        return pandas.concat(frames, ignore_index=True)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write all scores as one Parquet file."""
        lines = to_table(list(self._store.recent.by_key.values()))
        write_parquet(Path(path), chain(self._store.parts.tables({}, COLUMNS), [lines]))
        return Path(path)
