"""Store: the files of a record, and who writes them. Rows go in whole or not at all, one row a key."""

from __future__ import annotations

import importlib.util
import json
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ontogeny._atomic_write import unwritable
from ontogeny._messages import warn
from ontogeny.errors import RecordError
from ontogeny.record._storage.branches import WRITTEN, Branch, branch_row, branches_of, without
from ontogeny.record._storage.jsonl_log import JsonlLog, read_jsonl_log
from ontogeny.record._storage.lock import WriteLock
from ontogeny.record._storage.metadata import (
    SCHEMA,
    SCHEMA_OF_BRANCHES,
    SCHEMA_OF_PARTS,
    has_header,
    read_header,
    write_header,
)
from ontogeny.record._storage.parquet_format import Wanted, with_order
from ontogeny.record._storage.parquet_shards import snapshot
from ontogeny.record._storage.recent_rows import Recent
from ontogeny.record.arrow import arrow, decode_dictionaries, from_table, new_keys, to_table, validate_table
from ontogeny.record.score import COLUMNS, KEY, Score, check, to_row

__all__ = ["Store"]


class Store:
    """The files of one record.

    Args:
        folder: with record.json.
        most: JSON lines that there may be, before they become a Parquet part.

    Raises:
        RecordError: see `ontogeny.record.record.Record.open`.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most
        self.header = read_header(folder)
        _need_lines(folder, self.header)
        self.parts, content = snapshot(folder)
        self._file: JsonlLog = read_jsonl_log(folder / "scores.jsonl", content, self.parts.taken)
        if self.parts.parts and self.header["schema"] >= SCHEMA_OF_BRANCHES:
            self.parts.leave_behind(branches_of(self.parts.select({"kind": ("branch",)})))
        self.recent = Recent(self.parts.rows, self.parts.branches, self._file.scores)
        self.parts.leave_behind(self.recent.branches)
        self.lock = WriteLock(folder)
        weakref.finalize(self, self.lock.release)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """What was left behind."""
        return self.recent.branches

    @property
    def rows(self) -> int:
        """Scores that were not left behind."""
        behind = sum(int(table.num_rows) for table in self.parts.behind(["step"]))
        return self.parts.rows - behind + len(self.recent.by_key)

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.header["run"])

    def select(self, wanted: Wanted) -> Iterator[Score]:
        """Of the parts the scores whose columns have one of the values wanted, then all of the lines."""
        return chain(self.parts.select(wanted), self.recent.by_key.values())

    def hold(self) -> None:
        """Be the one process that writes here; record.json is written again where it was lost.

        Raises:
            RecordError: another process writes here, or did since this was opened.
        """
        if self.lock.hold():
            try:
                self.parts.check()
                self._file.check()
            except RecordError:
                self.lock.release()
                raise
            if has_header(self.folder):
                self.header = read_header(self.folder)
        if not has_header(self.folder):
            write_header(self.folder, self.header)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write facts into record.json."""
        self.hold()
        lines = self.header["lines"] or (self.folder / "scores.jsonl").exists()
        self.header = {**self.header, "lines": lines, **facts}
        write_header(self.folder, self.header)

    def append(self, scores: Iterable[Score]) -> list[Score]:
        """See `ontogeny.record.record.Record.append`."""
        new: dict[tuple[Any, ...], Score] = {}
        for score in scores:
            key = check(score).key
            if key not in self.recent.by_key:
                new.setdefault(key, score)
        for key in self.parts.known(new):
            del new[key]
        if new:
            self.hold()
            self._write(list(new.values()))
        return list(new.values())

    def _write(self, new: Sequence[Score]) -> None:
        if len(self.recent.all) + len(new) > self.most and importlib.util.find_spec("pyarrow"):
            self._move(to_table([*self.recent.all, *new]), branches_of(new))
            return
        self.parts.check()
        text = "".join(json.dumps(to_row(s), allow_nan=False, ensure_ascii=False) + "\n" for s in new)
        self._file.append(text)
        for score in new:
            self.recent.take(score)

    def append_table(self, table: Any) -> int:
        """See `ontogeny.record.record.Record.append_table`."""
        table, recent = validate_table(table), self.recent
        if len(recent.all) + table.num_rows <= self.most:
            return len(self.append(from_table(table)))
        self.hold()
        live = to_table(list(recent.by_key.values())).select(list(KEY))
        old = [live, *self.parts.tables({"step": table.column("step").unique().to_pylist()}, KEY)]
        new = table.filter(new_keys(arrow().concat_tables(old), table))
        if new.num_rows:
            self._move(arrow().concat_tables([to_table(recent.all), new]).unify_dictionaries().combine_chunks())
        return int(new.num_rows)

    def compact(self) -> int:
        """See `ontogeny.record.record.Record.compact`."""
        moved = len(self.recent.all)
        if moved:
            self.hold()
            self._move(to_table(self.recent.all))
        return moved

    def _move(self, table: Any, branches: Sequence[Branch] = ()) -> None:
        """Make a part of the rows in JSON lines and those that follow them.

        Args:
            table: of them all.
            branches: that those which follow mark.
        """
        self.parts.check()
        head = self._file.head()
        if self.header["schema"] < SCHEMA_OF_PARTS:
            self.note({"schema": SCHEMA_OF_PARTS})
        self.parts.add(table, head)
        self.recent.moved(self.parts.rows)
        self.recent.leave_behind(branches)
        self._file.empty()

    def leave_behind(self, branch: Branch, weights: str) -> None:
        """See `ontogeny.record.record.Record.leave_behind`."""
        if self.header["schema"] < SCHEMA_OF_BRANCHES:
            self.note({"schema": SCHEMA_OF_BRANCHES})
        self.append([branch_row(branch, self.run, weights)])
        self.parts.leave_behind(self.branches)

    def left_behind(self, branch: Branch) -> list[Score]:
        """The rows of a branch that no earlier one has left, in the order of writing."""
        earlier = self.branches[: self.branches.index(branch)]
        tables = [without(t, [branch], behind=True) for t in self.parts.behind((WRITTEN, *COLUMNS))]
        rows = [score for table in tables for score in from_table(without(table, earlier).select(list(COLUMNS)))]
        gone = set(map(id, self.recent.behind(earlier)))
        return [*rows, *(score for score in self.recent.behind([branch]) if id(score) not in gone)]

    def lines_table(self) -> Any:
        """The rows that are in no part, as a table like those of the parts."""
        return with_order(decode_dictionaries(to_table(self.recent.all)), self.parts.rows)


def begin(folder: Path, run: str) -> None:
    """Write the header of a new record, or of one that has lost it: the name is then that of its rows.

    Raises:
        RecordError: another process writes there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriteLock(folder)
    lock.hold()
    try:
        if has_header(folder):
            return
        parts, content = snapshot(folder)
        lines = read_jsonl_log(folder / "scores.jsonl", content, parts.taken).scores
        first = next(chain(parts.select({}), lines), None)
        schema = SCHEMA if first is None else SCHEMA_OF_BRANCHES
        named = run or (first.run if first is not None else folder.resolve().name)
        _make_lines(folder)
        header = {"schema": schema, "identity": new_identity(), "run": named, "lines": True}
        write_header(folder, {**header, "benchmarks": {}, "versions": {}})
    finally:
        lock.release()


def _make_lines(folder: Path) -> None:
    path = folder / "scores.jsonl"
    try:
        path.touch()
    except OSError as error:
        raise unwritable(path, error) from error


def _need_lines(folder: Path, header: Mapping[str, Any]) -> None:
    """A record's lines are there, be they none; of one of an older ontogeny, which made them late, nobody can tell."""
    path = folder / "scores.jsonl"
    if path.exists():
        return
    if header["lines"]:
        raise RecordError(
            f"{path} is missing, which has the rows of this record; restore the file from a copy. Only if it held no "
            "rows, make an empty file of that name"
        )
    if header["benchmarks"]:
        warn(f"{path} is missing: no probe was written yet, or the file was lost")


def new_identity() -> str:
    """What tells a run from all others."""
    return uuid.uuid4().hex
