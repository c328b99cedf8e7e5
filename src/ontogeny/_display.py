"""How objects print: in one line, or as a table of less than a screen, in a terminal and in a notebook."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from html import escape
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, Protocol

from typing_extensions import override

from ontogeny._messages import printable

__all__ = [
    "Table",
    "as_html",
    "counted",
    "fitted",
    "labelled",
    "number",
    "one_line",
    "screen_width",
    "table_html",
    "table_text",
    "wrapped",
]

_MOST_ROWS = 18
_MOST_CELL = 60
_MOST_LINE = 160
_MOST_ITEMS = 4
_WIDTH = (40, 120)
_LABEL = 17


def as_html(text: str, *, quote: bool = False) -> str:
    """Escaped, with "?" for control characters; quotes too where it stands in an attribute."""
    return escape(printable(text), quote=quote)


def screen_width() -> int:
    """Columns of the terminal, or 100 where the output goes elsewhere; lines beyond 120 are hard to read."""
    return min(max(get_terminal_size((100, 24)).columns, _WIDTH[0]), _WIDTH[1])


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Lines that fit the screen; names and numbers are not broken."""
    return _whole_words(text, screen_width(), " " * indent)


def _whole_words(text: str, width: int, indent: str = "") -> list[str]:
    return wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def labelled(label: str, *texts: str, indent: int = _LABEL) -> list[str]:
    """Texts beside a label, wrapped under each other.

    Example:
        >>> labelled("task", "loss 2.31", indent=8)
        ['task    loss 2.31']
    """
    heads = [f"{label:<{indent - 1}} ", *[" " * indent] * (len(texts) - 1)]
    room = screen_width()
    lines = []
    for head, text in zip(heads, texts, strict=True):
        found = _whole_words(text, max(room - len(head), 20))
        lines += [f"{head}{found[0]}".rstrip(), *(" " * indent + line for line in found[1:])]
    return lines


def fitted(lines: Iterable[str]) -> list[str]:
    """Lines of the form "  label      text", wrapped under their text on a terminal; elsewhere one line each, for grep.

    Example:
        >>> fitted(["  power      effective n = 92 stimuli"])
        ['  power      effective n = 92 stimuli']
    """
    out: list[str] = []
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return list(lines)
    for line in lines:
        head = re.match(r" *(\S+( \S+){0,2}  +)?", line)
        indent = min(head.end() if head else 0, screen_width() // 2)
        text = _whole_words(line[indent:], max(screen_width() - indent, 20))
        out += [f"{line[:indent]}{text[0]}".rstrip(), *(" " * indent + rest for rest in text[1:])]
    return out


def counted(n: int, what: str) -> str:
    """A number of things in words: "1 region", "2 regions"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def number(value: float, form: str = ".2f") -> str:
    """A number as prose has it, with a minus sign in place of a hyphen; not for what programs read.

    Args:
        value: of which.
        form: as after the colon of a replacement field.

    Example:
        >>> number(-0.5, "+.2f"), number(-0.001)
        ('−0.50', '0.00')
    """
    sign = form[:1] if form[:1] in "+ " else ""
    return format(value, f"{sign}z{form.removeprefix(sign)}").replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under names, of which no more are shown than fit on a screen.

    Args:
        title: one line above.
        columns: names; without any, no head is shown.
        rows: cells, as many as there are columns.
        notes: lines below.

    Example:
        >>> print(Table(title="two layers", columns=("layer", "r"), rows=(("a", "0.10"), ("head", "0.25"))))
        two layers
        layer  r
        a      0.10
        head   0.25
    """

    title: str
    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]]
    notes: tuple[str, ...] = ()

    def _shown(self) -> tuple[list[list[str]], list[str]]:
        most = _MOST_CELL if self.columns else _MOST_LINE - 20
        rows = [[_cut(cell, most) for cell in row] for row in self.rows[:_MOST_ROWS]]
        more = len(self.rows) - len(rows)
        return rows, [*([f"... and {more} more rows"] if more else []), *self.notes]

    @override
    def __str__(self) -> str:
        rows, notes = self._shown()
        every = [list(self.columns), *rows] if self.columns else rows
        wide = [max(map(len, column)) for column in zip(*every, strict=True)]
        lines = ["  ".join(f"{cell:{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in every]
        return "\n".join([_cut(self.title, _MOST_LINE), *lines, *(_cut(note, _MOST_LINE) for note in notes)])

    def html(self) -> str:
        """The same for a notebook."""
        rows, notes = self._shown()
        head = "".join(f"<th>{as_html(name)}</th>" for name in self.columns)
        body = "".join("<tr>" + "".join(f"<td>{as_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        below = "".join(f"<p>{as_html(note)}</p>" for note in notes)
        head = f"<thead><tr>{head}</tr></thead>" if head else ""
        return f"<p><b>{as_html(self.title)}</b></p><table>{head}<tbody>{body}</tbody></table>{below}"


class _Tabled(Protocol):
    def _table(self) -> Table: ...


def table_text(shown: _Tabled) -> str:
    """To be the `__str__` of a class that has a table."""
    return str(shown._table())


def table_html(shown: _Tabled) -> str:
    """To be its `_repr_html_`, which notebooks call."""
    return shown._table().html()


def one_line(shown: Any) -> str:
    """A dataclass in a line: its fields, large ones by their size.

    Example:
        >>> @dataclass
        ... class Some:
        ...     ids: tuple[str, ...]
        >>> one_line(Some(ids=("a",) * 500))
        'Some(ids=<500>)'
    """
    parts = (f"{field.name}={_brief(getattr(shown, field.name))}" for field in fields(shown) if field.repr)
    return f"{type(shown).__name__}({', '.join(parts)})"


def _brief(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"<{' x '.join(map(str, shape))}>"
    if isinstance(value, Mapping | Set) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        return f"<{len(value)}>" if len(value) > _MOST_ITEMS else _cut(_items(value), _MOST_CELL)
    if hasattr(type(value), "__dataclass_fields__"):
        name = getattr(value, "name", "")
        return f"{type(value).__name__}({name!r})" if isinstance(name, str) and name else f"{type(value).__name__}(...)"
    return _cut(repr(value), _MOST_CELL)


def _items(values: Any) -> str:
    if isinstance(values, Mapping):
        return "{" + ", ".join(f"{key}: {_brief(value)}" for key, value in values.items()) + "}"
    return "(" + ", ".join(_brief(value) for value in values) + ")"


def _cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
