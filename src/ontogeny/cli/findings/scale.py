"""`ontogeny findings scale`."""

from __future__ import annotations

import argparse
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_groups, add_modality, add_scores, add_source, cells_of, groups_of

__all__ = ["add_parser"]

_ABOUT = """\
As the representational scale grows, does alignment move from sensory to associative areas?

  ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68 --out scale/
  ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68 --family 'cka-rbf-*-biased-z'
  ontogeny findings scale --published shen2026 --family 'cka_*' --raw --out scale/
  ontogeny findings scale --published shen2026 --modality vision --family 'mutual_knn_*' --low 20 --high 400

The scale is read from the metric's name: a kernel's width (cka-rbf-36-debiased-z; the study's cka_36) or a number of
neighbours (mutual-knn-20-inner). Score a benchmark of four regions or more (nsd2022, algonauts2023, your own) with the
same metric at two or more scales (protocol="shen2026"). The debiased form is
taken where both are there. Values are taken above chance; where a metric's chance level is not known, as of cka_36 in
the study's tables, only with --raw.

what each line means:
  profile        z of every region over all regions and subjects of a scale (the study's normalized_score).
  shift          z at --high minus z at --low, of a region or of a network (mean over its regions).
  associative    mean shift of the areas of --associative networks minus that of --sensory ones, one number a subject,
  minus sensory  with t interval and exact sign flip over subjects. In three forms, all three needed for a claim:
                   z                    the study's
                   ranks                does not change where only the shape of the distribution does
                   corrected for noise  does not change where only the agreement between subjects does
  change         1 - r of the two profiles over regions.
  q              p adjusted for the false discovery rate over networks (in regions.csv: over regions).
At small widths a region with many voxels has a kernel that is nearly the identity, and biased CKA is high with no
alignment: that alone moves z from large areas (V1) to small ones as the width grows.
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "scale",
        help="shift of the regional profile from one kernel width (or k) to another",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser)
    add_modality(parser)
    add_scores(parser)
    add_groups(parser)
    parser.add_argument("--low", type=float, default=28, help="scale to start from (default: %(default)s)")
    parser.add_argument("--high", type=float, default=68, help="scale to go to (default: %(default)s)")
    parser.add_argument("--family", default=None, help="metric with * for the scale (needed if there are several)")
    for name, networks in (("sensory", "Visual Somatomotor"), ("associative", "Default Frontoparietal Limbic")):
        parser.add_argument(f"--{name}", nargs="+", default=None, metavar="NETWORK", help=f"(default: {networks})")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import published_regions, scale
    from ontogeny.findings.scale import ASSOCIATIVE, SENSORY
    from ontogeny.report.findings.scale_section import figures

    cells, source = cells_of(arguments, lambda: published_regions(arguments.modality)[0])
    groups = groups_of(arguments)
    if arguments.published:
        source += f", table regions_{arguments.modality}"
        groups = groups or published_regions(arguments.modality)[1]
    finding = scale(
        cells,
        low=arguments.low,
        high=arguments.high,
        family=arguments.family,
        groups=groups,
        poles=(arguments.sensory or SENSORY, arguments.associative or ASSOCIATIVE),
        raw=arguments.raw,
        source=source,
    )
    return deliver(finding, figures, arguments)
