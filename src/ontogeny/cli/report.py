"""`ontogeny report`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_ABOUT = """\
Pictures and one offline page from a record, or from a folder of records.

Writes PATH/report.html (everything inside, no network) and PATH/figures/*.png: alignment of every layer over training
with chance, ceiling, baseline and controls, the held-out task of the same weights under it, layer x step maps,
effective dimensions, tables, what was refused and why.

  ontogeny report runs/a                 one run
  ontogeny report runs/demo              both runs of the demo on one page
  ontogeny report runs/a --out paper/    write somewhere else
  ontogeny report runs/a --metric ridge-gcv --roi V1 V4      some curves alone; needed beyond a million scores
  ontogeny report runs/a --space my-benchmark    scores in the brain too: the folder was built from images
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "report",
        help="pictures and one offline page from a record",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="a record's folder, or a folder of records")
    parser.add_argument("--out", type=Path, default=None, help="folder to write to (default: PATH)")
    for name in ("benchmark", "metric", "roi", "subject"):
        parser.add_argument(f"--{name}", nargs="+", default=None, metavar="NAME", help="only these, as in the record")
    parser.add_argument(
        "--space", nargs="+", default=[], type=Path, metavar="FOLDER", help="benchmark folders that lead to the brain"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.report import write_report

    named = {name: getattr(arguments, name) for name in ("benchmark", "metric", "roi", "subject")}
    only = {name: names for name, names in named.items() if names}
    files = write_report(arguments.path, arguments.out, only=only, spaces=arguments.space, progress=True)
    sys.stdout.write(f"Wrote {files.html} and {len(files.pngs)} pictures in {files.html.parent / 'figures'}.\n")
    return 0
