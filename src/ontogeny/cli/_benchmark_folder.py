"""`ontogeny data build | export`, and what `show` and `verify` say of a benchmark folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.cli._image_options import add_images, given_images
from ontogeny.errors import ConfigError

if TYPE_CHECKING:
    from ontogeny.benchmarks import Benchmark
    from ontogeny.brain import Assembly

__all__ = ["add_build", "add_export", "show_folder", "verify_here"]

_BUILD = """\
From plain tables, or from images of the brain, to a verified benchmark folder, which every command and callback takes
in place of a name.

  ontogeny data build my-benchmark --stimuli stimuli.csv \\
      --responses s1=s1.npy s2=s2.npy --rois s1=s1_rois.csv s2=s2_rois.csv \\
      --citation "Us (2026)" --licence CC-BY-4.0 --about "How the responses were made."

  ontogeny data build my-benchmark --stimuli images/ --table sub-01_events.tsv \\
      --betas sub-01_stat-beta_statmap.nii.gz --atlas sub-01_dseg.nii.gz \\
      --citation "Us (2026)" --licence CC-BY-4.0 --about "How the betas were made."

  ontogeny data build my-benchmark --bids derivatives/ --stimuli images/ ...      all subjects, found by their names

stimuli    .csv, .tsv or .parquet with stimulus_id and text, or stimulus_id and image (paths beside the table); or a
           folder of pictures, called by their file names and ordered by the numbers in them (2.png before 10.png);
           photographs are turned as their EXIF says. Other columns are kept.
responses  .npy or .safetensors (tensor "responses"), stimuli x voxels with rows in the order of the stimuli, or
           repeats x stimuli x voxels (NaN where a stimulus has fewer repeats): the mean is scored, the repeats are
           kept. Or a table with stimulus_id and one column a voxel: then rows are matched by id. Columns without a
           name, and those that tables use otherwise (onset, run, repeat, ...), are no voxels; what was taken is listed.
rois       a table with one row a voxel: roi [, ceiling] [, x, y, z, ...]; empty and 0 are no region. Without a table
           all voxels are one ROI.
geometry   in place of voxels: SUBJECT:ROI=rdm.npy, stimuli x stimuli; the vector of its pairs, as pdist gives it; or
           sessions x stimuli x stimuli, of which the mean is taken. A diagonal that is not 0 (crossnobis) is set to 0.
images     4-D NIfTI (or CIFTI, GIFTI) with one volume a row of the table; each voxel is z-scored within run, repeats
           are averaged and kept. A run is of a subject, session, task, acquisition and run (sub-, ses-, task-, acq-,
           run- in the names of images and tables, or columns of the table); images and tables must agree. The folder
           remembers where each voxel lies: `ontogeny map` paints scores back.

Responses are stored as float32. The same inputs give the same bytes, in whatever order the stimuli come (only for
contiguous folds does their order count). Everything that does not fit is refused by name.
"""
_ROWS_SHOWN = 40
_EXPORT = """\
  datasets     OUT/: Parquet and a dataset card, as the Hugging Face hub lays them out. It is a benchmark folder too.
  rsatoolbox   OUT/: one .h5 a subject (Dataset), and rdms.h5 (RDMs) where there are geometries
  xarray       OUT/: one .nc a subject, dimensions presentation x neuroid as in Brain-Score
"""


def add_build(verbs: Any) -> None:
    """Add `ontogeny data build`."""
    parser = verbs.add_parser(
        "build",
        help="your own tables -> a benchmark folder",
        description=_BUILD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.add_argument("--stimuli", type=Path, help="table, or folder of pictures (with --bids: DIR/stimuli)")
    parser.add_argument("--responses", nargs="+", default=[], metavar="SUBJECT=FILE", help="one file a subject")
    parser.add_argument("--rois", nargs="+", default=[], metavar="SUBJECT=TABLE", help="one row a voxel")
    parser.add_argument("--geometry", nargs="+", default=[], metavar="SUBJECT:ROI=FILE", help="RDMs instead of voxels")
    for name, what in (
        ("name", "stable name; part of every score's key (default: the folder's)"),
        ("citation", "whom to cite"),
        ("licence", "under which terms the data come"),
        ("about", "how the responses were made, one paragraph"),
    ):
        parser.add_argument(f"--{name}", default="", help=what)
    parser.add_argument("--version", default="1", help="grows when scores change (default: 1)")
    parser.add_argument("--simulated", action="store_true", help="the responses were computed, not measured")
    parser.add_argument(
        "--ceiling",
        type=_r_or_method,
        metavar="R|ncsnr|split-half",
        help="highest Pearson r the noise allows, one for all voxels, or how it is made from repeats (default: the "
        "ROI table's column, else ncsnr where there are repeats)",
    )
    parser.add_argument("--ceiling-source", default="given with the data", help="how ceilings were made")
    parser.add_argument("--groups", metavar="COLUMN", help="stimulus column with groups that folds must not split")
    parser.add_argument(
        "--folds",
        choices=["shuffled", "groups", "contiguous", "column"],
        help="shuffled: stimuli are independent of each other (default); groups: never split (default with --groups); "
        "contiguous: blocks in the table's order; column: the stimulus column `fold`",
    )
    parser.add_argument("--n-folds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of shuffled folds (default: 0)")
    parser.add_argument("--metrics", nargs="+", default=[], help="ridge, rsa, cka, cknna, mutual-knn, cycle-knn")
    add_images(parser)
    parser.add_argument("--drop-bad-voxels", action="store_true", help="leave out NaN, constant and unlabelled voxels")
    parser.add_argument("--overwrite", action="store_true", help="replace a benchmark folder that is there")
    parser.set_defaults(run=_build)


def add_export(verbs: Any) -> None:
    """Add `ontogeny data export`."""
    parser = verbs.add_parser(
        "export",
        help="a benchmark -> other libraries' layouts",
        description=_EXPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="benchmark folder, or a name (see `ontogeny data list`)")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--to", required=True, choices=["datasets", "rsatoolbox", "xarray"], help="layout")
    parser.set_defaults(run=_export)


def _say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _pairs(option: str, given: Sequence[str]) -> dict[str, Path]:
    out: dict[str, Path] = {}
    for text in given:
        key, equals, file = text.partition("=")
        if not equals or not key or not file:
            raise ConfigError(f"--{option}: expected SUBJECT=FILE, got {text!r}")
        if key in out:
            raise ConfigError(f"--{option}: {key!r} is given twice")
        out[key] = Path(file)
    return out


def _geometries(given: Sequence[str]) -> dict[tuple[str, str], Path]:
    out = {}
    for key, file in _pairs("geometry", given).items():
        subject, colon, roi = key.partition(":")
        if not colon:
            raise ConfigError(f"--geometry: expected SUBJECT:ROI=FILE, got {key!r}={str(file)!r}")
        out[subject, roi] = file
    return out


def _build(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets.folder.metrics_json import metric_from_json
    from ontogeny.datasets.own_data.bids_derivatives import bids_facts
    from ontogeny.datasets.own_data.build_benchmark import About, Split, build

    images, facts = given_images(arguments), {} if arguments.bids is None else bids_facts(arguments.bids)
    built = build(
        _stimuli(arguments),
        about=About(
            name=arguments.name or arguments.folder.resolve().name,
            citation=arguments.citation or facts.get("citation", ""),
            licence=arguments.licence or facts.get("licence", ""),
            about=arguments.about,
            version=arguments.version,
            simulated=arguments.simulated,
            ceiling=arguments.ceiling,
            ceiling_source=arguments.ceiling_source,
        ),
        responses={**_pairs("responses", arguments.responses), **images},
        rois=_pairs("rois", arguments.rois),
        geometries=_geometries(arguments.geometry),
        split=Split(
            how=arguments.folds or ("groups" if arguments.groups else "shuffled"),
            groups=arguments.groups,
            n_folds=arguments.n_folds,
            seed=arguments.seed,
        ),
        metrics=[metric_from_json({"metric": name}, "--metrics") for name in arguments.metrics],
        drop_bad=arguments.drop_bad_voxels,
    )
    folder = built.write(arguments.folder, overwrite=arguments.overwrite)
    show_folder(folder)
    for word, note in built.notes:
        _say(f"{word:<12} {note}")
    return verify_here(folder)


def _stimuli(arguments: argparse.Namespace) -> Path:
    if arguments.stimuli is None and arguments.bids is None:
        raise ConfigError("--stimuli is missing: a table of stimuli, or a folder of pictures")
    found: Path = arguments.bids / "stimuli" if arguments.stimuli is None else arguments.stimuli
    return found


def show_folder(folder: Path) -> None:
    """A table of subjects and ROIs, then stimuli, folds, metrics, what was dropped, and whom to cite."""
    from ontogeny.datasets.folder.benchmark_json import read_manifest
    from ontogeny.datasets.folder.read_folder import read_benchmark

    benchmark = read_benchmark(folder)
    facts = read_manifest(folder).facts
    kind = "SIMULATED" if benchmark.simulated else "real"
    _say(f"{benchmark.name} {benchmark.version} ({kind} data), fingerprint {benchmark.fingerprint()}")
    _say(benchmark.about)
    _say()
    _table(_region_rows(benchmark))
    _say()
    stimuli = benchmark.stimuli
    groups = "" if stimuli.groups is None else f", {len(set(stimuli.groups))} groups"
    _say(f"stimuli      {len(stimuli)} {stimuli.modality}s{groups}")
    _say(f"folds        {benchmark.folds.how}")
    _say(f"metrics      {', '.join(metric.name for metric in benchmark.metrics)}")
    for source in dict.fromkeys(a.ceiling_source for a in _voxels(benchmark)):
        _say(f"ceiling      {source}")
    for entry in facts["assemblies"]:
        if "made_by" in entry:
            _say(f"made by      subject {entry['subject']}: {entry['made_by']}")
    for entry in facts["dropped"]:
        _say(f"dropped      subject {entry['subject']}: {len(entry['voxels'])} voxels, {entry['why']}")
    _say(f"please cite  {benchmark.citation}")
    _say(f"terms        {benchmark.licence}")


def _voxels(benchmark: Benchmark) -> list[Assembly]:
    from ontogeny.brain import Assembly

    return [assembly for assembly in benchmark.assemblies if isinstance(assembly, Assembly)]


def _region_rows(benchmark: Benchmark) -> list[tuple[str, ...]]:
    from ontogeny.brain import targets

    rows: list[tuple[str, ...]] = [("SUBJECT", "ROI", "VOXELS", "CEILING (mean r, min-max)")]
    for target in targets(benchmark.assemblies, benchmark.stimuli.ids):
        ceiling = target.ceiling
        bounds = "not known" if target.rdm is None else "a geometry: bounds over subjects"
        if ceiling is not None:
            bounds = f"{ceiling.mean():.3f} ({ceiling.min():.3f}-{ceiling.max():.3f})"
        size = str(target.n_voxels) if target.rdm is None else "RDM"
        rows.append((target.subject, target.roi, size, bounds))
    more = len(rows) - 1 - _ROWS_SHOWN
    return rows if more <= 0 else [*rows[: _ROWS_SHOWN + 1], (f"... and {more} more", "", "", "")]


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def verify_here(folder: Path) -> int:
    """Say what is wrong with a folder; 2 if anything is."""
    from ontogeny.datasets.folder import verify_folder

    problems = verify_folder(folder)
    for problem in problems:
        _say(f"WRONG    {problem.where}: {problem.what}")
    if not problems:
        _say(f"right    {folder}: every file has its sha256, all ids match, nothing is NaN or constant")
    return 2 if problems else 0


def _export(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets import interchange

    written = interchange.export(arguments.name, arguments.out, to=arguments.to)
    for path in written:
        _say(f"wrote {path}")
    return 0


def _r_or_method(text: str) -> float | str:
    from ontogeny.brain.noise_ceiling import METHODS

    return text if text in METHODS else float(text)
