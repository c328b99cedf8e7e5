"""Stories as labs have them: which words were heard when (tables, TextGrids), and how a model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.datasets.own_data._array_files import read_table
from ontogeny.datasets.readers._textgrid import spoken
from ontogeny.errors import DataError
from ontogeny.neuroimaging.bids_names import COLUMNS, bids_name
from ontogeny.neuroimaging.table_files import Sheet

__all__ = ["SpokenWords", "StoryDesign", "read_words", "story_of"]

_STORY = ("story", "story_name", "section")
_BEGIN, _END = ("onset", "start", "start_time"), ("offset", "end", "end_time")
_LONGEST_TR = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryDesign:
    """How stories were heard and scanned, and how a model reads them.

    Args:
        words: tables or TextGrids, see `read_words`.
        tr: seconds from one volume to the next.
        delays: of the responses, in volumes.
        context: words before each word.
        stride: words from one beginning of a window to the next, see `ontogeny.neuroimaging.story_pieces`.
        between: what stands between two words; "" for Chinese.
        features: numeric columns of the tables of words that are a baseline beside word rate and length.
        sound: when the sound began, in seconds after the first volume of the files (negative: before it).
        trim: volumes cut at the beginning and the end of each story.
        drift: order of the polynomial that is taken out of each run first; None: nothing is.

    Raises:
        DataError: a TR that is not one in seconds, or delays that are none.
    """

    words: tuple[Path, ...]
    tr: float
    delays: tuple[int, ...] = (1, 2, 3, 4)
    context: int = 20
    stride: int = 20
    between: str = " "
    features: tuple[str, ...] = ()
    sound: float = 0.0
    trim: tuple[int, int] = (0, 0)
    drift: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tr <= _LONGEST_TR:
            raise DataError(f"tr is in seconds, above 0 and at most {_LONGEST_TR:g}, got {self.tr}; milliseconds?")
        if not self.delays or len(set(self.delays)) < len(self.delays) or min(self.delays) < 0:
            raise DataError(f"delays are volumes, 0 or more, each once, e.g. (1, 2, 3, 4); got {self.delays}")

    @property
    def reading(self) -> dict[str, Any]:
        """Options of `ontogeny.neuroimaging.story_pieces`."""
        return {"context": self.context, "stride": self.stride, "response": self.delays, "between": self.between}

    @property
    def gap(self) -> int:
        """Volumes between two blocks of one story: as long as the delays."""
        return max(self.delays)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWords:
    """The words of one story in order, the middle of each in seconds of the sound, its end, and numbers beside it."""

    words: tuple[str, ...]
    middle: Float[np.ndarray, " words"]
    last: float
    features: Mapping[str, Float[np.ndarray, " words"]]
    path: Path


def story_of(path: Path) -> str:
    """The story that a file's name says: its task in BIDS names, else the name without its ending."""
    name = bids_name(path)
    return name.entities.get("task", path.name.partition(".")[0])


def read_words(
    paths: Sequence[Path], features: Sequence[str] = ()
) -> tuple[dict[str, SpokenWords], tuple[tuple[str, str], ...]]:
    """Story -> its words; and what should be said of how files were taken.

    Args:
        paths: `.TextGrid`, one a story: the tier of words, pauses and breaths left out; or CSV, TSV, Parquet with
            `word`, `onset` and `offset` or `duration` (seconds of the sound), and a column `story` (or `section`) where
            a table holds several. Else the story is that of the file's name, see `story_of`.
        features: columns of the tables, one number a word.

    Raises:
        DataError: a file that cannot be read, an empty cell, a story twice; names the row.
    """
    found: dict[str, SpokenWords] = {}
    notes: list[tuple[str, str]] = []
    for path in paths:
        if path.suffix.lower() == ".textgrid":
            if features:
                raise DataError(f"{path}: a TextGrid has no column {features[0]!r}; give a table of words")
            parts = {story_of(path): _of_textgrid(path)}
        else:
            parts, spoken_words = _of_table(read_table(path), features)
            notes += spoken_words
        for story, words in parts.items():
            if story in found:
                raise DataError(f"story {story!r} is in {found[story].path.name} and in {path.name}; give it once")
            found[story] = words
    return found, tuple(notes)


def _of_textgrid(path: Path) -> SpokenWords:
    spoken_words = spoken(path)
    return SpokenWords(
        words=tuple(one.text for one in spoken_words),
        middle=np.array([(one.start + one.end) / 2 for one in spoken_words]),
        last=max(one.end for one in spoken_words),
        features={},
        path=path,
    )


def _of_table(sheet: Sheet, features: Sequence[str]) -> tuple[dict[str, SpokenWords], list[tuple[str, str]]]:
    words = tuple(word.strip() for word in sheet.texts(sheet.find("word") or "word"))
    begin = np.array(sheet.numbers(sheet.find(*_BEGIN) or "onset"))
    end, notes = _ends(sheet, begin)
    if (late := np.flatnonzero(end < begin)).size:
        raise DataError(f"{sheet.path}, row {int(late[0]) + 1}: {words[late[0]]!r} ends before it begins")
    more = {name: np.array(sheet.numbers(name)) for name in features}
    stories = np.array(_stories(sheet), dtype=object)
    _refuse_twice(sheet, list(zip(stories, words, begin.tolist(), end.tolist(), strict=True)))
    found = {}
    for story in dict.fromkeys(stories):
        rows = np.flatnonzero(stories == story)
        found[str(story)] = SpokenWords(
            words=tuple(words[row] for row in rows),
            middle=(begin[rows] + end[rows]) / 2,
            last=float(end[rows].max()),
            features={name: values[rows] for name, values in more.items()},
            path=sheet.path,
        )
    return found, notes


def _refuse_twice(sheet: Sheet, rows: Sequence[tuple[Any, ...]]) -> None:
    """A word at the very time of the same word is a line that stands there twice."""
    first: dict[tuple[Any, ...], int] = {}
    for number, row in enumerate(rows, 1):
        if (before := first.setdefault(row, number)) != number:
            raise DataError(
                f"{sheet.path}, rows {before} and {number} are one word, {row[1]!r} at {row[2]:g} s; take one out"
            )


def _ends(
    sheet: Sheet, begin: Float[np.ndarray, " words"]
) -> tuple[Float[np.ndarray, " words"], list[tuple[str, str]]]:
    if (column := sheet.find(*_END)) is not None:
        return np.array(sheet.numbers(column)), []
    if (column := sheet.find("duration")) is not None:
        return begin + np.array(sheet.numbers(column)), []
    return begin, [("words", f"{sheet.path.name} has no column offset or duration: each word counts at its onset")]


def _stories(sheet: Sheet) -> tuple[str, ...]:
    """The story of each row.

    Raises:
        DataError: the table is of several runs or sessions, and does not say which stories they are.
    """
    if (column := sheet.find(*_STORY)) is not None:
        return sheet.labels(column)
    for key in ("ses", "run"):
        column = sheet.find(*COLUMNS[key])
        if column is not None and len(set(sheet.labels(column))) > 1:
            raise DataError(
                f"{sheet.path}: column {column!r} says that the words are of several runs; give a column story"
            )
    return (story_of(sheet.path),) * len(sheet)
