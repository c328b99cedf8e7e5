"""Doctor: before training, say what a monitor will read, whether stimuli and responses fit, and what a probe costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ontogeny._display import number
from ontogeny.benchmarks import PreparedBenchmark
from ontogeny.benchmarks.diagnostics.power import Detectability, detectability, effective_stimuli, least_correlation
from ontogeny.benchmarks.diagnostics.row_alignment import pairings
from ontogeny.benchmarks.diagnostics.split_leakage import split_leak
from ontogeny.brain import Assembly, Geometry, Target
from ontogeny.brain.noise_ceiling import LOWEST
from ontogeny.errors import TooLargeError
from ontogeny.extraction import Probe
from ontogeny.extraction.features import Site
from ontogeny.extraction.process_group import SINGLE_PROCESS
from ontogeny.monitoring.preflight_report import ANYTHING, Obstacle, PreflightReport, failure, obstacle, ways
from ontogeny.monitoring.rehearsal_report import rehearse
from ontogeny.monitoring.snapshot import EVERYTHING, TASK
from ontogeny.record import Event, Row, Score

if TYPE_CHECKING:
    from ontogeny.monitoring.monitor import Monitor

__all__ = ["MORE", "describe_benchmark", "preflight"]

MORE = "more       details=True (--details) shows pairing, split, power, and how the model is read"


def describe_benchmark(prepared: PreparedBenchmark, *, details: bool = True) -> list[str]:
    """Can it be relied on? Then stimuli, metrics, regions and their ceilings, and what speaks against it; a line each.

    Args:
        prepared: the benchmark.
        details: statistics too: pairing and split also where nothing is wrong, power, what could be seen.
    """
    benchmark, cut = prepared.benchmark, prepared.targets
    kind = "SIMULATED" if benchmark.simulated else "real"
    parts = prepared.parts or (prepared,)
    doubts, described = [], []
    for part in parts:
        found, lines = _describe_stimuli(
            part, of="" if part is prepared else ", ".join({t.subject for t in part.targets}), details=details
        )
        doubts += found
        described += lines
    lines = [
        f"{benchmark.name}: {_reliable(doubts)}",
        f"{benchmark.name} {benchmark.version} ({kind} data), fingerprint {prepared.fingerprint}",
        f"  stimuli    {len(benchmark.stimuli)} {benchmark.stimuli.modality}s, {benchmark.folds.how}",
        f"  metrics    {', '.join(m.name for m in benchmark.metrics)}",
    ]
    if benchmark.pieces is not None:
        lines.insert(3, f"  read       {benchmark.pieces.how}")
    lines += described
    seen = detectability(prepared) if details else []
    for roi in dict.fromkeys(t.roi for t in cut):
        about = _describe_roi(roi, [t for t in cut if t.roi == roi], benchmark.assemblies)
        lines.append(f"  ROI        {about}")
        lines += [f"             {_describe_visible(one)}" for one in seen if one.roi == roi]
    return lines


def _reliable(doubts: Sequence[str]) -> str:
    """The verdict, before the reasons."""
    if not doubts:
        return "can be relied on, as far as can be seen from its files"
    counts = Counter(doubts)
    reasons = "; ".join(f"{doubt} ({n} subjects)" if n > 1 else doubt for doubt, n in counts.items())
    return f"check it before you rely on it: {reasons}"


def _describe_stimuli(prepared: PreparedBenchmark, *, of: str, details: bool) -> tuple[list[str], list[str]]:
    """What speaks against them; pairing, split and power: of all stimuli, or of those that some subjects saw."""
    benchmark, cut = prepared.benchmark, prepared.targets
    paired, (leaks, split) = pairings(cut, benchmark.surface()[1]), _leak(prepared)
    doubts = [*(doubt for one in paired if (doubt := one.doubt)), *leaks]
    lines = [f"  saw        subject {of}: {len(benchmark.stimuli)} of these stimuli"] if of else []
    lines += [f"  pairing    {pairing.line()}" for pairing in paired if details or pairing.doubt]
    lines += [f"  split      {line}" for line in split if details or leaks]
    if not details:
        return doubts, lines
    n = effective_stimuli(benchmark.stimuli, cut)
    return doubts, [
        *lines,
        f"  power      effective n = {n:.0f} stimuli; minimum detectable r = {least_correlation(n):.3f} in one voxel "
        "(80 % power, one-sided 5 %); less in means over voxels and subjects:",
    ]


def _leak(prepared: PreparedBenchmark) -> tuple[list[str], list[str]]:
    """Whether folds leak, and what position alone scores; nothing where there is no split."""
    benchmark = prepared.benchmark
    try:
        found = split_leak(benchmark.stimuli, prepared.targets, benchmark.folds)
    except TooLargeError as error:
        return [], [f"not examined: {error}"]
    return (["the folds leak"] if found and found.leaks else []), ([found.line()] if found else [])


def _describe_visible(one: Detectability) -> str:
    surface = "" if one.surface is None else f"{one.surface_name} alone {number(one.surface, '.3f')}, "
    bounds = " to ".join(f"{number(bound, '.3f')}" for bound in (one.ceiling_lower, one.ceiling) if bound is not None)
    low = one.ceiling is not None and one.ceiling < LOWEST
    surface = f"ceiling {bounds or 'not known'}{' (about 0: nothing is divided by it)' if low else ''}, {surface}"
    chance = number(one.chance, ".3f")
    return f"{one.metric}: {surface}random features {chance} ± {one.spread:.3f}, detectable above {one.least:.3f}"


def _describe_roi(roi: str, targets: list[Target], assemblies: Sequence[Assembly | Geometry]) -> str:
    voxels = [t.n_voxels for t in targets]
    size = f"{min(voxels)}-{max(voxels)} voxels" if min(voxels) < max(voxels) else f"{voxels[0]} voxels"
    form = "a geometry" if targets[0].rdm is not None else size
    who = f"{len(targets)} subject{'' if len(targets) == 1 else 's'}"
    return f"{roi}: {who}, {form}, ceiling {_sources(targets, assemblies)}"


def _sources(targets: list[Target], assemblies: Sequence[Assembly | Geometry]) -> str:
    """Mean of the voxels' own and how they were made, or why there are none; else those of metrics on subjects."""
    subject_ids = {t.subject for t in targets}
    ceiling_sources = dict.fromkeys(
        a.ceiling_source for a in assemblies if isinstance(a, Assembly) and a.subject in subject_ids
    )
    sources = "; ".join(source for source in ceiling_sources if source != "not known")
    known = [float(np.mean(t.ceiling)) for t in targets if t.ceiling is not None]
    if known:
        return f"r = {number(float(np.mean(known)), '.3f')} ({sources or 'how it was made is not known'})"
    others = "from the other subjects, where a metric compares them" if len(targets) > 1 else "not known: one subject"
    return sources or others


def preflight(
    monitor: Monitor, model: nn.Module, *, addresses: Mapping[str, str] | None = None, details: bool = False
) -> PreflightReport:
    """Probe once, write nothing, and report; whatever the model, tokenizer or transform raises is a finding.

    Args:
        monitor: as it will be used in training.
        model: the model to be trained; it is left as it was.
        addresses: see `ways`.
        details: statistics of the benchmarks and how the model is read too, as where something stands in the way.

    Returns:
        Benchmarks, layers with sizes, scores now, refusals, seconds a probe; what stands in the way; lines to copy.
    """
    how: list[str] = []
    try:
        found, readable = rehearse(monitor.watched, model, SINGLE_PROCESS)
        how += ["", "how the model is read", *(f"  {line}" for line in found)]
        rows = monitor.measure(model, 0) if readable else None
    except ANYTHING as error:
        rows, how = None, [*how, "", f"not read   {failure(error)}"]
    obstacles = _obstacles(monitor, model, rows)
    details = details or bool(obstacles)
    lines = [line for one in monitor.watched for line in describe_benchmark(one.benchmark, details=details)]
    lines += [*(how if details else ()), *(_measured(rows) if rows is not None else ())]
    lines += [] if details else [MORE]
    options = _options(monitor) | {name: value for one in obstacles for name, value in one.options.items()}
    benchmarks = {w.benchmark.benchmark.name: w.benchmark.benchmark.read.modality for w in monitor.watched}
    return PreflightReport(lines=tuple(lines), obstacles=obstacles, ways=ways(benchmarks, options, addresses=addresses))


def _measured(rows: list[Row]) -> list[str]:
    """Layers with their scores, refusals, task and cost."""
    scores = [row for row in rows if isinstance(row, Score)]
    lines = ["", "layers read, and their best score now (mean over subjects)"]
    for kinds in (("alignment",), ("baseline", "control")):
        of_kind = [row for row in scores if row.kind in kinds and "permuted" not in row.layer]
        for site, group in _by_site(of_kind).items():
            best = max(_means(group).items(), key=lambda item: item[1], default=("no value", float("nan")))
            name = str(site) if kinds == ("alignment",) else site.layer
            lines.append(f"  {name:<44} {group[0].n_features:>6} features   {number(best[1], '+.3f')}  {best[0]}")
    lines += [f"  refused: {r.layer} {r.metric}: {r.note}" for r in rows if r.kind == "refusal"]
    tasks = [(row, row.value) for row in scores if row.kind == "task" and row.value is not None]
    lines += [f"task       {r.metric} {number(v, '.4f')} {r.unit} (n = {r.n_stimuli})" for r, v in tasks]
    if not any(r.kind == "task" for r in scores):
        lines.append("task       none: pass task=HeldOutLoss(...), so that alignment has a task to be compared with")
    seconds = next(r.value for r in rows if isinstance(r, Event) and r.kind == "probe")
    return [*lines, f"cost       one probe takes {seconds:.2f} s"]


def _obstacles(monitor: Monitor, model: nn.Module, rows: list[Row] | None) -> tuple[Obstacle, ...]:
    """What stands in the way; each probe that gave nothing is read again, to find the stimulus."""
    found: list[Obstacle] = []
    unread = [r for r in rows or () if r.kind == "refusal" and r.layer in (EVERYTHING, TASK)]
    if rows is None or any(r.layer == EVERYTHING for r in unread):
        probes = [probe for w in monitor.watched for probe in w.probes]
        found += [obstacle(probe, model, error) for probe in probes if (error := _error(probe, model)) is not None]
    found += [Obstacle(what=f"the task failed: {r.note}") for r in unread if r.layer == TASK]
    if not found and not any(r.kind == "alignment" for r in rows or ()):
        found.append(Obstacle(what="no layer can be scored; the lines above say why for each"))
    return tuple(found)


def _error(probe: Probe, model: nn.Module) -> BaseException | None:
    try:
        probe(model)
    except ANYTHING as error:
        return error
    return None


def _options(monitor: Monitor) -> dict[str, Any]:
    """How the first benchmark is read, where that is not the default."""
    probe = monitor.watched[0].probe
    defaults = {f.name: f.default for f in fields(Probe)}
    names = ("layers", "pooling", "batch_size", "module", "call", "truncation", "image_type")
    probe_values = {name: getattr(probe, name) for name in names}
    return {name: value for name, value in probe_values.items() if value != defaults[name] and value not in ((), [])}


def _by_site(rows: list[Score]) -> dict[Site, list[Score]]:
    out: dict[Site, list[Score]] = {}
    for row in rows:
        out.setdefault(Site(row.layer, row.pooling), []).append(row)
    return out


def _means(rows: list[Score]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.value is not None:
            found.setdefault(f"{row.roi}, {row.metric}", []).append(row.value)
    return {name: float(np.mean(values)) for name, values in found.items()}
