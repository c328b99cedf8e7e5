"""`ontogeny findings modality`: does language align more than vision?"""

from __future__ import annotations

import argparse
from typing import Any

from ontogeny.cli.findings._output import add_output, deliver
from ontogeny.cli.findings._source_options import add_scores, add_source, cells_of

__all__ = ["add_parser"]

_ABOUT = """\
Does language align more than vision? Text minus image, paired by subject and region, chance removed.

  ontogeny findings modality runs/gpt runs/vit --metric cka-linear-debiased --pair-benchmarks
  ontogeny findings modality --published shen2026 --metric mutual_knn_20        chance is known: k / (n - 1)
  ontogeny findings modality --published shen2026 --metric cka_36 --raw         chance is not known, and it says so

The tables of the publication are not in this package; the message says where they are looked for.

Records are models at their last step; what they read (text or image) is that of their benchmark. Both modalities need
the same metric and the same benchmark. Where the same responses to the same stimuli are two benchmarks, one for texts
and one for pictures, say so with --pair-benchmarks; subjects and regions then need the same names. Such pairs are the
embedded planted-captions and planted-vision, and nsd2022 with captions and with images. tuckute2024 and
kriegeskorte2008 share a metric (cka-linear-debiased), but neither subjects nor regions.

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
    add_source(parser)
    add_scores(parser)
    parser.add_argument("--pair-benchmarks", action="store_true", help="two benchmarks are the same responses")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.findings import Cells, modality_difference, published_regions
    from ontogeny.report.findings.modality_section import figures

    def both() -> Cells:
        return Cells.joined(*(published_regions(name)[0] for name in ("language", "vision")))

    cells, source = cells_of(arguments, both)
    finding = modality_difference(cells, raw=arguments.raw, pair_benchmarks=arguments.pair_benchmarks, source=source)
    return deliver(finding, figures, arguments)
