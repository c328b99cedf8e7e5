"""How objects print: in one line, or as a table of less than a screen, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields
from html import escape
from typing import Any, Protocol

from typing_extensions import override

from ontogeny._messages import printable

__all__ = ["Table", "as_html", "one_line", "table_html", "table_text"]

_MOST_ROWS = 18
_MOST_CELL = 60
_MOST_LINE = 160
_MOST_ITEMS = 4


def as_html(text: str, *, quote: bool = False) -> str:
    """Escaped, with "?" for control characters; quotes too where it stands in an attribute."""
    return escape(printable(text), quote=quote)


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
