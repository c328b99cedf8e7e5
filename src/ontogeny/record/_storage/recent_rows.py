"""Recent: the rows of a record that are in no part. All in the order of writing, and by key those not left behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ontogeny.record._storage.branches import KIND, Branch, branches_of, is_behind
from ontogeny.record.score import Score

__all__ = ["Recent"]


class Recent:
    """Rows in memory.

    Args:
        start: how many rows were written before them.
        branches: of the record, as far as its parts mark them.
        scores: what the lines hold; a second row of a key does not count, unless the first was left behind.
    """

    def __init__(self, start: int, branches: Sequence[Branch], scores: Iterable[Score]) -> None:
        self.start = start
        self.branches = tuple(branches)
        self.all: list[Score] = []
        self.by_key: dict[tuple[Any, ...], Score] = {}
        for score in scores:
            self.take(score)

    @property
    def written(self) -> int:
        """Rows of the record that were ever written."""
        return self.start + len(self.all)

    def take(self, score: Score) -> None:
        """The next row."""
        if score.key in self.by_key:
            return
        self.all.append(score)
        self.by_key[score.key] = score
        if score.kind == KIND:
            self.leave_behind(branches_of([score]))

    def leave_behind(self, branches: Sequence[Branch]) -> None:
        """Rows of these branches too are behind from now on."""
        self.branches = (*self.branches, *branches)
        self.by_key = {s.key: s for at, s in enumerate(self.all, self.start) if not is_behind(s, at, self.branches)}

    def behind(self, branches: Sequence[Branch]) -> list[Score]:
        """The rows that these have left behind."""
        return [score for at, score in enumerate(self.all, self.start) if is_behind(score, at, branches)]

    def moved(self, start: int) -> None:
        """All rows are in a part now.

        Args:
            start: rows in all parts.
        """
        self.start = start
        self.all.clear()
        self.by_key.clear()
