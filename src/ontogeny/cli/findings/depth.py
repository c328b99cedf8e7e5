"""`ontogeny findings depth`."""

from __future__ import annotations

import argparse
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_groups, add_scores, add_source, cells_of, groups_of

__all__ = ["add_parser"]

_ABOUT = """\
Alignment over relative depth, by network; and with language and vision models: do deeper layers converge?

  ontogeny findings depth runs/gpt runs/vit --metric cka-rbf-36-debiased-z --groups yeo7.csv --out depth/
  ontogeny findings depth runs/gpt --metric ridge-gcv                  one modality: alignment over depth only
  ontogeny findings depth --published shen2026 --raw --out depth/      the study's table (see `Published.read`)

Convergence needs a record of text and one of images, of the same subjects and regions. Relative depth is 0 for the
first layer that was read and 1 for the last; every model is interpolated to the middles of --bins equal parts.

what each line means:
  profile distance  1 - Pearson r over networks between language and vision at the same depth: do they peak in the same
                    places? The headline. Level and spread do not matter to it.
  corrected         the same, r divided by how well profiles agree between subjects: less noise alone does not lower it.
  level distance    |difference of the means over networks|. Falls where all values approach one level, chance too.
  RMS distance      what one sees in a plot; a mixture of both, so no evidence of like profiles by itself.
  per depth         slope from the first to the last layer, one a subject; interval (t) and p (sign flip) over subjects.
                    With 4 subjects the least p is .125.
  depths shuffled   how rare the slope is among all orders of the depths. A trend is claimed only if the interval leaves
                    out 0 and this p is below .05; of profiles, only if the corrected one has it too. Smooth curves make
                    this p too small.
Values are taken above chance; where a metric's chance level is not known, as in the study's table, only with --raw.
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "depth",
        help="alignment over layers; do deep layers of language and vision converge",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser)
    add_scores(parser)
    add_groups(parser)
    parser.add_argument("--bins", type=int, default=8, help="places on the axis of depth (default: %(default)s)")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import depth, published_depth
    from ontogeny.report.findings.depth_section import figures

    cells, source = cells_of(arguments, published_depth)
    if arguments.published:
        source += ", table yeo7_depth (language and vision not in one unit, see published_depth)"
    finding = depth(cells, groups=groups_of(arguments), bins=arguments.bins, raw=arguments.raw, source=source)
    return deliver(finding, figures, arguments)
