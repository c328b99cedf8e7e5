"""Reading: all that one probe takes from the model; once it is taken, the model may train on while it is scored."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ontogeny.benchmark.controls import DEFAULT
from ontogeny.extraction.features import Features
from ontogeny.extraction.isolation import observing
from ontogeny.extraction.probe import Probe
from ontogeny.extraction.ranks import Ranks, is_sharded
from ontogeny.extraction.weights import deployed_weights, weights_hash
from ontogeny.scores import Score
from ontogeny.task import Measured, Task
from ontogeny.watched import Watched

__all__ = ["Keeper", "Reading", "constants", "read", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One probe's readings, on the rank that scores; on the others the step alone.

    Args:
        step: optimizer updates done.
        weights: hash of the weights that were read.
        deployed: whether they are those that a schedule-free optimizer would deploy.
        features: one a probe, of all watched benchmarks.
        task: held-out values at the same weights.
        seconds: how long reading took.
    """

    step: int
    weights: str = ""
    deployed: bool = False
    features: tuple[Features, ...] = ()
    task: tuple[Measured, ...] = ()
    seconds: float = 0.0


@runtime_checkable
class Keeper(Protocol):
    """Where features are kept that were read before."""

    def features(self, probe: Probe, model: nn.Module, weights: str) -> Features:
        """What the probe reads from the model with weights of this hash: looked up, or read now and kept."""
        ...


def read(
    model: nn.Module,
    step: int,
    watched: Sequence[Watched],
    task: Task | None,
    *,
    ranks: Ranks,
    optimizers: Sequence[Any] = (),
    kept: Keeper | None = None,
) -> Reading:
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
        ProbeError: the model cannot be read; on every rank, also where another one failed.
    """
    start = time.perf_counter()
    with deployed_weights(optimizers) as deployed:
        hashes = ranks.each(lambda: weights_hash(model))
        if kept is not None:
            features = tuple(kept.features(probe, model, hashes[0]) for w in watched for probe in w.probes)
        else:
            features = tuple(probe(model, ranks) for w in watched for probe in w.probes)
        measured = _measure(model, task, ranks)
    if not hashes:
        return Reading(step=step)
    return Reading(
        step=step,
        weights=hashes[0],
        deployed=deployed,
        features=features,
        task=measured,
        seconds=time.perf_counter() - start,
    )


def _measure(model: nn.Module, task: Task | None, ranks: Ranks) -> tuple[Measured, ...]:
    """By the first rank alone, but for a sharded model, whose forward pass needs all."""
    if task is None:
        return ()

    def measure() -> tuple[Measured, ...]:
        with observing(model) as seen:
            return tuple(task(seen.model))

    if is_sharded(model):
        return next(iter(ranks.each(measure)), ())
    return ranks.once(measure, spread=False) or ()


def score(reading: Reading, watched: Sequence[Watched], run: str) -> list[Score]:
    """All rows of a reading, and those of the task. No random number is drawn from a global state.

    Args:
        reading: what was read.
        watched: in the order of reading.
        run: name of the run.
    """
    rows: list[Score] = []
    at: dict[str, Any] = {"run": run, "step": reading.step, "weights": reading.weights}
    features = iter(reading.features)
    for w in watched:
        rows += w.benchmark.score(next(features), **at)
        if w.random is not None:
            rows += w.benchmark.control(next(features), "random tokens", **at)
    blank = Score(run=run, step=reading.step, kind="task", weights=reading.weights)
    rows += [replace(blank, metric=m.metric, value=m.value, unit=m.unit, n_stimuli=m.n) for m in reading.task]
    return rows


def constants(rows: Sequence[Score], watched: Sequence[Watched], run: str, *, done: Collection[str]) -> list[Score]:
    """Rows that no model moves, see `PreparedBenchmark.constants`; a record keeps the first of a key.

    Args:
        rows: of one probe.
        watched: of which the rows are.
        run: name of the run.
        done: benchmarks that have random features already, and with them the surface.
    """
    out: list[Score] = []
    for w in watched:
        name = w.benchmark.benchmark.name
        widest = max((s.n_features for s in rows if s.benchmark == name and s.kind == "confound"), default=0)
        names = [control for control in w.controls if control in DEFAULT]
        if widest and names and name not in done:
            out += w.benchmark.constants(run=run, n_features=widest, names=names)
        out += [replace(score, run=run) for score in w.known]
    return out
