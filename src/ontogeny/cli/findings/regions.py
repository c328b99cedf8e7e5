"""`ontogeny findings regions`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.cli.findings.saying import add_output, deliver
from ontogeny.cli.findings.sources import add_choice, chosen
from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

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
    add_choice(parser)
    parser.add_argument("--layer", default=None, help="this layer (default: for each subject the best of the others)")
    parser.add_argument("--groups", type=Path, default=None, metavar="CSV", help="roi,network: ask of networks")
    parser.add_argument("--published", default=None, metavar="NAME", help="shen2026: its table of regions")
    parser.add_argument("--modality", choices=("language", "vision"), default=None, help="which of its two tables")
    parser.add_argument("--networks", action="store_true", help="with --published: its Yeo-7 networks")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import grouped, read_groups, regions
    from ontogeny.report.regions import figures

    if arguments.published is not None:
        cells, groups = _published(arguments)
    elif arguments.networks:
        raise ConfigError("--networks are those of a published table; give --groups with a record")
    else:
        cells, groups = chosen(arguments, last=True), {}
    if arguments.groups is not None:
        groups = read_groups(arguments.groups)
    by_network = arguments.networks or arguments.groups is not None
    found = regions(
        grouped(cells, groups) if by_network else cells, layer=arguments.layer, raw=arguments.raw, seed=arguments.seed
    )
    wanted = arguments.out is not None and not arguments.no_pictures
    return deliver(found, figures(found, groups=groups) if wanted else (), arguments)


def _published(arguments: argparse.Namespace) -> tuple[Cells, dict[str, str]]:
    from ontogeny.findings import of_published
    from ontogeny.published import load_published

    if arguments.modality is None:
        raise ConfigError("--published has a table a modality: say --modality language or --modality vision")
    if arguments.record is not None:
        raise ConfigError(f"either a record or --published, got both {arguments.record} and {arguments.published}")
    table = load_published(arguments.published).read(f"regions_{arguments.modality}")
    cells = of_published(table, "text" if arguments.modality == "language" else "image")
    groups = dict(zip(table["tgt_feature"].tolist(), table["yeo7"].tolist(), strict=True))
    return (cells if arguments.metric is None else cells.where(metric=arguments.metric)), groups
