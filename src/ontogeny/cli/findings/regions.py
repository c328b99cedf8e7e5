"""`ontogeny findings regions`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import (
    add_groups,
    add_modality,
    add_scores,
    add_seed,
    add_source,
    cells_of,
    groups_of,
)
from ontogeny.errors import ConfigError

__all__ = ["add_parser"]

_ABOUT = """\
Which regions does a model resemble most, how sure is their order, and do subjects agree on it?

  ontogeny findings regions runs/a --metric ridge-gcv                       best layer of each region, last step
  ontogeny findings regions runs/a --metric ridge-gcv --layer blocks.11     one layer, named beforehand
  ontogeny findings regions runs/a --groups yeo7.csv --out regions          networks; tables and a picture
  ontogeny findings regions --published shen2026 --modality vision --metric mutual_knn_20

what the answer means:
  alignment   above chance, mean over subjects. The layer of a subject is the one that is best in the other subjects, so
              it was not chosen on the subject's own noise. --raw where a metric has no chance level: read such an order
              with suspicion, it may be one of signal, size or dimension.
  [low, high] 95 % t interval over subjects. With 4 subjects a sign-flip p cannot be below .125.
  rank        a region is below those that beat it in a paired t test over subjects, Bonferroni over the others. Few
              subjects and many regions leave nearly all ranks open: group regions into networks first.
  W           Kendall's coefficient of concordance: 1 where all subjects have one order, 1 / subjects by chance.
--groups is a CSV with the columns roi,network; a network's alignment is the mean over its regions.
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "regions",
        help="which regions a model resembles most",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser)
    add_modality(parser)
    add_scores(parser)
    add_groups(parser)
    add_seed(parser)
    parser.add_argument("--networks", action="store_true", help="with --published: its Yeo-7 networks")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import grouped, published_regions, regions
    from ontogeny.report.findings.regions_section import figures

    if arguments.networks and not arguments.published:
        raise ConfigError("--networks are those of a published table; give --groups with a record")
    cells, _ = cells_of(arguments, lambda: published_regions(arguments.modality)[0])
    groups = groups_of(arguments)
    asked = groups is not None or arguments.networks
    if groups is None and arguments.published:
        groups = published_regions(arguments.modality)[1]
    found = regions(grouped(cells, groups) if asked and groups else cells, raw=arguments.raw, seed=arguments.seed)
    return deliver(found, partial(figures, groups=groups), arguments)
