"""Record and Series: all scores of a run on disk, and one curve out of them.

A record is a folder:

    record.json     schema version, run, benchmarks with their fingerprints, library versions
    scores.jsonl    one JSON object a line, one line a score, only ever appended to
    scores/         Parquet files, once there are more rows than `MOST_LINES` (pyarrow); see `parts`

One probe's rows are written in one piece and flushed to disk before the probe counts as done. A process killed at
any byte leaves at most one torn last line, which is dropped with a warning when the record is opened again.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ontogeny.columns import arrow, decoded, from_table, new_keys, to_list, to_table, typed
from ontogeny.curves import Series, curve
from ontogeny.errors import RecordError, nearest, require
from ontogeny.header import SCHEMA, SCHEMA_OF_PARTS, read_header, write_header
from ontogeny.lines import Lines, read_lines
from ontogeny.parts import Parts, as_wanted, snapshot, with_order, write_parquet
from ontogeny.questions import asking, best
from ontogeny.scores import COLUMNS, COUNTS, KEY, NUMBERS, Score, check, to_row

__all__ = ["MOST_LINES", "Record", "Series"]

MOST_LINES = 200_000


class Record:
    """All scores of a run, on disk, append-only, one row a key.

    Use `Record.open(path)`; a record that is not there yet is made by `Record.open(path, create=True, run=...)`. Rows
    in JSON lines are held in memory, those in Parquet parts are read when they are asked for.
    """

    def __init__(self, folder: Path, header: dict[str, Any], file: Lines, parts: Parts) -> None:
        self.folder = folder
        self.header = header
        self._file = file
        self._parts = parts
        self._recent: dict[tuple[Any, ...], Score] = {}
        for score in file.scores:
            self._recent.setdefault(score.key, score)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, run: str = "") -> Record:
        """Open a record's folder; drop a torn last line with a warning. Opening changes nothing on disk.

        Args:
            path: the record's folder.
            create: make it when it is missing.
            run: name of the run in a new record; the folder's own name where empty.

        Raises:
            RecordError: no record there, a newer schema, a broken line that is not the last, a part that is missing.
            MissingExtraError: it has Parquet parts, and pyarrow is not installed.
        """
        folder = Path(path)
        if not (folder / "record.json").exists():
            if not create:
                raise RecordError(f"there is no record at {folder} (no record.json); a probe makes one")
            folder.mkdir(parents=True, exist_ok=True)
            named = run or folder.resolve().name
            write_header(folder, {"schema": SCHEMA, "run": named, "benchmarks": {}, "versions": {}})
        header = read_header(folder)
        parts, content = snapshot(folder)
        return cls(folder, header, read_lines(folder / "scores.jsonl", content, parts.taken), parts)

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.header["run"])

    @property
    def scores(self) -> Sequence[Score]:
        """All scores, in the order of writing. Reads all parts into memory; `select` and `query` need not."""
        return (*self._parts.select({}), *self._recent.values())

    def __len__(self) -> int:
        """Number of scores."""
        return self._parts.rows + len(self._recent)

    def describe(self, name: str, about: Mapping[str, Any]) -> None:
        """Write what a benchmark is into record.json; another fingerprint under the same name is refused.

        Raises:
            RecordError: the record holds scores of another benchmark of this name.
        """
        known = self.header["benchmarks"].get(name)
        if known is not None and known["fingerprint"] != about["fingerprint"]:
            raise RecordError(
                f"record {self.folder} holds scores of benchmark {name!r} with fingerprint {known['fingerprint']}, "
                f"this one has {about['fingerprint']}: stimuli, responses, folds or metrics differ. "
                "Write to another folder, or give the benchmark another name"
            )
        self.header["benchmarks"][name] = dict(about)
        write_header(self.folder, self.header)

    def note(self, key: str, value: Any) -> None:
        """Write one fact about the run (library versions, schedule) into record.json."""
        self.header[key] = value
        write_header(self.folder, self.header)

    def get(self, key: tuple[Any, ...]) -> Score | None:
        """The row of this key."""
        if key in self._recent:
            return self._recent[key]
        found = self._parts.select(as_wanted(dict(zip(KEY, key, strict=True))))
        return next((score for score in found if score.key == key), None)

    def append(self, scores: Iterable[Score]) -> list[Score]:
        """Write the scores whose keys are new, in one piece, and flush them to disk.

        Once there would be more than `MOST_LINES` JSON lines, these and the new rows become a Parquet part together,
        if pyarrow is installed.

        Returns:
            The scores that were written.

        Raises:
            RecordError: the disk is full (nothing is half-written then), another process wrote there since the record
                was opened, or a field is of the wrong type.
        """
        new: dict[tuple[Any, ...], Score] = {}
        for score in scores:
            key = check(score).key
            if key not in self._recent:
                new.setdefault(key, score)
        for key in self._parts.known(new):
            del new[key]
        if not new:
            return []
        if len(self._recent) + len(new) > MOST_LINES and importlib.util.find_spec("pyarrow"):
            self._move(to_table([*self._recent.values(), *new.values()]))
            return list(new.values())
        self._parts.check()
        text = "".join(json.dumps(to_row(s), allow_nan=False, ensure_ascii=False) + "\n" for s in new.values())
        self._file.append(text)
        self._recent.update(new)
        return list(new.values())

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
        table, recent = typed(table), to_table(list(self._recent.values()))
        if len(self._recent) + table.num_rows <= MOST_LINES:
            return len(self.append(from_table(table)))
        old = [recent.select(list(KEY)), *self._parts.tables({"step": table.column("step").unique().to_pylist()}, KEY)]
        new = table.filter(new_keys(arrow().concat_tables(old), table))
        if new.num_rows:
            self._move(arrow().concat_tables([recent, new]).unify_dictionaries().combine_chunks())
        return int(new.num_rows)

    def compact(self) -> int:
        """Move the rows in JSON lines into a Parquet part; a kill at any byte loses and doubles nothing.

        `append` does so by itself. Not to be called while another process writes: it would refuse to go on.

        Returns:
            How many rows were moved.

        Raises:
            RecordError: see `append`.
            MissingExtraError: pyarrow is not installed.
        """
        moved = len(self._recent)
        if moved:
            self._move(to_table(list(self._recent.values())))
        return moved

    def _move(self, table: Any) -> None:
        """Make a part of the rows in JSON lines and those that follow them."""
        self._parts.check()
        head = self._file.head()
        if self.header["schema"] != SCHEMA_OF_PARTS:
            self.note("schema", SCHEMA_OF_PARTS)
        self._parts.add(table, head)
        self._recent.clear()
        self._file.empty()

    def _in_lines(self) -> Any:
        """The rows that are in no part, as a table like those of the parts."""
        return with_order(decoded(to_table(list(self._recent.values()))), self._parts.rows)

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
        found = (*self._parts.select(as_wanted(columns)), *self._recent.values())
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
            have = sorted(self._parts.words(name) | {str(getattr(s, name)) for s in self._recent.values()})
            for want in wanted if isinstance(wanted, list | tuple) else (wanted,):
                if str(want) not in have:
                    return f"{name}: {nearest(str(want), have)}"
        return "Each value occurs, but not together."

    def query(self, sql: str, *, memory: str = "4GB") -> Any:
        """What an SQL statement about the table `scores` yields, as a `pandas.DataFrame` (DuckDB).

        Args:
            sql: columns are a score's fields, and `written`, the order of writing.
            memory: most that DuckDB may take.

        Example:
            record.query("SELECT step, avg(value) AS value FROM scores WHERE kind = 'task' GROUP BY step ORDER BY step")

        Raises:
            RecordError: the statement is wrong.
            MissingExtraError: duckdb, pyarrow or pandas is not installed.
        """
        with asking(self._parts.paths, self._in_lines(), memory) as ask:
            return ask(sql, ())

    def best(self, of: str, *, by: Sequence[str] = ("roi", "step"), memory: str = "4GB", **columns: Any) -> Any:
        """Which layer (or metric, pooling, ...) scores highest in each group, averaged over subjects (DuckDB).

        Args:
            of: the column that is compared, "layer".
            by: columns that make a group.
            memory: most that DuckDB may take.
            **columns: what is asked for, e.g. metric="ridge-gcv"; `kind` is "alignment" where not said.

        Returns:
            A `pandas.DataFrame`, one row a group, sorted: `by`, `of`, its mean value, and n, the rows that this is a
            mean of. The best of several is a little too high as an estimate.

        Raises:
            RecordError: no such column, or scores of several metrics, benchmarks, ... would be compared.
            MissingExtraError: see `query`.
        """
        where = columns if "kind" in (*by, of) else {"kind": "alignment", **columns}
        with asking(self._parts.paths, self._in_lines(), memory) as ask:
            return best(ask, of, by, where)

    def to_pandas(self) -> Any:
        """All scores as a `pandas.DataFrame`, one row a score; all in memory."""
        pandas, types = require("pandas", "tables"), dict.fromkeys(COUNTS, "int64") | dict.fromkeys(NUMBERS, "float64")
        rows = [[to_row(score) for score in self._recent.values()]] if self._recent or not self._parts.rows else []
        parts = ({n: to_list(table.column(n)) for n in COLUMNS} for table in self._parts.tables({}, COLUMNS))
        frames = [pandas.DataFrame(one, columns=list(COLUMNS)).astype(types) for one in chain(parts, rows)]
        return pandas.concat(frames, ignore_index=True)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write all scores as one Parquet file."""
        lines = to_table(list(self._recent.values()))
        write_parquet(Path(path), chain(self._parts.tables({}, COLUMNS), [lines]))
        return Path(path)
