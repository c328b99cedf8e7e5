"""From records to a page: reads, draws, writes."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ontogeny._atomic_write import natural_key
from ontogeny.errors import RecordError
from ontogeny.record import Record
from ontogeny.report._page import Page, Part, page, sentences
from ontogeny.report._tables import write_tables
from ontogeny.report.beside_figures import beside_figures
from ontogeny.report.brain_sketch import sketches
from ontogeny.report.curve_figures import curves_figure, of_runs
from ontogeny.report.explorer import explorer_data
from ontogeny.report.figure_files import write_figures
from ontogeny.report.figures import Figure, Picture, file_stem
from ontogeny.report.findings.findings_section import answers_of
from ontogeny.report.key_figure import key_figure
from ontogeny.report.lead_figures import pair_figures
from ontogeny.report.level_tests import level_tests, levels_figure
from ontogeny.report.map_figure import map_figure
from ontogeny.report.region_figures import forest_figure, runs_forest
from ontogeny.report.regions import Region, run_of
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import Study, primary_of, studies

__all__ = ["ReportFiles", "find_records", "write_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """What a report wrote.

    Args:
        html: the page.
        pngs: every figure; SVG, PDF and CSV have the same names beside them.
        answers: the page's answer, one sentence per benchmark.
    """

    html: Path
    pngs: tuple[Path, ...]
    answers: tuple[str, ...]


def find_records(path: str | os.PathLike[str]) -> list[Record]:
    """The record at `path`, or all records in the folders right below it, by name: run-2 before run-10.

    Raises:
        RecordError: there is none.
    """
    folder = Path(path)
    beside = sorted(folder.iterdir(), key=lambda p: natural_key(p.name)) if folder.is_dir() else []
    folders = [folder, *(p for p in beside if p.is_dir())]
    found = [f for f in folders if (f / "record.json").exists()]
    if not found:
        raise RecordError(
            f"no record at {folder}, nor in the folders right below it (a record has a file record.json); "
            "`ontogeny demo` makes two, a callback makes one per run"
        )
    return [Record(f) for f in found]


def write_report(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    only: Mapping[str, Sequence[str]] | None = None,
    primary: str = "",
    spaces: Sequence[str | os.PathLike[str]] = (),
    mni: bool = False,
    progress: bool = False,
) -> ReportFiles:
    """Write report.html, its figures as PNG, SVG, PDF and CSV, and tables as CSV.

    Args:
        path: a record's folder, or a folder of records.
        out: folder to write to; `path` itself where not given. Figures go to its folder `figures`, CSV to `tables`.
        only: draw some curves alone: "benchmark", "metric", "roi", "layer", "pooling" or "subject" -> names.
        primary: the declared curve that the answer is of, "ROI:metric:layer"; metric and layer may be left out. Without
            it the answer is in how many regions, corrected for their number.
        spaces: benchmark folders that were built from images: scores are shown in the brain too. A record does not
            need its benchmark to be read, so it does not know where the folder lies.
        mni: volumes of `spaces` are in MNI space and are drawn on the cortex.
        progress: show a bar.

    Returns:
        The files that were written, and the answer.

    Raises:
        RecordError: no record there, one without any score, or with too many to draw (see `only`); no such primary
            curve; or a folder of `spaces` that none was scored with.
        DataError: a folder of `spaces` that does not lead back to the brain.
        MissingExtraError: the extra `report` is not installed.
    """
    runs = _read(find_records(path), only, progress=progress)
    if not any(facts.steps for facts in runs):
        raise RecordError(
            f"no score in {', '.join(str(f.record.folder) for f in runs)} yet; the first probe writes some"
        )
    runs = [facts for facts in runs if facts.steps]
    drawn = _in_the_brain([facts.record for facts in runs], spaces, mni=mni) if spaces else []
    found = studies(runs, primary_of(primary), str(path))
    drawn += [] if spaces else [sketches(study) for study in found]
    parts = [_part(study) for study in found]
    made = Page(
        title=Path(path).resolve().name,
        command=f"ontogeny report {path}" + (f' --primary "{primary}"' if primary else ""),
        runs=runs,
        parts=parts,
        explorer=explorer_data(runs),
        brain=[picture for pictures, _ in drawn for picture in pictures],
        brain_notes=[note for _, notes in drawn for note in notes],
        answers=answers_of(runs),
        beside=[figure for facts in runs[:1] for figure in beside_figures(facts)],
    )
    target = Path(path if out is None else out)
    pngs = write_figures(made.figures, target / "figures", progress=progress)
    write_tables(found, runs, {i: part.tests for i, part in enumerate(parts)}, target / "tables")
    html = target / "report.html"
    html.write_text(page(made), encoding="utf-8")
    return ReportFiles(html=html, pngs=pngs, answers=tuple(sentences(made)))


def _in_the_brain(
    records: Sequence[Record], spaces: Sequence[str | os.PathLike[str]], *, mni: bool
) -> list[tuple[list[Figure | Picture], list[str]]]:
    """Pictures and notes of each record and folder; what they need is imported here, and torch with it."""
    from ontogeny.report.brain_section import brain_of, brain_pictures, known_in

    brains = [brain_of(folder, mni=mni) for folder in spaces]
    for brain in brains:
        known_in(brain, records)
    return [brain_pictures(record, brain) for record in records for brain in brains]


def _read(records: Sequence[Record], only: Mapping[str, Sequence[str]] | None, *, progress: bool) -> list[RunFacts]:
    """All records, each under its own name: the folder's, where two runs have one."""
    names = Counter(record.run for record in records)
    return [
        RunFacts.of(record, only, name=record.run if names[record.run] == 1 else record.folder.name)
        for record in tqdm(records, desc="records", disable=not progress)
    ]


def _has_lead(region: Region) -> bool:
    return math.isfinite(region.factor[0]) and region.outcome != "nothing to time"


def _part(study: Study) -> Part:
    panels = [region.drawn for region in study.regions]
    tests = level_tests(panels)
    several = [curves_figure(study), map_figure(study)] if len(study.regions) > 1 else []
    levels = file_stem(study.benchmark, study.metric, "levels")
    forest = runs_forest(study) if study.task else None
    lead = []
    if study.leads is not None and study.claims:
        name = file_stem(study.benchmark, study.metric, study.key.roi, "lead")
        lead = pair_figures(run_of(study.key.curves[0], study.task), study.leads, name=name)
    return Part(
        study=study,
        tests=tests,
        key=[
            key_figure(study),
            *([forest_figure(study)] if any(_has_lead(region) for region in study.regions) else []),
        ],
        regions=[
            levels_figure(tests, levels, runs=of_runs(study)),
            *([forest] if forest else []),
        ],
        curves=several,
        lead=lead,
    )
