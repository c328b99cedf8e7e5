"""Store: the files of a record, and who writes them. Rows go in whole or not at all, one row per key.

    record.json     what the record is
    scores.jsonl    scores, one JSON object a line; scores/ holds the Parquet parts that took the lines before them
    events.jsonl    events, one JSON object a line

Scores are on disk before the events of the same piece, so that a probe's closing event vouches for its scores.
"""

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
from ontogeny.record._storage.branches import (
    WRITTEN,
    Branch,
    Written,
    among_events,
    branch_event,
    branches_of,
    is_behind,
    without,
)
from ontogeny.record._storage.jsonl_log import JsonlLog, read_jsonl_log
from ontogeny.record._storage.lock import WriteLock
from ontogeny.record._storage.metadata import SCHEMA, has_header, read_header, write_header
from ontogeny.record._storage.parquet_format import Wanted, with_order
from ontogeny.record._storage.parquet_shards import content_of, snapshot
from ontogeny.record._storage.recent_rows import Recent
from ontogeny.record.arrow import arrow, decode_dictionaries, from_table, new_keys, to_table, validate_table
from ontogeny.record.event import Event
from ontogeny.record.row import Row, check, to_row
from ontogeny.record.score import COLUMNS, KEY, Score

__all__ = ["Store"]

_SCORES, _EVENTS = "scores.jsonl", "events.jsonl"
_SCHEMA_OF_EVENTS = 4


class Store:
    """The files of one record.

    Args:
        folder: with record.json.
        most: JSON lines of scores that there may be before they become the first Parquet part.

    Raises:
        RecordError: see `ontogeny.record.record.Record`.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most
        self.header = read_header(folder)
        _need_files(folder, self.header)
        events = content_of(folder / _EVENTS)  # before the scores: of a probe that it closes, all are there then
        self.parts, scores = snapshot(folder)
        self._file: JsonlLog = read_jsonl_log(folder / _SCORES, scores, self.parts.taken)
        self._events_file: JsonlLog = read_jsonl_log(folder / _EVENTS, events, made=Event)
        older = (event for _, event in self.parts.all_events)
        self.branches = branches_of(chain(older, self._file.rows, self._events_file.rows))
        self.parts.leave_behind(self.branches)
        self.recent = Recent(self.parts.rows, self.branches, self._file.rows)
        self._events = Recent(0, among_events(self.branches), self._events_file.rows)
        self._older = any(isinstance(row, Event) for row in self._file.rows)
        self.lock = WriteLock(folder)
        weakref.finalize(self, self.lock.release)

    @property
    def written(self) -> Written:
        """Rows that were ever written."""
        return Written(self.recent.written, self._events.written)

    @property
    def rows(self) -> int:
        """Scores that were not left behind."""
        behind = sum(int(table.num_rows) for table in self.parts.behind(["step"]))
        return self.parts.rows - len(self.parts.all_events) - behind + len(self.recent_scores())

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.header["run"])

    def recent_scores(self) -> list[Score]:
        """Scores of the lines."""
        return [row for row in self.recent.by_key.values() if isinstance(row, Score)]

    def select(self, filters: Wanted) -> Iterator[Score]:
        """Of the parts the scores whose columns have one of the values wanted, then all of the lines."""
        return chain(self.parts.select(filters), self.recent_scores())

    def events(self) -> list[Event]:
        """All events, in the order of writing; first those that an older ontogeny wrote among the scores."""
        lines = chain(self.recent.by_key.values() if self._older else (), self._events.by_key.values())
        return [*self.parts.events, *(row for row in lines if isinstance(row, Event))]

    def get(self, key: tuple[Any, ...]) -> Row | None:
        """The row of a key that is in no part."""
        return self.recent.by_key.get(key) or self._events.by_key.get(key)

    def hold(self) -> None:
        """Be the one process that writes here; record.json is written again where it was lost.

        Raises:
            RecordError: another process writes here, or did since this was opened.
        """
        if self.lock.hold():
            try:
                self.parts.check()
                self._file.check()
                self._events_file.check()
            except RecordError:
                self.lock.release()
                raise
            if has_header(self.folder):
                self.header = read_header(self.folder)
        if not has_header(self.folder):
            write_header(self.folder, self.header)
        if self.header["schema"] < SCHEMA:
            _touch(self.folder / _EVENTS)
            self._note({"schema": SCHEMA})

    def identify(self) -> None:
        """Be the one process that writes here; a record of an older ontogeny gets its identity."""
        self.hold()
        if not self.header["identity"]:
            self._note({"identity": uuid.uuid4().hex})

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write facts into record.json."""
        self.hold()
        self._note(facts)

    def _note(self, facts: Mapping[str, Any]) -> None:
        lines = self.header["lines"] or (self.folder / _SCORES).exists()
        self.header = {**self.header, "lines": lines, **facts}
        write_header(self.folder, self.header)

    def append(self, rows: Iterable[Row]) -> list[Row]:
        """See `ontogeny.record.record.Record.append`."""
        new: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            key = check(row).key
            if self.get(key) is None:
                new.setdefault(key, row)
        older = {event.key for event in self.parts.events} if self.parts.all_events else set()
        for key in {key for key, row in new.items() if isinstance(row, Event)} & older:
            del new[key]
        for key in self.parts.known([key for key, row in new.items() if isinstance(row, Score)]):
            del new[key]
        if new:
            self.hold()
            self._write(list(new.values()))
        return list(new.values())

    def _write(self, new: Sequence[Row]) -> None:
        """Scores first; where the events do not fit on the disk any more, the lines of the scores are taken back."""
        scores, events = ([row for row in new if isinstance(row, kind)] for kind in (Score, Event))
        n_lines = len(self.recent.all) + len(scores)
        moves = bool(scores) and n_lines > self.parts.most_lines(self.most) and _has_pyarrow()
        before = None
        if moves:
            self._move(to_table([*self.recent.all, *scores]))
        elif scores:
            self.parts.check()
            before = self._file.append(_lines(scores))
        try:
            self._events_file.append(_lines(events))
        except RecordError:
            if before is not None:
                self._file.undo(before)
            raise
        for row in () if moves else scores:
            self.recent.take(row)
        for event in events:
            self._events.take(event)
        self._leave(branches_of(events))

    def _leave(self, branches: Sequence[Branch]) -> None:
        if branches:
            self.branches = (*self.branches, *branches)
            self.parts.leave_behind(self.branches)
            self.recent.leave_behind(branches)
            self._events.leave_behind(among_events(branches))

    def append_table(self, table: Any) -> int:
        """See `ontogeny.record.record.Record.append_table`."""
        table, recent = validate_table(table), self.recent
        if len(recent.all) + table.num_rows <= self.parts.most_lines(self.most):
            return len(self.append(from_table(table)))
        self.hold()
        live = to_table(self.recent_scores()).select(list(KEY))
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

    def _move(self, table: Any) -> None:
        """Make a part of the scores in JSON lines and those that follow them."""
        self.parts.check()
        self.parts.add(table, self._file.head())
        self.recent.moved(self.parts.rows)
        self._file.empty()

    def leave_behind(self, branch: Branch, weights: str) -> None:
        """See `ontogeny.record.record.Record.leave_behind`."""
        self.append([branch_event(branch, self.run, weights)])

    def left_behind(self, branch: Branch) -> list[Row]:
        """The rows of a branch that no earlier one has left: its scores, then its events."""
        earlier = self.branches[: self.branches.index(branch)]
        tables = [without(t, [branch], behind=True) for t in self.parts.behind((WRITTEN, *COLUMNS))]
        rows: list[Row] = [s for table in tables for s in from_table(without(table, earlier).select(list(COLUMNS)))]
        for at, event in self.parts.all_events:
            if is_behind(event, at, [branch]) and not is_behind(event, at, earlier):
                rows.append(event)
        rows += _behind(self.recent, [branch], earlier)
        rows += _behind(self._events, among_events([branch]), among_events(earlier))
        return sorted(rows, key=lambda row: isinstance(row, Event))

    def scores_table(self) -> Any:
        """The scores that are in no part, as a table like those of the parts."""
        return with_order(decode_dictionaries(to_table(self.recent.all)), self.parts.rows)


def _behind(recent: Recent, branches: Sequence[Branch], earlier: Sequence[Branch]) -> list[Row]:
    superseded = set(map(id, recent.behind(earlier)))
    return [row for row in recent.behind(branches) if id(row) not in superseded]


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(to_row(row), allow_nan=False, ensure_ascii=False) + "\n" for row in rows)


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


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
        lines = read_jsonl_log(folder / _SCORES, content, parts.taken).rows
        first = next(chain(parts.select({}), lines), None)
        named = run or (first.run if first is not None else folder.resolve().name)
        _touch(folder / _SCORES)
        _touch(folder / _EVENTS)
        header = {"schema": SCHEMA, "identity": uuid.uuid4().hex, "run": named, "lines": True}
        write_header(folder, {**header, "benchmarks": {}, "versions": {}})
    finally:
        lock.release()


def _touch(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise unwritable(path, error) from error


def _need_files(folder: Path, header: Mapping[str, Any]) -> None:
    """A record's files are there, empty ones too; an older ontogeny made them with their first line."""
    needed = {_SCORES: header["lines"], _EVENTS: header["schema"] >= _SCHEMA_OF_EVENTS}
    for name in (name for name, there in needed.items() if there and not (folder / name).exists()):
        raise RecordError(
            f"{folder / name} is missing, which has the rows of this record; restore the file from a copy. Only if it "
            "held no rows, make an empty file of that name"
        )
    if header["benchmarks"] and not (folder / _SCORES).exists():
        warn(f"{folder / _SCORES} is missing: no probe was written yet, or the file was lost")
