"""TextGrids: Praat's files of what was said when, in the long and the short text format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ontogeny.errors import DataError

__all__ = ["NO_WORDS", "Said", "read_textgrid", "spoken", "word_tier"]

# Labels of a tier of words that are no words (the list of LeBel et al. 2023, in their code).
NO_WORDS = frozenset({"", "sentence_start", "sentence_end", "br", "lg", "ls", "ns", "sp"})
# Strings with doubled quotes inside, numbers; what stands in brackets or angle brackets counts items and says nothing.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![\w.\[])(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w.\]])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One interval: seconds from the beginning, and its label."""

    start: float
    end: float
    text: str


def read_textgrid(path: Path) -> dict[str, tuple[Said, ...]]:
    """Name of each tier of intervals -> its intervals, in the order of the file. Tiers of points are left out.

    Raises:
        DataError: the file is missing, not a TextGrid, cut short, or has two tiers of one name; names it.
    """
    content = _text(path)
    tokens: list[str | float] = [
        quoted.replace('""', '"') if number == "" else float(number) for quoted, number in _TOKEN.findall(content)
    ]
    if tokens[:2] != ["ooTextFile", "TextGrid"]:
        raise DataError(f"{path} is not a TextGrid in the long or short text format of Praat; save it as text")
    try:
        tiers = _tiers(tokens)
    except (IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: the tiers of this TextGrid cannot be read; it may be cut short") from error
    found: dict[str, tuple[Said, ...]] = {}
    for name, spoken_words in tiers:
        if found.setdefault(name, spoken_words) != spoken_words:
            raise DataError(f"{path}: two tiers are called {name!r}, with other intervals; rename one of them")
    return found


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); of a datalad set, run `datalad get`") from error
    try:
        return raw.decode("utf-16" if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 or UTF-16 ({error}); save it anew from Praat") from error


def _tiers(tokens: list[str | float]) -> list[tuple[str, tuple[Said, ...]]]:
    """After the two words: start, end, number of tiers; then a tier each: class, name, start, end, number, items."""
    out: list[tuple[str, tuple[Said, ...]]] = []
    place = 5
    for _ in range(_count(tokens[4])):
        kind, name, n = tokens[place], tokens[place + 1], _count(tokens[place + 4])
        place += 5
        size = 3 if kind == "IntervalTier" else 2
        if kind not in ("IntervalTier", "TextTier") or len(tokens) < place + size * n:
            raise ValueError(kind)
        if kind == "IntervalTier":
            rows = [tokens[place + size * i : place + size * (i + 1)] for i in range(n)]
            out.append((str(name), tuple(_spoken_word(*row) for row in rows)))
        place += size * n
    return out


def _count(token: str | float) -> int:
    if not isinstance(token, float) or not token.is_integer():
        raise TypeError(token)
    return int(token)


def _spoken_word(start: str | float, end: str | float, text: str | float) -> Said:
    if not isinstance(start, float) or not isinstance(end, float) or not isinstance(text, str):
        raise TypeError(text)
    return Said(start=start, end=end, text=text.strip())


def word_tier(path: Path, *, second: bool = False) -> tuple[Said, ...]:
    """The intervals of words: those of the tier "word" or "words", or "... - words"; or those of the only tier.

    Args:
        path: of the file.
        second: where several tiers have other names, take the second, as code for the TextGrids of LeBel et al. does.

    Raises:
        DataError: see `read_textgrid`; or there is no tier, or nothing says which is that of words.
    """
    tiers = read_textgrid(path)
    if not tiers:
        raise DataError(f"{path}: there is no tier of intervals, so there are no words")
    exact = [name for name in tiers if name.strip().casefold() in ("word", "words")]
    named = exact or [name for name in tiers if re.search(r"[\s_-]words?$", name.strip().casefold())]
    if not named and (second or len(tiers) == 1):
        named = [list(tiers)[min(1, len(tiers) - 1)]]
    if len(named) != 1:
        raise DataError(
            f"{path}: the tiers are {list(tiers)}; call the one that has the words 'words', and only that one"
        )
    return tiers[named[0]]


def spoken(path: Path, *, second: bool = False) -> tuple[Said, ...]:
    """The intervals of words, see `word_tier`, without pauses, breaths and other `NO_WORDS`.

    Raises:
        DataError: see `word_tier`; or there is no word.
    """
    spoken_words = tuple(
        one for one in word_tier(path, second=second) if one.text.lower().strip("{}").strip() not in NO_WORDS
    )
    if not spoken_words:
        raise DataError(f"{path}: the word tier has no word")
    return spoken_words
