"""Pieces of a page: figures, tables, lists. All that comes out of a record is escaped."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial

from ontogeny._display import as_html
from ontogeny.report.figures import Figure, Picture, as_picture, data_of

__all__ = ["command_html", "escape", "figure_html", "json_block", "notes_html", "shared_of", "table_html"]

escape = partial(as_html, quote=True)
MOST_MARKS = 5000
_FILTERED = 12
_WORD, _SENTENCE = 16, 60


def json_block(content: object, name: str) -> str:
    """Data for a script, which cannot end it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def figure_html(figure: Figure | Picture, *, picks: bool = False, level: int = 3) -> str:
    """A chart drawn by the page; one of more than 5000 marks as pixels.

    Args:
        figure: to be shown.
        picks: whether a click on a region shows its curves.
        level: of its heading; 0 where it has none of its own.
    """
    head = f"<h{level}>{escape(figure.title)}</h{level}>" if level else ""
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    if isinstance(figure, Figure):
        spec = figure.spec
        if sum(map(len, data_of(spec))) <= MOST_MARKS:
            label = escape(f"{figure.title}. {figure.caption}")
            chart = (
                f'<div class="chart" role="img" aria-label="{label}" id="{escape(figure.name)}" '
                f'data-spec="spec-{escape(figure.name)}"{" data-picks=1" if picks else ""}></div>'
            )
            return f"<figure>{head}{chart}{json_block(spec, f'spec-{figure.name}')}{caption}</figure>"
        figure = as_picture(figure)
    source = f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
    image = f'<img alt="{escape(figure.title)}" width="{figure.width}" height="{figure.height}" src="{source}">'
    image = _film(image, figure) if len(figure.frames) > 1 else f'<div class="pixels">{image}</div>'
    return f"<figure>{head}{image}{caption}</figure>"


def _film(image: str, figure: Picture) -> str:
    """One frame at a time, chosen by a slider; without scripts all of them."""
    names, last = json.dumps(figure.frames), len(figure.frames) - 1
    return (
        f'<div class="film" data-frames="{escape(names)}"><div class="pixels"><div class="window">{image}</div></div>'
        f'<label hidden><input type="range" min="0" max="{last}" value="{last}" step="1" '
        f'aria-label="{escape(figure.title)}: frame">'
        f"<output>{escape(figure.frames[-1])}</output></label></div>"
    )


def table_html(rows: Sequence[Mapping[str, str]], caption: str = "") -> str:
    """A table that is sorted by its headings, and filtered where it is long; whole in print."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in columns)
    lines = ["<tr>" + "".join(_cell(row.get(name, "")) for name in columns) + "</tr>" for row in rows]
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    find = '<label class="filter">Filter <input type="search"></label>' if len(rows) > _FILTERED else ""
    body = "\n".join(lines)
    return (
        f'{find}<div class="table" tabindex="0"><table class="numbers">{said}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def shared_of(rows: Sequence[Mapping[str, str]]) -> tuple[str, list[dict[str, str]]]:
    """What all rows have in common, as a sentence; and the rows without it."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    same = [name for name in columns if len(rows) > 1 and len({row.get(name, "") for row in rows}) == 1]
    told = "; ".join(f"{name} {rows[0][name]}" for name in same if rows[0].get(name))
    return f"In all rows: {told}." if told else "", [{k: v for k, v in row.items() if k not in same} for row in rows]


def _cell(text: str) -> str:
    """Long names may break after their dots, long sentences have room."""
    kind = ' class="long"' if len(text) > _SENTENCE else ""
    parts = re.split(r"(?<=[._/-])", text) if len(text) > _WORD and " " not in text else [text]
    return f"<td{kind}>{'<wbr>'.join(map(escape, parts))}</td>"


def command_html(text: str) -> str:
    """A command that breaks between its words only."""
    return f"<code>{' '.join(f'<span>{escape(word)}</span>' for word in text.split(' '))}</code>"


def notes_html(notes: Sequence[str]) -> str:
    """Sentences, each once."""
    items = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(notes))
    return f'<ul class="notes">{items}</ul>' if items else ""
