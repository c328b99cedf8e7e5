"""Plain tables and arrays -> a benchmark and what a folder keeps beside it. Matched by id, checked, or refused by name.

The order of rows in the inputs does not matter: stimuli are sorted by id, except where folds are blocks in their order
(contiguous), and subjects by name; numbers in both count as numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ontogeny._atomic_write import natural_key
from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.datasets.folder.voxel_extras import Extras
from ontogeny.datasets.folder.write_folder import write_benchmark
from ontogeny.datasets.own_data._array_files import StimulusTable, has_ids, read_stimulus_table, typed
from ontogeny.datasets.own_data._ceilings import BETWEEN, with_between
from ontogeny.datasets.own_data._fold_columns import Split, split_stimuli
from ontogeny.datasets.own_data._from_images import read_images
from ontogeny.datasets.own_data._from_rdms import read_geometry
from ontogeny.datasets.own_data._stimulus_order import StimulusOrder
from ontogeny.datasets.own_data._subject_assembly import AssemblyRules, Subject, read_subject
from ontogeny.datasets.own_data._who_saw import refuse_other_pictures, said_of, seen_by_all, seen_by_any, who_saw
from ontogeny.datasets.own_data._whose_files import check_rois, refuse_other_subjects, same_data
from ontogeny.datasets.own_data.image_files import Images
from ontogeny.errors import DataError
from ontogeny.metrics import CKA, RSA, Metric, Ridge
from ontogeny.neuroimaging.table_files import Sheet
from ontogeny.stimuli import check_ids

__all__ = ["About", "Built", "Images", "Split", "benchmark_of", "build", "with_ceilings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the numbers do not tell.

    Args:
        name: stable name.
        citation: whom to cite.
        licence: terms.
        about: how the responses were made, one paragraph.
        version: grows when scores change.
        simulated: responses were computed, not measured.
        ceiling: highest Pearson r that the noise allows, one for all voxels; "ncsnr" or "split-half", made from the
            repeats of each subject; "between-subjects", from the others' same voxels; None: as the voxel table says,
            else by ncsnr where there are repeats.
        ceiling_source: how ceilings were made, where they are given.
        primary: see `Benchmark`.
    """

    name: str
    citation: str
    licence: str
    about: str
    version: str = "1"
    simulated: bool = False
    ceiling: float | Literal["ncsnr", "split-half", "between-subjects"] | None = None
    ceiling_source: str = "given with the data"
    primary: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "citation", "licence", "about", "version"):
            if not getattr(self, name).strip():
                raise DataError(f"{name} is empty; a benchmark says what it is, whom to cite and under which terms")

    def rules(self, *, drop_bad: bool, name: str = "") -> AssemblyRules:
        """What follows for the assemblies of its subjects; they are called as the benchmark is, or `name`."""
        return AssemblyRules(name=name or self.name, ceiling=(self.ceiling, self.ceiling_source), drop_bad=drop_bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A benchmark and what its folder keeps beside it; and what should be said of how files were taken (word, text)."""

    benchmark: Benchmark
    extras: Mapping[str, Extras]
    stimulus_columns: Mapping[str, Any]
    dropped: tuple[dict[str, Any], ...] = field(default=())
    notes: tuple[tuple[str, str], ...] = field(default=())

    def write(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write it as a folder, which `load`, `watch` and every command take; see `write_benchmark`.

        Raises:
            DataError: there is something at `folder`, or it cannot be written.
        """
        return write_benchmark(
            self.benchmark,
            folder,
            extras=self.extras,
            stimulus_columns=self.stimulus_columns,
            dropped=self.dropped,
            overwrite=overwrite,
        )


def build(
    stimuli: Path,
    *,
    about: About,
    responses: Mapping[str, Path | Images] | None = None,
    rois: Mapping[str, Path] | None = None,
    geometries: Mapping[tuple[str, str], Path] | None = None,
    split: Split | None = None,
    metrics: Sequence[Metric] | None = None,
    drop_bad: bool = False,
) -> Built:
    """A benchmark from plain files, or from images of the brain.

    Args:
        stimuli: table with `stimulus_id` and `text` or `image`, or a folder of pictures, by the numbers in their names.
        about: what it is.
        responses: subject -> .npy, .safetensors or table (repeats x stimuli x voxels are averaged and kept); or its
            `Images`, with their atlas, table of presentations and the way back to the brain.
        rois: subject -> table with `roi` [, `ceiling`] [, more columns], one row per voxel; matched by a column `voxel`
            where the responses' columns have names and the table has it, else in order.
        geometries: (subject, ROI) -> .npy or table with an RDM, stimuli x stimuli (see `read_geometry`).
        split: how stimuli are split into folds; default 5 shuffled folds.
        metrics: default ridge encoding, or RSA and debiased CKA where there are RDMs.
        drop_bad: leave out voxels that hold NaN, are constant (of images: within a run), or have no ROI; otherwise
            they are refused.

    Raises:
        DataError: anything that does not fit; names the file and the row.
    """
    split, responses, geometries = split or Split(), responses or {}, geometries or {}
    if about.ceiling is not None and not responses:
        raise DataError("a ceiling is given, but there are no responses; that of RDMs is made from their sessions")
    table = read_stimulus_table(stimuli)
    refuse_other_subjects(responses, rois or {}, geometries)
    check_ids(table.ids, str(stimuli))
    refuse_other_pictures(responses, table.ids)
    known, seen = table.ids, _seen(table, responses, geometries, split)
    table = seen_by_all(table, responses) if seen is None else seen_by_any(table, seen.values())
    order = _order(table, split)
    rules = about.rules(drop_bad=drop_bad)
    subjects = _subjects(order, responses, rois or {}, known=known, seen=seen, rules=rules)
    orders = {key: order if seen is None else order.only(seen[key[0]]) for key in sorted(geometries, key=_by_names)}
    rdms = [read_geometry(about.name, key, geometries[key], mine) for key, mine in orders.items()]
    stimulus_set, folds = split_stimuli(stimuli, about.name, table, order, split, seen)
    extras = {subject.assembly.subject: subject.extras for subject in subjects}
    assemblies = tuple(subject.assembly for subject in subjects)
    benchmark = benchmark_of(
        about,
        stimuli=stimulus_set,
        assemblies=(*with_ceilings(about, assemblies, extras), *(rdm for rdm, _ in rdms)),
        metrics=tuple(metrics) if metrics else (RSA(), CKA()) if rdms else (Ridge(),),
        folds=folds,
        own_stimuli=split.own,
    )
    return Built(
        benchmark=benchmark,
        extras=extras,
        stimulus_columns=_columns(stimuli, table, order, split),
        dropped=tuple(entry for subject in subjects for entry in subject.dropped),
        notes=(
            *chain(*(subject.notes for subject in subjects), *(notes for _, notes in rdms)),
            *same_data(benchmark.assemblies),
            *_orders(table, [*responses.values(), *geometries.values()]),
            *said_of(seen, known, table.ids),
            *_unused(table, split),
        ),
    )


def benchmark_of(about: About, *, said: str = "", **parts: Any) -> Benchmark:
    """A benchmark that is what `about` says, and whose metrics can use it.

    Raises:
        DataError: parts that do not fit each other, or a metric that cannot use them.
    """
    made = Benchmark(
        name=about.name,
        version=about.version,
        citation=about.citation,
        licence=about.licence,
        about=f"{about.about} {said}".strip(),
        simulated=about.simulated,
        primary=about.primary,
        **parts,
    )
    made.prepare()
    return made


def with_ceilings(about: About, assemblies: tuple[Assembly, ...], extras: Mapping[str, Extras]) -> tuple[Assembly, ...]:
    """The assemblies; with ceilings from each other where these are asked for."""
    return with_between(assemblies, extras) if about.ceiling == BETWEEN else assemblies


def _order(table: StimulusTable, split: Split) -> StimulusOrder:
    """By id, but for folds that are blocks in the table's order."""
    rows = range(len(table.ids))
    by_id = rows if split.how == "contiguous" else sorted(rows, key=lambda row: natural_key(table.ids[row]))
    return StimulusOrder(table=table.ids, rows=tuple(by_id))


def _seen(
    table: StimulusTable,
    responses: Mapping[str, Path | Images],
    geometries: Mapping[tuple[str, str], Path],
    split: Split,
) -> dict[str, set[str]] | None:
    """Subject -> what it saw, where each is scored on its own stimuli."""
    if not split.own:
        return None
    if any(isinstance(given, Images) and given.shared for given in responses.values()):
        raise DataError("stimuli are those that all saw (--shared), or each subject's own (--own-stimuli); choose one")
    return who_saw(responses, geometries, table.ids)


def _by_names(key: tuple[str, str]) -> tuple[Any, ...]:
    return tuple(map(natural_key, key))


def _orders(table: StimulusTable, given: Sequence[Path | Images]) -> tuple[tuple[str, str], ...]:
    """Which order is taken for rows without ids beside a folder of pictures, which has none of its own.

    Raises:
        DataError: names of pictures that only zeros tell apart leave their order open.
    """
    files = table.files
    without = [path for path in given if files and isinstance(path, Path) and not has_ids(path)]
    for one, other in pairwise(files) if without else ():
        if natural_key(Path(one).stem)[0] == natural_key(Path(other).stem)[0]:
            raise DataError(
                f"the rows of {without[0].name} have no ids, and pictures {one} and {other} are one number, so that "
                "their order is not known; give a table of stimuli, or one of responses with stimulus_id"
            )
    return tuple(
        (
            "order",
            f"rows of {path.name} in the order of the pictures: {len(files)} files, {files[0]} to {files[-1]}, numbers "
            "in their names by value",
        )
        for path in without
    )


def _unused(table: StimulusTable, split: Split) -> tuple[tuple[str, str], ...]:
    """Columns of the stimulus table that say how to fold, and were not asked for; a folder has its own of that name."""
    used = {split.groups, "fold" if split.how == "column" else None}
    return tuple(
        ("not used", f"column {name!r} of the stimuli, which the folder leaves out; to fold by it say {option}")
        for name, option in (("fold", "--folds column"), ("group", "--groups group"))
        if name in table.columns and name not in used
    )


def _subjects(
    order: StimulusOrder,
    responses: Mapping[str, Path | Images],
    rois: Mapping[str, Path],
    *,
    known: Sequence[str],
    seen: Mapping[str, set[str]] | None,
    rules: AssemblyRules,
) -> list[Subject]:
    check_rois(responses, rois)
    for subject in rois:
        if isinstance(responses[subject], Images):
            raise DataError(f"ROIs are given for {subject!r}, which has images; their ROIs are those of the atlas")
    out = []
    for subject in sorted(responses, key=natural_key):
        given, mine = responses[subject], order if seen is None else order.only(seen[subject])
        if isinstance(given, Images):
            out.append(read_images(subject, given, order=mine, known=known, rules=rules))
        else:
            out.append(read_subject(subject, given, rois.get(subject), order=mine, rules=rules))
    return out


def _columns(path: Path, table: StimulusTable, order: StimulusOrder, split: Split) -> dict[str, Any]:
    """Columns that no other column of the folder says again; groups under their own name too."""
    used = {"fold", "group"} if split.groups is None else {"fold", "group", split.groups}
    kept = {name: typed(values) for name, values in table.columns.items() if name not in used}
    if split.groups not in (None, "group"):
        kept[str(split.groups)] = np.array(
            Sheet(path=path, columns=table.columns).labels(str(split.groups)), dtype=object
        )
    return {name: values[list(order.rows)] for name, values in kept.items()}
