"""`ontogeny findings when`."""

from __future__ import annotations

import argparse
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_order, add_scores, add_seed, add_source, cells_of

__all__ = ["add_parser"]

_ABOUT = """\
Which part of the brain does a model resemble first while it trains: region by region, layer by layer?

  ontogeny findings when runs/a --metric ridge-gcv --order V1,V2,V4,IT     half points along a hierarchy, and over depth
  ontogeny findings when runs/a --metric ridge-gcv --out when              the table of all half points, and a picture

what the answer means:
  half point   the step at which a curve first reaches half of its own gain, with its 95 % interval. Refused, with the
               reason, where there are fewer than 12 steps, no rise, or no plateau before and after it.
  first        the region (or layer) with the earliest half point, how often it is first when all are drawn within their
               errors, and which others cannot be told apart from it.
  rho          Spearman's rank correlation of the true half points with the place in the hierarchy, or with depth; the
               interval holds the half points' own errors. p: half points given to other places.
An order is shown only where both the interval and p say so. One run is one sample: other seeds may have other orders.
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "when",
        help="which region and layer comes first in training",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser, published=False)
    add_scores(parser, step=False)
    add_seed(parser)
    add_order(parser, None)
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import when
    from ontogeny.report.findings.rise_order_section import figures

    cells, _ = cells_of(arguments, last=False)
    return deliver(when(cells, arguments.order, raw=arguments.raw, seed=arguments.seed), figures, arguments)
