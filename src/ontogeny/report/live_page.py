"""The first screen while training runs: rewritten after a probe, reloads itself, needs no script.

AlignmentCallback(..., page=True)       # RECORD/report.html, from within the training
ontogeny report RECORD --watch          # the same, from another process
"""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

from ontogeny._atomic_write import atomic_write
from ontogeny.lag.verdict import so_far
from ontogeny.record import Record
from ontogeny.report._first_screen import answer_html, bar_html
from ontogeny.report._html import escape
from ontogeny.report._live_chart import live_svg
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study, primary_of, studies

__all__ = ["LivePage", "live_html", "write_live_page"]

_RELOAD = 10


def live_html(record: Record, *, primary: str = "", running: bool = True) -> str:
    """The first screen of a record as it is now.

    Args:
        record: of one run.
        primary: declared curve, see `ontogeny.report.write_report`.
        running: whether more is to come.
    """
    facts = RunFacts.of(record)
    scored = any(panel.layers for panel in facts.panels)
    found = studies([facts], primary_of(primary), str(record.folder), detailed=False) if scored else []
    last = f"{facts.steps[-1]:,}" if facts.steps else "none yet"
    state = f"running, step {last}" if running else f"finished, step {last}"
    told = "".join(_answer(study, running=running, alone=len(found) == 1) for study in found)
    body = told or "<h1>Nothing has been scored yet.</h1>"
    reload = f'<meta http-equiv="refresh" content="{_RELOAD}">' if running else ""
    style = files("ontogeny.report").joinpath("page.css").read_text(encoding="utf-8")
    whole = "" if running else f" All figures and tables: <code>ontogeny report {escape(str(record.folder))}</code>."
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{reload}<meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{escape(facts.name)}: {state}</title>\n'
        f"<style>{style}</style></head>\n<body>\n{bar_html([facts], found, ('answer',), state=state)}\n<main>"
        f'<section id="answer">{body}</section></main>\n<p class="detail">Written at {time.strftime("%H:%M:%S")}.'
        f"{whole}</p></body></html>\n"
    )


def _answer(study: Study, *, running: bool, alone: bool) -> str:
    told = so_far(study.verdict) if running and study.verdict is not None else study.verdict
    shown = study.answered(told)
    return f'<div class="answer">{answer_html(shown, level=1 if alone else 2, alone=alone)}{live_svg(study)}</div>'


def write_live_page(record: Record, out: Path, *, primary: str = "", running: bool = True) -> Path:
    """Write it in one piece, so that a browser never reads half of it.

    Args:
        record: of one run.
        out: folder.
        primary: see `live_html`.
        running: see `live_html`.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    text = live_html(record, primary=primary, running=running)
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


class LivePage:
    """The sink behind `page=True`."""

    name = "page"
    first_refresh = 0.0

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Nothing: the page is drawn from the record."""

    def refresh(self, record: Record) -> None:
        """Rewrite the page."""
        write_live_page(record, record.folder)

    def finish(self, record: Record) -> None:
        """Say that the run has ended; the page reloads itself no more."""
        write_live_page(record, record.folder, running=False)
