"""`ontogeny report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Out, Selection

__all__ = ["report"]


def report(
    path: Path,
    /,
    *,
    which: Selection = Selection(),
    space: Annotated[tuple[Path, ...], Parameter(consume_multiple=1, metavar="FOLDER")] = (),
    out: Out = None,
) -> None:
    """Pictures and one offline page from a record, or from a folder of records.

    Writes PATH/report.html (everything inside, no network) and PATH/figures/*.png: alignment of every layer over
    training with chance, ceiling, baseline and controls, the held-out task of the same weights under it, layer x step
    maps, effective dimensions, tables, what was refused and why.

      ontogeny report runs/a                 one run
      ontogeny report runs/demo              both runs of the demo on one page
      ontogeny report runs/a --out paper/    write somewhere else
      ontogeny report runs/a --metric ridge-gcv --roi V1 V4      some curves alone; needed beyond a million scores
      ontogeny report runs/a --space my-benchmark    scores in the brain too: the folder was built from images

    Args:
        path: a record's folder, or a folder of records.
        space: benchmark folders that lead to the brain.
        out: folder to write to, PATH where not given.
    """
    from ontogeny.report import write_report

    files = write_report(path, out, only=which.lists, spaces=space, progress=True)
    say(f"Wrote {files.html} and {len(files.pngs)} pictures in {files.html.parent / 'figures'}.")
