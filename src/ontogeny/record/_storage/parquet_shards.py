"""ParquetShards: the scores of a record that lie in Parquet files.

    scores/part-00000.parquet   some hundred thousand rows or more, in the order of writing (column `written`)
    scores/parts.json           which parts count, and which head of scores.jsonl they have taken

A part is written aside and renamed, then the manifest is replaced: that one rename is the moment at which its rows
move. Parts are only added, so that a reader may go on while a run writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from ontogeny._atomic_write import atomic_write
from ontogeny.errors import RecordError
from ontogeny.record._storage.branches import WRITTEN, Branch, is_behind, without
from ontogeny.record._storage.jsonl_log import CommittedPrefix
from ontogeny.record._storage.parquet_format import Wanted, rows_of, with_order, write_by_kind
from ontogeny.record._storage.strict_json import parsed
from ontogeny.record.arrow import arrow, events_of, from_table, to_list
from ontogeny.record.event import EVENT_KINDS, Event
from ontogeny.record.score import COLUMNS, COUNTS, KEY, KINDS, TEXT, Score

__all__ = ["ParquetShard", "ParquetShards", "as_filter", "content_of", "snapshot"]

_TRIES = 20
_LEAST = {"file": (str, "text"), "rows": (int, "a whole number"), "size": (int, "a whole number")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetShard:
    """One Parquet file.

    Args:
        file: its name.
        rows: how many scores.
        size: in bytes.
        steps: lowest and highest.
    """

    file: str
    rows: int
    size: int
    steps: tuple[int, int]


class ParquetShards:
    """The Parquet files of one record.

    Args:
        folder: `scores` in the record's folder; made by the first part.
        manifest: what `parts.json` there holds, "" where there is none.

    Raises:
        RecordError: a file that the manifest names is missing or of another size.
        MissingExtraError: there are parts, and pyarrow is not installed.
    """

    def __init__(self, folder: Path, manifest: str) -> None:
        self.folder = folder
        self._manifest = manifest
        self.parts, self.taken = _parsed(folder / "parts.json", manifest)
        self.branches: tuple[Branch, ...] = ()
        self._events: dict[str, list[tuple[int, Event]]] = {}
        for part, path in zip(self.parts, self.paths, strict=True):
            size = path.stat().st_size if path.exists() else 0
            if size != part.size:
                raise RecordError(f"{path} has {size} bytes, {part.size} were written; restore the file from a copy")
        if self.parts:
            arrow()

    def leave_behind(self, branches: Sequence[Branch]) -> None:
        """Rows of these branches are not among those that are read from now on."""
        self.branches = tuple(branches)

    @property
    def all_events(self) -> list[tuple[int, Event]]:
        """Events that an older ontogeny wrote among the scores, each with its place in the order of writing."""
        for part in self.parts:
            if part.file not in self._events:
                found = rows_of(self.folder / part.file, {"kind": EVENT_KINDS}, [WRITTEN, *COLUMNS])
                self._events[part.file] = sorted(events_of(found), key=_place)
        return [pair for part in self.parts for pair in self._events[part.file]]

    @property
    def events(self) -> list[Event]:
        """Those of them that were not left behind."""
        return [event for at, event in self.all_events if not is_behind(event, at, self.branches)]

    def behind(self, columns: Sequence[str]) -> Iterator[Any]:
        """A table per part, of the scores that were left behind."""
        for part in self.parts if self.branches else ():
            table = self._read(part, {}, columns, behind=True)
            if table is not None:
                yield table

    @property
    def rows(self) -> int:
        """Rows in all parts, those that were left behind and events of an older ontogeny among them."""
        return sum(part.rows for part in self.parts)

    def most_lines(self, first: int) -> int:
        """How many lines there may be before they become a part: an eighth of what is in parts, so that these stay few.

        Args:
            first: of the first part; no part is made of more than ten times as many.
        """
        return max(first, min(self.rows // 8, 10 * first))

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self.folder / part.file for part in self.parts]

    def is_current(self) -> bool:
        """Whether no part was added since this was read."""
        return self._manifest == _manifest_text(self.folder)

    def check(self) -> None:
        """Nobody else may have added a part.

        Raises:
            RecordError: another process did.
        """
        if not self.is_current():
            raise RecordError(
                f"{self.folder} has parts that another process wrote since it was opened. Give each run its own record "
                "folder"
            )

    def add(self, table: Any, taken: CommittedPrefix) -> None:
        """Write a table of scores as the next part, all of it or nothing.

        Args:
            table: of `columns.to_table`, in the order of writing, with at least one row.
            taken: the head of scores.jsonl that is among its rows.

        Raises:
            RecordError: the disk is full, or another process added a part.
        """
        self.check()
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"part-{len(self.parts):05d}.parquet"
        with atomic_write(path) as handle:
            write_by_kind(handle, with_order(table, self.rows))
        steps = arrow("pyarrow.compute").min_max(table.column("step")).as_py()
        size = path.stat().st_size
        part = ParquetShard(file=path.name, rows=table.num_rows, size=size, steps=(steps["min"], steps["max"]))
        parts = (*self.parts, part)
        manifest = json.dumps({"parts": [asdict(p) for p in parts], "taken": asdict(taken)}, indent=1)
        with atomic_write(self.folder / "parts.json") as handle:
            handle.write(manifest.encode())
        self.parts, self.taken, self._manifest = parts, taken, manifest

    def known(self, keys: Collection[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        """Those of the keys that a part has a row of."""
        found: set[tuple[Any, ...]] = set()
        if not self.parts or not keys:
            return found
        filters = {name: set(values) for name, values in zip(KEY, zip(*keys, strict=True), strict=True)}
        asked_keys = set(keys)
        for table in self.tables(filters, KEY):
            found.update(asked_keys.intersection(zip(*(to_list(table.column(name)) for name in KEY), strict=True)))
        return found

    def select(self, filters: Wanted) -> Iterator[Score]:
        """Scores whose columns have one of the values wanted, in the order of writing; see `tables`."""
        for table in self.tables(filters, COLUMNS):
            yield from from_table(table)

    def tables(self, filters: Wanted, columns: Sequence[str]) -> Iterator[Any]:
        """A table per part, of the scores whose columns have one of the values wanted; no more than one part in memory.

        Args:
            filters: column -> values, of the column's own type.
            columns: which are read.
        """
        for part in self.parts:
            table = self._read(part, filters, columns)
            if table is not None:
                yield table

    def words(self, name: str) -> set[str]:
        """The values that a column has, as text."""
        tables = self.tables({}, [name])
        return {str(value) for table in tables for value in to_list(table.column(name).unique())}

    def _read(self, part: ParquetShard, filters: Wanted, columns: Sequence[str], *, behind: bool = False) -> Any:
        if not any(part.steps[0] <= step <= part.steps[1] for step in filters.get("step", part.steps)):
            return None
        filters = {"kind": KINDS, **filters}
        needed = [WRITTEN, "step"] if self.branches else [WRITTEN]
        found = rows_of(self.folder / part.file, filters, list(dict.fromkeys([*needed, *columns, *filters])))
        if self.branches:
            found = without(found, self.branches, behind=behind)
        if not found.num_rows:
            return None
        return found.sort_by(WRITTEN).select(list(columns)).unify_dictionaries().combine_chunks()


def _place(pair: tuple[int, Event]) -> int:
    return pair[0]


def as_filter(columns: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Columns that equal something, or one of a list, as `ParquetShards` takes them; another type is left out."""
    filters: dict[str, tuple[Any, ...]] = {}
    for name, value in columns.items():
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        if name in TEXT and all(isinstance(one, str) for one in values):
            filters[name] = values
        elif name in COUNTS and all(isinstance(one, Integral) and -(2**63) <= int(one) < 2**63 for one in values):
            filters[name] = tuple(int(one) for one in values)
    return filters


def snapshot(folder: Path) -> tuple[ParquetShards, bytes]:
    """ParquetShards and lines of a record at one moment, while another process may move rows from these to those.

    Raises:
        RecordError: see `ParquetShards`; a file that cannot be read; or it changes faster than it can be read.
    """
    lines = folder / "scores.jsonl"
    for _ in range(_TRIES):
        parts = ParquetShards(folder / "scores", _manifest_text(folder / "scores"))
        content = content_of(lines)
        if parts.is_current():
            return parts, content
    raise RecordError(f"{folder} changes faster than it can be read: another process moves rows there; try again")


def content_of(path: Path) -> bytes:
    """The bytes of a file, none where it is not there."""
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error}); restore the file from a copy") from error


def _manifest_text(folder: Path) -> str:
    path = folder / "parts.json"
    try:
        return content_of(path).decode()
    except ValueError as error:
        raise RecordError(f"{path} is not a list of parts ({error}); restore the file from a copy") from error


def _parsed(path: Path, text: str) -> tuple[tuple[ParquetShard, ...], CommittedPrefix]:
    if not text:
        return (), CommittedPrefix()
    try:
        known = parsed(text)
        parts = tuple(_part(one) for one in known["parts"])
        size, sha256 = known["taken"].get("size", 0), known["taken"].get("sha256", "")
        if not (type(size) is int and size >= 0 and isinstance(sha256, str)):
            raise ValueError(f"'taken' is a size and a hash, got {known['taken']}")
        return parts, CommittedPrefix(size=size, sha256=sha256)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is not a list of parts ({error}); restore the file from a copy") from error


def _part(about: Any) -> ParquetShard:
    for name, (kind, what) in _LEAST.items():
        if type(about[name]) is not kind:
            raise ValueError(f"{name!r} of a part is {what}, got {about[name]!r}")
    low, high = about["steps"]
    if not (type(low) is int and type(high) is int):
        raise ValueError(f"'steps' of a part are whole numbers, got {about['steps']!r}")
    if Path(about["file"]).name != about["file"] or not about["file"].endswith(".parquet"):
        raise ValueError(f"'file' of a part is the name of a Parquet file in its own folder, got {about['file']!r}")
    return ParquetShard(file=about["file"], rows=about["rows"], size=about["size"], steps=(low, high))
