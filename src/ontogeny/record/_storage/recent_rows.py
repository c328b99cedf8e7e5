"""Recent: the rows of a JSONL log that are in no Parquet shard, in the order of writing and by key.

Two rows of a key are one, unless the run was rolled back between them and has left the first one behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ontogeny.record._storage.branches import Branch, is_behind
from ontogeny.record.row import Row

__all__ = ["Recent"]


class Recent:
    """Rows in memory.

    Args:
        start: how many rows were written before them.
        branches: of the record.
        rows: what the log holds; a second row of a key does not count, unless the first was left behind before it.
    """

    def __init__(self, start: int, branches: Sequence[Branch], rows: Iterable[Row]) -> None:
        self.start = start
        self.branches = tuple(branches)
        self.all: list[Row] = []
        self.by_key: dict[tuple[Any, ...], Row] = {}
        self._last: dict[tuple[Any, ...], int] = {}
        for row in rows:
            self.take(row)

    @property
    def written(self) -> int:
        """Rows that were ever written."""
        return self.start + len(self.all)

    def take(self, row: Row) -> None:
        """The next row."""
        key, at = row.key, self.written
        last = self._last.get(key)
        if last is not None and not is_behind(row, last, [one for one in self.branches if one.before.scores <= at]):
            return
        self.all.append(row)
        self._last[key] = at
        if not (self.branches and is_behind(row, at, self.branches)):
            self.by_key[key] = row

    def leave_behind(self, branches: Sequence[Branch]) -> None:
        """Rows of these branches too are behind from now on."""
        self.branches = (*self.branches, *branches)
        self.by_key = {row.key: row for at, row in enumerate(self.all, self.start) if not self._is_behind(row, at)}

    def behind(self, branches: Sequence[Branch]) -> list[Row]:
        """The rows that these have left behind."""
        return [row for at, row in enumerate(self.all, self.start) if is_behind(row, at, branches)]

    def moved(self, start: int) -> None:
        """All rows are in a part now.

        Args:
            start: rows in all parts.
        """
        self.start = start
        self.all.clear()
        self.by_key.clear()
        self._last.clear()

    def _is_behind(self, row: Row, at: int) -> bool:
        return is_behind(row, at, self.branches)
