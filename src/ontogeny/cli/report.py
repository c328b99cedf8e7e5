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
    primary: Annotated[str, Parameter(metavar="ROI:METRIC:LAYER")] = "",
    space: Annotated[tuple[Path, ...], Parameter(consume_multiple=1, metavar="FOLDER")] = (),
    mni: bool = False,
    out: Out = None,
    watch: bool = False,
) -> None:
    """The answer, figures and one offline page from a record, or from a folder of records.

    Writes PATH/report.html (everything inside, no network), PATH/figures (each figure as PNG, SVG, PDF, and CSV of what
    it shows) and PATH/tables (all curves, layers and regions as CSV), and says the answer: does the model become
    brain-like before it becomes good?

      ontogeny report runs/a                 one run
      ontogeny report runs/a --primary IT    the answer of one declared region; IT:ridge-gcv:layer3 of one curve
      ontogeny report runs/demo              both runs of the demo on one page
      ontogeny report runs/a --watch         the first screen after each probe of a training that runs, then all of it
      ontogeny report runs/a --out paper/    write somewhere else
      ontogeny report runs/a --metric ridge-gcv --roi V1 V4      some curves alone
      ontogeny report runs/a --space my-benchmark    scores in the brain too: the folder was built from images

    Args:
        path: a record's folder, or a folder of records.
        primary: declared curve that the answer is of, metric and layer may be left out; else in how many regions.
        space: benchmark folders that lead to the brain.
        mni: their volumes are in MNI space, and are drawn on the cortex (fsaverage5; nilearn).
        out: folder to write to, PATH where not given.
        watch: rewrite the first screen after each probe until the training ends; one record.
    """
    from ontogeny.report import write_report

    if watch:
        from ontogeny.report.watch_record import watch_record

        if not watch_record(path, out or path, primary=primary, say=say):
            say(f"no training writes into {path} now; here is the whole page")
    files = write_report(path, out, only=which.lists, primary=primary, spaces=space, mni=mni, progress=True)
    say(f"Wrote {files.html}, {len(files.pngs)} figures in {files.html.parent / 'figures'} and CSV in tables.")
    say("\n".join(files.answers))
