"""From records to a page: reads, draws, writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ontogeny._atomic_write import natural_key
from ontogeny.errors import RecordError
from ontogeny.record import Record
from ontogeny.report._alignment_section import run_figures
from ontogeny.report._page import Section, page
from ontogeny.report.brain_section import Brain, brain_of, brain_pictures, known_in
from ontogeny.report.figures import Figure, Picture, as_picture
from ontogeny.report.findings.findings_section import answers_of_run, answers_of_runs
from ontogeny.report.lead_section import lead_figures, lead_table, lead_warnings, pooled_leads, record_leads
from ontogeny.report.run_data import RunFacts

__all__ = ["ReportFiles", "find_records", "write_pngs", "write_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """What a report wrote."""

    html: Path
    pngs: tuple[Path, ...]


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
    spaces: Sequence[str | os.PathLike[str]] = (),
    progress: bool = False,
) -> ReportFiles:
    """Write report.html and its pictures as PNG.

    Args:
        path: a record's folder, or a folder of records.
        out: folder to write to; `path` itself where not given. Pictures go to its folder `figures`.
        only: draw some curves alone: "benchmark", "metric", "roi", "layer", "pooling" or "subject" -> names.
        spaces: benchmark folders that were built from images: scores are shown in the brain too. A record does not
            need its benchmark to be read, so it does not know where the folder lies.
        progress: show a bar.

    Returns:
        The files that were written.

    Raises:
        RecordError: no record there, one without any score, or with too many to draw (see `only`); or a folder of
            `spaces` that none was scored with.
        DataError: a folder of `spaces` that does not lead back to the brain.
        MissingExtraError: the extra `report` is not installed.
    """
    runs = [RunFacts.of(record, only) for record in find_records(path)]
    empty = [str(facts.record.folder) for facts in runs if not facts.steps]
    if len(empty) == len(runs):
        raise RecordError(f"no score in {', '.join(empty)} yet; the first probe writes some")
    brains = [brain_of(folder) for folder in spaces]
    for brain in brains:
        known_in(brain, [facts.record for facts in runs])
    sections = [_section(facts, brains) for facts in tqdm(runs, desc="records", disable=not progress) if facts.steps]
    target = Path(path if out is None else out)
    pictures = target / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    html = target / "report.html"
    pooled = pooled_leads([section.facts for section in sections])
    across = answers_of_runs([section.facts for section in sections])
    html.write_text(page(sections, pooled, across, title=Path(path).resolve().name), encoding="utf-8")
    figures: list[Figure | Picture] = [*pooled[1], *across.figures]
    for section in sections:
        figures += [*section.figures, *section.brain, *section.lead_figures, *section.answers.figures]
    pngs = write_pngs(figures, pictures, progress=progress)
    return ReportFiles(html=html, pngs=pngs)


def _section(facts: RunFacts, brains: Sequence[Brain]) -> Section:
    found = record_leads(facts)
    drawn = [brain_pictures(facts.record, brain) for brain in brains]
    return Section(
        facts=facts,
        figures=run_figures(facts),
        leads=lead_table(found),
        lead_warnings=lead_warnings(found),
        lead_figures=lead_figures(facts, found),
        answers=answers_of_run(facts),
        brain=[picture for pictures, _ in drawn for picture in pictures],
        brain_notes=[note for _, notes in drawn for note in notes],
    )


def write_pngs(figures: Sequence[Figure | Picture], folder: Path, *, progress: bool = False) -> tuple[Path, ...]:
    """Write every picture as PNG, by its name."""
    out = []
    for figure in tqdm(figures, desc="pictures", unit="png", disable=not progress):
        out.append(folder / f"{figure.name}.png")
        out[-1].write_bytes((figure if isinstance(figure, Picture) else as_picture(figure)).png)
    return tuple(out)
