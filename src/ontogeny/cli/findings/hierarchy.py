"""`ontogeny findings hierarchy`."""

from __future__ import annotations

import argparse
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_order, add_scores, add_seed, add_source, cells_of

__all__ = ["add_parser"]

_ABOUT = """\
Do regions that are higher in a cortical hierarchy resemble deeper layers?

  ontogeny findings hierarchy runs/a --metric ridge-gcv --order V1,V2,V3,V4,LO,IT
  ontogeny findings hierarchy runs/a --metric ridge-gcv                   order "ventral", of the regions that are there
  ontogeny findings hierarchy runs/a --step 0 --metric ridge-gcv          the same of the untrained model, to compare

what the answer means:
  hierarchy score  Spearman's rho of a region's place with the depth that it resembles, one a subject, mean and 95 % t
                   interval over subjects. The interval is about these regions.
  p                over all ways to give the depths to places: with 4 regions it cannot be below .083.
  depth            centre of mass over layers of alignment above chance (--best centre): noise does not pull it to the
                   middle. --best others: the layer that is best in the other subjects, the choice with --raw.
An order is shown only where both the interval and p say so. --order: a name (ventral, networks) or regions by comma,
lowest first, LO=PIT for two that share a place.
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "hierarchy",
        help="whether higher regions resemble deeper layers",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser, published=False)
    add_scores(parser)
    add_seed(parser)
    add_order(parser, "ventral")
    parser.add_argument("--best", choices=("centre", "others"), default="centre", help="default: %(default)s")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import hierarchy
    from ontogeny.report.findings.hierarchy_section import figures

    cells, _ = cells_of(arguments)
    found = hierarchy(cells, arguments.order, best=arguments.best, raw=arguments.raw, seed=arguments.seed)
    return deliver(found, figures, arguments)
