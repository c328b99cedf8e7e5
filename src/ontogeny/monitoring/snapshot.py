"""Snapshot: all that one probe takes from the model; once it is taken, the model may train on while it is scored.

The one way from weights to rows, of a callback, a plain loop and a replay alike: `take_snapshot`, then `score`, then
`Recorder.write`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ontogeny._display import one_line
from ontogeny._messages import has_to_pass
from ontogeny.benchmarks.controls import DEFAULT
from ontogeny.errors import ProbeError
from ontogeny.extraction import Features, Probe
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction.features import Site
from ontogeny.extraction.fsdp1 import gathered
from ontogeny.extraction.isolation import NotYetError, observing
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.preserved import LeftBehindError, preserved
from ontogeny.extraction.process_group import LostRankError, ProcessGroup, is_sharded
from ontogeny.extraction.weights import deployed_weights, weights_hash
from ontogeny.metrics.batching import METRIC_FAILED
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.heldout.loss import Measured, Task
from ontogeny.record import Row, Score
from ontogeny.record.event import Event, refusal_of
from ontogeny.record.progress import Seen, progress_events

__all__ = ["FeatureCache", "ScoredSnapshot", "Snapshot", "constants", "score", "take_snapshot"]

EVERYTHING = "(every layer)"
TASK = "(task)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One probe's readings, on the rank that scores; on the others the step alone.

    Args:
        step: optimizer updates done.
        weights: hash of the weights that were read.
        deployed: whether they are those that a schedule-free optimizer would deploy.
        features: one per probe, of all watched benchmarks.
        task: held-out values at the same weights.
        task_failed: why there are none, where the task failed.
        seconds: how long reading took.
        stages: the same by what it was for: "hash", "forward", "task".
        seen: tokens and epochs by then, where the trainer knows.
    """

    step: int
    weights: str = ""
    deployed: bool = False
    features: tuple[Features, ...] = ()
    task: tuple[Measured, ...] = ()
    task_failed: str = ""
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict, repr=False)
    seen: Seen = field(default_factory=dict)

    __repr__ = one_line

    def notes(self) -> tuple[str, ...]:
        """How the model was read: precision, and what was unusual; each once."""
        deployed = ("as a schedule-free optimizer deploys them",) if self.deployed else ()
        return (*deployed, *dict.fromkeys(note for features in self.features for note in features.notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSnapshot:
    """The rows of a snapshot, on their way to the record.

    Args:
        step: optimizer updates done.
        weights: hash of the weights that were read.
        notes: how the model was read.
        rows: scores, refusals and progress.
        seconds: for reading and scoring; of what was scored beside a training, for which it held that up.
        stages: the same by what it was for: "hash", "forward", "task", "score".
    """

    step: int
    weights: str
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = field(default=(), repr=False)
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict, repr=False)

    __repr__ = one_line

    @property
    def failed(self) -> dict[str, str]:
        """Why there are no values of the task, and of each metric, whose own code failed; by name."""
        refused = [row for row in self.rows if isinstance(row, Event) and row.kind == "refusal"]
        failures = [row for row in refused if row.layer == TASK or row.note.startswith(METRIC_FAILED)]
        return {"the task" if row.layer == TASK else f"metric {row.metric!r}": row.note for row in failures}


@runtime_checkable
class FeatureCache(Protocol):
    """Where features are kept that were read before."""

    def features(self, probe: Probe, model: nn.Module, weights: str) -> Features:
        """What the probe reads from the model with weights of this hash: looked up, or read now and kept."""
        ...


@held
def take_snapshot(
    model: nn.Module,
    step: int,
    watched: Sequence[BenchmarkProbe],
    task: Task | None,
    *,
    ranks: ProcessGroup,
    optimizers: Sequence[Any] = (),
    kept: FeatureCache | None = None,
) -> Snapshot:
    """Read the model by every rank together.

    Args:
        model: at the weights to be read.
        step: optimizer updates done.
        watched: what is read.
        task: what is measured at the same weights.
        ranks: who reads.
        optimizers: of the model; a schedule-free one is asked for the weights that it would deploy.
        kept: where features are looked up first; for a reader who is alone.

    Raises:
        ProbeError: the model cannot be read for any benchmark; on every rank, also where another one failed.
    """
    times = [time.perf_counter()]
    with deployed_weights(optimizers) as deployed, gathered(model, ranks.timeout), preserved(plain_model(model)):
        hashes = ranks.each(lambda: at_once(weights_hash, model))
        times.append(time.perf_counter())
        take = (lambda probe: kept.features(probe, model, hashes[0])) if kept is not None else _taker(model, ranks)
        features = _features([probe for w in watched for probe in w.probes], take)
        times.append(time.perf_counter())
        measured, task_failed = _measure(model, task, ranks)
    if not hashes:
        return Snapshot(step=step)
    times.append(time.perf_counter())
    return Snapshot(
        step=step,
        weights=hashes[0],
        deployed=deployed,
        features=features,
        task=measured,
        task_failed=task_failed,
        seconds=times[-1] - times[0],
        stages=dict(zip(("hash", "forward", "task"), (b - a for a, b in pairwise(times)), strict=True)),
    )


def _taker(model: nn.Module, ranks: ProcessGroup) -> Callable[[Probe], Features]:
    return lambda probe: probe(model, ranks)


def _features(probes: Sequence[Probe], take: Callable[[Probe], Features]) -> tuple[Features, ...]:
    """Of each probe; one that cannot read the model is refused by name as long as another one can.

    Raises:
        ProbeError: none can.
    """
    found: list[Features] = []
    failed: list[ProbeError] = []
    for probe in probes:
        try:
            found.append(take(probe))
        except (LeftBehindError, LostRankError, NotYetError):
            raise
        except ProbeError as error:
            failed.append(error)
            refused = {Site(EVERYTHING, ""): str(error)}
            found.append(Features(stimulus_ids=probe.stimuli.ids, values={}, refused=refused))
    if len(failed) == len(found):
        raise failed[0]
    return tuple(found)


def _measure(model: nn.Module, task: Task | None, ranks: ProcessGroup) -> tuple[tuple[Measured, ...], str]:
    """By the first rank alone, but for a sharded model, whose forward pass needs all; and why it failed, if it did."""
    if task is None:
        return (), ""

    def measure() -> tuple[Measured, ...]:
        with observing(model) as seen:
            return tuple(at_once(task, seen.model))

    try:
        if is_sharded(model):
            return next(iter(ranks.each(measure)), ()), ""
        return ranks.once(measure, spread=False) or (), ""
    except (LeftBehindError, LostRankError):
        raise
    except BaseException as error:  # the user's own code: the alignment of these weights is not lost with it
        if has_to_pass(error):
            raise
        return (), f"{type(error).__name__}: {error}"


def score(snapshot: Snapshot, watched: Sequence[BenchmarkProbe], run: str) -> ScoredSnapshot:
    """All rows of a snapshot, and those of the task. No random number is drawn from a global state.

    Args:
        snapshot: what was read.
        watched: in the order of reading.
        run: name of the run.
    """
    start = time.perf_counter()
    rows: list[Row] = []
    at: dict[str, Any] = {"run": run, "step": snapshot.step, "weights": snapshot.weights}
    features = iter(snapshot.features)
    for w in watched:
        rows += w.benchmark.score(next(features), **at)
        if w.random is not None:
            rows += w.benchmark.control(next(features), "random tokens", **at)
    blank = Score(kind="task", **at)
    rows += [replace(blank, metric=m.metric, value=m.value, unit=m.unit, n_stimuli=m.n) for m in snapshot.task]
    if snapshot.task_failed:
        rows.append(refusal_of(replace(blank, layer=TASK), snapshot.task_failed))
    rows += progress_events(snapshot.seen, run=run, step=snapshot.step)
    seconds = time.perf_counter() - start
    return ScoredSnapshot(
        step=snapshot.step,
        weights=snapshot.weights,
        notes=snapshot.notes(),
        rows=tuple(rows),
        seconds=snapshot.seconds + seconds,
        stages={**snapshot.stages, "score": seconds},
    )


def constants(
    rows: Sequence[Row], watched: Sequence[BenchmarkProbe], run: str, *, done: Collection[str]
) -> list[Score]:
    """Rows that no model moves, see `PreparedBenchmark.constants`; a record keeps the first of a key.

    Args:
        rows: of one probe.
        watched: of which the rows are.
        run: name of the run.
        done: benchmarks that have random features already, and with them the surface.
    """
    out: list[Score] = []
    scores = [row for row in rows if isinstance(row, Score)]
    for w in watched:
        name = w.benchmark.benchmark.name
        widest = max((s.n_features for s in scores if s.benchmark == name and s.kind == "confound"), default=0)
        names = [control for control in w.controls if control in DEFAULT]
        if widest and names and name not in done:
            out += w.benchmark.constants(run=run, n_features=widest, names=names)
        out += [replace(score, run=run) for score in w.known]
    return out
