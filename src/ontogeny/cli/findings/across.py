"""`ontogeny findings across`: do better models align better?"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_modality, add_raw, add_seed, add_source
from ontogeny.errors import DataError

if TYPE_CHECKING:
    from ontogeny.findings import Models

__all__ = ["add_parser"]

_ABOUT = """\
Do better models align better? Correlation of alignment with each performance over models, and what is left of it.

  ontogeny findings across --published shen2026                        the study's 36 language models
  ontogeny findings across --published shen2026 --modality vision      and its 594 vision models
  ontogeny findings across models.csv                                  as `ontogeny replay --models` writes it
  ontogeny findings across t.csv --alignment rsa --performance acc     a table of your own
  ontogeny findings across runs/a runs/b runs/c runs/d --metric cka-linear-debiased     records, at their last step

a table has one row a model: a column `model`; `family` (else told by the name), `parameters`, and --given columns, such
as the features' dimension or participation ratio, where you have them.

what each line means:
  Pearson r        alignment and performance as they stand. The interval is over families: models of one family share
                   data and recipe, and are not independent. Families are left out one by one (jackknife, t); with fewer
                   than 5 there is no interval. --alone takes models as independent. The table correlations.csv has
                   the intervals of independent models and (from 50 families on) of families drawn again, too.
  partial r        the same, with the logarithm of parameters (and of each --given) taken out of both. Whether size is a
                   confound or the way to be better is for you to say.
  within families  family means taken out of both.
  q                p adjusted for the number of benchmarks (false discovery rate).
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "across",
        help="do better models align better?",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source(parser, what="TABLE|RECORD")
    add_modality(parser)
    table = parser.add_argument_group("columns of a table")
    table.add_argument("--alignment", default=None, metavar="COLUMN", help="alignment, where its name does not tell")
    table.add_argument("--performance", nargs="+", default=(), metavar="COLUMN", help="else all columns of numbers")
    table.add_argument("--given", nargs="+", default=(), metavar="COLUMN", help="what may explain both, above 0")
    table.add_argument("--lower-is-better", nargs="+", default=(), metavar="COLUMN", help="performances such as a loss")
    record = parser.add_argument_group("of records")
    record.add_argument("--benchmark", default=None, help="which, where there are several")
    record.add_argument("--metric", default=None, help="which, where there are several")
    parser.add_argument("--headline", default=None, metavar="COLUMN", help="performance of the answer; else the first")
    parser.add_argument("--alone", action="store_true", help="take each model for its own family")
    add_raw(parser)
    add_seed(parser)
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import across_models
    from ontogeny.report.findings.across_models_section import figures

    finding = across_models(_models(arguments), headline=arguments.headline, alone=arguments.alone, seed=arguments.seed)
    return deliver(finding, figures, arguments)


def _models(arguments: argparse.Namespace) -> Models:
    from ontogeny.findings import Models
    from ontogeny.findings.data.models_from_records import models_of_records
    from ontogeny.findings.published import load_published
    from ontogeny.record import Record

    if (arguments.published is None) == (not arguments.paths):
        raise DataError("name one table, records' folders, or --published shen2026; `ontogeny findings across --help`")
    if arguments.published is not None:
        return Models.of_published(load_published(arguments.published), arguments.modality)
    if arguments.paths[0].suffix != ".csv":
        records = [Record(path) for path in arguments.paths]
        return models_of_records(records, benchmark=arguments.benchmark, metric=arguments.metric, raw=arguments.raw)
    if len(arguments.paths) > 1:
        raise DataError("one table at a time")
    return Models.of_table(
        _read(arguments.paths[0]),
        alignment=arguments.alignment,
        performance=arguments.performance,
        given=arguments.given,
        lower_is_better=arguments.lower_is_better,
        source=str(arguments.paths[0]),
    )


def _read(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            table = csv.DictReader(handle, restval="")
            names, rows = list(table.fieldnames or ()), list(table)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV table: {error}") from error
    if not rows:
        raise DataError(f"{path} has no rows; a line of names and a line a model are expected")
    return {name: [row[name] for row in rows] for name in names if name}
