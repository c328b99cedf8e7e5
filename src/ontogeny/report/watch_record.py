"""Watching a record that another process writes: the first screen after each probe, the whole page at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ontogeny.record import Record, is_written
from ontogeny.report.live_page import write_live_page

__all__ = ["watch_record"]

_LOOK = 1.0


def watch_record(
    folder: Path, out: Path, *, primary: str = "", say: Callable[[str], None] = print, look: float = _LOOK
) -> bool:
    """Rewrite OUT/report.html after each probe until there are probes and no process writes into the record.

    Args:
        folder: of the record; it may come later.
        out: folder of the page.
        primary: declared curve.
        say: told of every page.
        look: seconds between two looks.

    Returns:
        Whether a process was writing when it began.
    """
    if not (folder / "record.json").exists():
        say(f"waiting for a record at {folder}")
    while not (folder / "record.json").exists():
        time.sleep(look)
    seen, watched = -1, False
    while True:
        running = is_written(folder)
        record = Record(folder)
        probes = record.events(kind="probe")
        if probes and not running:
            return watched
        watched = watched or running
        if len(probes) != seen:
            seen = len(probes)
            path = write_live_page(record, out, primary=primary)
            say(f"step {probes[-1].step:,}: {path}" if probes else f"no probe yet: {path}")
        time.sleep(look)
