"""`ontogeny findings modality`: does language align more than vision?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.cli.findings.saying import add_output, deliver
from ontogeny.errors import DataError

if TYPE_CHECKING:
    from ontogeny.findings import Cells

__all__ = ["add_parser"]

_ABOUT = """\
Does language align more than vision? Text minus image, paired by subject and region, chance removed.

  ontogeny findings modality runs/gpt runs/vit --metric cka-linear-debiased --pair-benchmarks
  ontogeny findings modality --published shen2026 --metric mutual_knn_20        chance is known: k / (n - 1)
  ontogeny findings modality --published shen2026 --metric cka_36 --raw         chance is not known, and it says so

The tables of the publication are not in this package; the message says where they are looked for.

Records are models at their last step; what they read (text or image) is that of their benchmark. Both modalities need
the same metric and the same benchmark. Where the same responses to the same stimuli are two benchmarks, one for texts
and one for pictures, say so with --pair-benchmarks; subjects and regions then need the same names.

what each line means:
  text minus image  mean over regions of each subject's difference, t interval over subjects; p by flips of the
                    subjects' signs (.125 at the least with 4 subjects)
  regions where     share of regions: by subject, in every subject, at q < .05 (t test over subjects, FDR over regions)
  over models       the same with models as the sample, where there are two or more of each modality
"""


def add_parser(questions: Any) -> None:
    """Add the question."""
    parser = questions.add_parser(
        "modality",
        help="does language align more than vision?",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", nargs="*", type=Path, metavar="RECORD", help="records' folders, each a model")
    parser.add_argument("--published", default=None, metavar="NAME", help="tables of a publication: shen2026")
    parser.add_argument("--metric", default=None, help="which, where there are several")
    parser.add_argument("--benchmark", nargs="+", default=None, help="which, where there are several")
    parser.add_argument("--pair-benchmarks", action="store_true", help="two benchmarks are the same responses")
    parser.add_argument("--raw", action="store_true", help="leave chance in, where it is not known")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import modality_difference
    from ontogeny.report.modality import figures

    finding = modality_difference(_cells(arguments), raw=arguments.raw, pair_benchmarks=arguments.pair_benchmarks)
    drawn = () if arguments.out is None or arguments.no_pictures else figures(finding)
    return deliver(finding, drawn, arguments)


def _cells(arguments: argparse.Namespace) -> Cells:
    from ontogeny.findings import Cells, published_regions
    from ontogeny.published import load_published
    from ontogeny.series import Record

    if (arguments.published is None) == (not arguments.records):
        raise DataError("name records' folders, or --published shen2026; see `ontogeny findings modality --help`")
    if arguments.published is not None:
        return published_regions(load_published(arguments.published), arguments.metric or "mutual_knn_20")
    cells = Cells.of_records(Record.open(path) for path in arguments.records).at_last_step()
    asked = {"metric": arguments.metric, "benchmark": arguments.benchmark}
    return cells.where(**{name: value for name, value in asked.items() if value is not None})
