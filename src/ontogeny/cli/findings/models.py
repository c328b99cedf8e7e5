"""`ontogeny findings across | modality`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ontogeny._csv_files import csv_rows
from ontogeny.cli._vocabulary import Columns, Records, Seed, Selection
from ontogeny.cli.findings._output import Output, deliver
from ontogeny.cli.findings._source_options import Publication, Published, Raw, Scores, cells_of
from ontogeny.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ontogeny.findings import Cells, Models

__all__ = ["across", "modality"]


@Parameter(name="*", group="Columns of a table")
@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumns:
    """Columns of a table.

    Args:
        alignment: alignment, where its name does not tell.
        performance: else all columns of numbers.
        given: what may explain both, above 0.
        lower_is_better: performances such as a loss.
        headline: performance of the answer; else the first.
    """

    alignment: Annotated[str | None, Parameter(metavar="COLUMN")] = None
    performance: Columns = ()
    given: Columns = ()
    lower_is_better: Columns = ()
    headline: Annotated[str | None, Parameter(metavar="COLUMN")] = None


def across(
    paths: Annotated[tuple[Path, ...], Parameter(metavar="TABLE|RECORD")] = (),
    /,
    *,
    published: Publication = Publication(),
    which: Selection = Selection(),
    columns: TableColumns = TableColumns(),
    alone: bool = False,
    raw: Raw = False,
    seed: Seed = 0,
    output: Output = Output(),
) -> None:
    """Do better models align better? Correlation of alignment with each performance, and what is left of it.

    for example:
      ontogeny findings across --published shen2026                        the study's 36 language models
      ontogeny findings across --published shen2026 --modality vision      and its 594 vision models
      ontogeny findings across models.csv                                  as `ontogeny replay --models` writes it
      ontogeny findings across t.csv --alignment rsa --performance acc     a table of your own
      ontogeny findings across runs/a runs/b runs/c runs/d --metric cka-linear-debiased     records, at their last step

    a table has one row per model: a column `model`; `family` (else told by the name), `parameters`, and --given
    columns, such as the features' dimension or participation ratio, where you have them.

    what each line means:
      Pearson r        alignment and performance as they stand. The interval is over families: models of one family
                       share data and recipe, and are not independent. Families are left out one by one (jackknife,
                       t); with fewer than 5 there is no interval. --alone takes models as independent. The table
                       correlations.csv has the intervals of independent models and (from 50 families on) of
                       families drawn again, too.
      partial r        the same, with the logarithm of parameters (and of each --given) taken out of both. Whether
                       size is a confound or the way to be better is for you to say.
      within families  family means taken out of both.
      q                p adjusted for the number of benchmarks (false discovery rate).

    Args:
        paths: one CSV table, or records' folders.
        alone: take each model for its own family.
    """
    from ontogeny.findings import across_models
    from ontogeny.report.findings.across_models_section import figures

    models = _models(paths, published, which, columns, raw=raw)
    deliver(across_models(models, headline=columns.headline, alone=alone, seed=seed), figures, output)


def _models(
    paths: Sequence[Path], published: Publication, which: Selection, columns: TableColumns, *, raw: bool
) -> Models:
    from ontogeny.findings import Models
    from ontogeny.findings.data.models_from_records import models_of_records
    from ontogeny.findings.published import load_published
    from ontogeny.record import Record

    if (published.published is None) == (not paths):
        raise DataError("name one table, records' folders, or --published shen2026; `ontogeny findings across --help`")
    if published.published is not None:
        return Models.of_published(load_published(published.published), published.modality)
    if paths[0].suffix != ".csv":
        return models_of_records([Record(path) for path in paths], raw=raw, **_one_of_each(which))
    if len(paths) > 1:
        raise DataError("one table at a time")
    return Models.of_table(
        _read(paths[0]),
        alignment=columns.alignment,
        performance=columns.performance,
        given=columns.given,
        lower_is_better=columns.lower_is_better,
        source=str(paths[0]),
    )


def _one_of_each(which: Selection) -> dict[str, str]:
    """Models are compared by one metric on one benchmark, averaged over all else."""
    for name, values in which.lists.items():
        if name not in ("benchmark", "metric") or len(values) > 1:
            got = f"--{name} {' '.join(values)}"
            raise ConfigError(f"models are compared by one --metric on one --benchmark, over all else; got {got}")
    return which.where


def _read(path: Path) -> dict[str, list[str]]:
    if not (rows := csv_rows(path)):
        raise DataError(f"{path} has no rows; a line of names and a line per model are expected")
    return {name: [row[name] or "" for row in rows] for name in rows[0] if name}


def modality(
    paths: Records = (),
    /,
    *,
    published: Published = None,
    which: Selection = Selection(),
    scores: Scores = Scores(),
    pair_benchmarks: bool = False,
    output: Output = Output(),
) -> None:
    """Does language align more than vision? Text minus image, paired by subject and region, chance removed.

    for example:
      ontogeny findings modality runs/gpt runs/vit --metric cka-linear-debiased --pair-benchmarks
      ontogeny findings modality --published shen2026 --metric mutual_knn_20        chance is known: k / (n - 1)
      ontogeny findings modality --published shen2026 --metric cka_36 --raw         chance is not known, and it says so

    The tables of the publication are not in this package; the message says where they are looked for.

    Records are models at their last step; what they read (text or image) is that of their benchmark. Both
    modalities need the same metric and the same benchmark. Where the same responses to the same stimuli are two
    benchmarks, one for texts and one for pictures, say so with --pair-benchmarks; subjects and regions then need
    the same names. Such pairs are the embedded planted-captions and planted-vision, and nsd2022 with captions and
    with images. tuckute2024 and kriegeskorte2008 share a metric (cka-linear-debiased), but neither subjects nor
    regions.

    what each line means:
      text minus image  mean over regions of each subject's difference, t interval over subjects; p by flips of the
                        subjects' signs (.125 at the least with 4 subjects)
      regions where     share of regions: by subject, in every subject, at q < .05 (t test over subjects, FDR over
                        regions)
      over models       the same with models as the sample, where there are two or more of each modality

    Args:
        pair_benchmarks: two benchmarks are the same responses.
    """
    from ontogeny.findings import Cells, modality_difference, published_regions
    from ontogeny.report.findings.modality_section import figures

    def both() -> Cells:
        return Cells.joined(*(published_regions(name)[0] for name in ("language", "vision")))

    cells, source = cells_of(paths, which, both, named=published, scores=scores)
    found = modality_difference(cells, raw=scores.raw, pair_benchmarks=pair_benchmarks, source=source)
    deliver(found, figures, output)
