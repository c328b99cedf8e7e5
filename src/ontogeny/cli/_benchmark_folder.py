"""What `ontogeny data build | show | verify` print of a benchmark folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny._display import fitted
from ontogeny.cli._output import print_table, say

if TYPE_CHECKING:
    from ontogeny.benchmarks import Benchmark

__all__ = ["show_folder", "verify_here"]

_ROWS_SHOWN = 40


def show_folder(folder: Path) -> None:
    """A table of subjects and ROIs, then stimuli, folds, metrics, what was dropped, and whom to cite."""
    from ontogeny.datasets.folder.benchmark_json import read_manifest
    from ontogeny.datasets.folder.read_folder import read_benchmark

    benchmark = read_benchmark(folder)
    facts = read_manifest(folder).facts
    kind = "SIMULATED" if benchmark.simulated else "real"
    _say(f"{benchmark.name} {benchmark.version} ({kind} data), fingerprint {benchmark.fingerprint()}")
    _say(benchmark.about)
    say()
    print_table(_region_rows(benchmark))
    say()
    stimuli = benchmark.stimuli
    groups = "" if stimuli.groups is None else f", {len(set(stimuli.groups))} groups"
    _say(f"  stimuli    {len(stimuli)} {stimuli.modality}s{groups}")
    if benchmark.pieces is not None:
        _say(f"  read       {benchmark.pieces.how}")
    for subject, n in benchmark.describe("").get("own_stimuli", {}).items():
        _say(f"  saw        subject {subject}: {n} of these stimuli")
    rdms = [one.subject for one in benchmark.assemblies if not hasattr(one, "responses")]
    if rdms:
        n = len(set(rdms))
        _say(f"  geometries {len(rdms)} RDM{'s' * (len(rdms) > 1)}, of {n} subject{'s' * (n > 1)}")
    _say(f"  folds      {benchmark.folds.how}")
    _say(f"  metrics    {', '.join(metric.name for metric in benchmark.metrics)}")
    sources = [a.ceiling_source for a in benchmark.assemblies if hasattr(a, "responses") or a.ceiling is not None]
    for source in dict.fromkeys(sources):
        _say(f"  ceiling    {source}")
    for entry in facts["assemblies"]:
        if "made_by" in entry:
            _say(f"  made by    subject {entry['subject']}: {entry['made_by']}")
    for entry in facts["dropped"]:
        _say(f"  dropped    subject {entry['subject']}: {len(entry['voxels'])} voxels, {entry['why']}")
    _say(f"  cite       {benchmark.citation}")
    _say(f"  terms      {benchmark.licence}")


def _say(line: str) -> None:
    say("\n".join(fitted([line])))


def _region_rows(benchmark: Benchmark) -> list[tuple[str, ...]]:
    from ontogeny.brain import targets

    rows: list[tuple[str, ...]] = [("SUBJECT", "ROI", "VOXELS", "CEILING (mean r, min-max)")]
    for target in (t for part in benchmark.parts() for t in targets(part.assemblies, part.stimuli.ids)):
        ceiling = target.ceiling
        bounds = "not known" if target.rdm is None else "a geometry: bounds over subjects"
        if ceiling is not None:
            bounds = f"{ceiling.mean():.3f} ({ceiling.min():.3f}-{ceiling.max():.3f})"
        size = str(target.n_voxels) if target.rdm is None else "RDM"
        rows.append((target.subject, target.roi, size, bounds))
    more = len(rows) - 1 - _ROWS_SHOWN
    return rows if more <= 0 else [*rows[: _ROWS_SHOWN + 1], (f"... and {more} more", "", "", "")]


def verify_here(folder: Path) -> int:
    """Say what is wrong with a folder; 2 if anything is."""
    from ontogeny.datasets.folder import verify_folder

    problems = verify_folder(folder)
    for problem in problems:
        say(f"WRONG    {problem.where}: {problem.what}")
    if not problems:
        say(f"right    {folder}: every file has its sha256, all ids match, nothing is NaN or constant")
    return 2 if problems else 0
