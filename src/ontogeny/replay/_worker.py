"""Measuring: one checkpoint of a series loaded, read and scored; in this process or in a worker, with the same rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import nn

from ontogeny.errors import ConfigError, OntogenyError
from ontogeny.extraction.preserved import forget_readings
from ontogeny.extraction.process_group import SINGLE_PROCESS
from ontogeny.extraction.weights import weights_hash
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.heldout.loss import Task
from ontogeny.monitoring.snapshot import FeatureCache, ScoredSnapshot, score, take_snapshot
from ontogeny.replay._loading.dtypes import difference, read_as, stored_as
from ontogeny.replay._loading.pretrained import check_vocabulary
from ontogeny.replay._loading.process_state import undisturbed
from ontogeny.replay.checkpoint_series import CheckpointSeries

__all__ = [
    "CheckpointResult",
    "ModelInUse",
    "Order",
    "Outcome",
    "SeriesJob",
    "WorkItem",
    "device_of",
    "failed",
    "measure",
    "measure_fetched",
    "one_line",
]

Outcome = Literal["scored", "known", "changed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesJob:
    """All that reading any checkpoint of one series needs; it travels to workers once.

    Args:
        series: where the weights are.
        watched: benchmarks with their probes.
        task: measured at the same weights.
        run: name of the run in the record.
        device: "auto": a GPU where there is one; "cpu", "cuda:1". A model spread by device_map stays where it is.
        keep: leave what was downloaded on disk.
        kept: where features are looked up and kept by the hash of the weights; None: nowhere.
    """

    series: CheckpointSeries
    watched: tuple[BenchmarkProbe, ...]
    task: Task | None
    run: str
    device: str = "auto"
    keep: bool = False
    kept: FeatureCache | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """What is to be read at once, of one checkpoint.

    Args:
        step: which checkpoint.
        places: of the benchmarks that are wanted, in `SeriesJob.watched`; none: the hash of the weights is compared, no
            more.
        task: whether the task is wanted.
        known: hash of the weights that the record has of this step; "" where it has none.
        dtype: type in which those were read; "" where the record does not say.
    """

    step: int
    places: tuple[int, ...]
    task: bool = True
    known: str = ""
    dtype: str = ""


Order = tuple[SeriesJob, WorkItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointResult:
    """What became of one checkpoint, or of a part of it.

    Args:
        step: optimizer updates.
        outcome: "scored"; "known": the record had it already; "changed": the record has this step of other weights, and
            keeps them; "failed": it could not be fetched, loaded or read.
        where: the checkpoint.
        reason: why, where it failed or changed.
        dtype: floating types in which its weights were read, "float32"; "" where they were not.
        stored: those in which they lay in the file.
        parameters: of the model.
        without: the task, or a metric, whose own code failed -> why; the rest is in the record.
        scored: the rows, on their way to the record; None where there are none, and once they are written. Its seconds
            are for loading, reading and scoring, where it was done.
    """

    step: int
    outcome: Outcome
    where: str = ""
    reason: str = ""
    dtype: str = ""
    stored: str = ""
    parameters: int = 0
    without: Mapping[str, str] = field(default_factory=dict)
    scored: ScoredSnapshot | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class ModelInUse:
    """The model that the checkpoints of a series are loaded into one after the other, where it need not be made anew.

    A model that was read is as it was before, to the bit; what readings found out of it goes with its weights.
    """

    series: CheckpointSeries | None = None
    model: nn.Module | None = None

    def at(self, job: SeriesJob, step: int) -> nn.Module:
        """The model of a step; whoever read it without an error gives it back with `keep`."""
        model, series = self.model if job.series is self.series else None, job.series
        self.series = self.model = None
        if model is None or series.reload is None or not series.reload(model, step):
            del model  # before another one is made: there is memory for one
            return series.load(step)
        forget_readings(model)
        for probe in (probe for w in job.watched for probe in w.probes):
            probe.forget(model)
        return model

    def keep(self, job: SeriesJob, model: nn.Module) -> None:
        """For the next step, where one can be loaded into it."""
        if job.series.reload is not None:
            self.series, self.model = job.series, model


def failed(order: Order, reason: str) -> CheckpointResult:
    """A checkpoint of which nothing came, and why."""
    job, item = order
    return CheckpointResult(step=item.step, outcome="failed", where=job.series.where(item.step), reason=reason)


def measure_fetched(job: SeriesJob, item: WorkItem, using: ModelInUse | None = None) -> CheckpointResult:
    """Fetch, measure, and delete what was downloaded: all of it in one place, as a worker does."""
    try:
        job.series.fetch(item.step)
        return measure(job, item, using)
    except Exception as error:  # noqa: BLE001 - the other checkpoints go on
        return failed((job, item), one_line(error))
    finally:
        if not job.keep:
            _forget(job.series, item.step)


def measure(job: SeriesJob, item: WorkItem, using: ModelInUse | None = None) -> CheckpointResult:
    """Load, read and score a checkpoint that is on this machine; an error becomes the result's reason.

    Args:
        job: the series, and what is read.
        item: which checkpoint.
        using: the model that earlier checkpoints were loaded into; None: one is made for this checkpoint alone.
    """
    start, using = time.perf_counter(), using or ModelInUse()
    found = CheckpointResult(step=item.step, outcome="known", where=job.series.where(item.step))
    try:
        with undisturbed():
            model = _placed(using.at(job, item.step), device_of(job.device))
        found = replace(found, dtype=read_as(model), stored=stored_as(model))
        found = _read(job, item, model, found)
    except Exception as error:  # noqa: BLE001 - the other checkpoints go on
        return replace(found, outcome="failed", reason=one_line(error))
    using.keep(job, model)
    if found.scored is None:
        return found
    return replace(found, scored=replace(found.scored, seconds=time.perf_counter() - start))


def _read(job: SeriesJob, item: WorkItem, model: nn.Module, found: CheckpointResult) -> CheckpointResult:
    """What becomes of a checkpoint whose model is there."""
    for reader in (w.probe.reader for w in job.watched):
        if hasattr(reader, "__len__"):  # a Hugging Face tokenizer, not a function
            check_vocabulary(reader, model, found.where)
    if item.known and (now := weights_hash(model, like=item.known)) != item.known:
        how = difference(model, now, item.known, item.dtype)
        return replace(found, outcome="changed", reason=f"{found.where}: {how}")
    if not item.places:
        return found
    watched = [job.watched[place] for place in item.places]
    task = job.task if item.task else None
    snapshot = take_snapshot(model, item.step, watched, task, ranks=SINGLE_PROCESS, kept=job.kept)
    snapshot = replace(snapshot, weights=item.known or snapshot.weights)  # one hash per step, of the record's kind
    parameters = sum(p.numel() for p in model.parameters())
    return replace(found, outcome="scored", scored=score(snapshot, watched, job.run), parameters=parameters)


def device_of(name: str) -> str:
    """A device by name; "auto" is a GPU where there is one.

    Raises:
        ConfigError: torch has no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"there is no device {name!r} here: {str(error).splitlines()[0]}") from error
    return name


def _placed(model: nn.Module, device: str) -> nn.Module:
    return model if getattr(model, "hf_device_map", None) else model.to(device)


def _forget(series: CheckpointSeries, step: int) -> None:
    with suppress(OntogenyError, OSError):  # it had no place on disk, or cannot be deleted: no score is lost for that
        series.forget(step)


def one_line(error: Exception) -> str:
    """An error in one line; ours need no class name."""
    return str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
