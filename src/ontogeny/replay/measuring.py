"""Measuring: one checkpoint of a series loaded, read and scored; in this process or in a worker, with the same rows."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import nn

from ontogeny.errors import ConfigError, OntogenyError
from ontogeny.extraction.ranks import ALONE
from ontogeny.extraction.weights import weights_hash
from ontogeny.reading import Keeper, Reading, read, score
from ontogeny.replay.dtypes import difference, read_as, stored_as
from ontogeny.replay.pretrained import check_vocabulary
from ontogeny.replay.series import CheckpointSeries
from ontogeny.replay.undisturbed import undisturbed
from ontogeny.scores import Score
from ontogeny.task import Task
from ontogeny.watched import Watched

__all__ = ["Job", "Measurement", "Order", "Unit", "device_of", "measure", "measure_fetched", "says"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """All that measuring any checkpoint of one series needs; travels to workers once.

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
    watched: tuple[Watched, ...]
    task: Task | None
    run: str
    device: str = "auto"
    keep: bool = False
    kept: Keeper | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is to be measured at once, of one checkpoint.

    Args:
        step: which checkpoint.
        places: of the benchmarks that are wanted, in `Job.watched`; none: the hash of the weights is compared, no more.
        task: whether the task is wanted.
        known: hash of the weights that the record has of this step; "" where it has none.
        dtype: type in which those were read; "" where the record does not say.
    """

    step: int
    places: tuple[int, ...]
    task: bool = True
    known: str = ""
    dtype: str = ""


class Order(NamedTuple):
    """A unit of a job."""

    job: Job
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What came of an unit.

    Args:
        reading: hash of the weights, seconds; without the features.
        rows: scores.
        seconds: for fetching, loading, reading and scoring, where it was done.
        parameters: of the model.
        changed: in words, how the weights are others than those that the record has of this step, of which nothing was
            scored then; "" where they are not.
        dtype: floating types in which the weights were read, "float32".
        stored: those in which they lay in the file.
        reason: why it failed; "" where it did not.
    """

    reading: Reading
    rows: tuple[Score, ...] = ()
    seconds: float = 0.0
    parameters: int = 0
    changed: str = ""
    dtype: str = ""
    stored: str = ""
    reason: str = ""


def measure_fetched(job: Job, unit: Unit) -> Measurement:
    """Fetch, measure, and delete what was downloaded: all of it in one place, as a worker does."""
    try:
        job.series.fetch(unit.step)
        return measure(job, unit)
    except Exception as error:  # noqa: BLE001 - the other checkpoints go on
        return Measurement(reading=Reading(step=unit.step), reason=says(error))
    finally:
        if not job.keep:
            _forget(job.series, unit.step)


def measure(job: Job, unit: Unit) -> Measurement:
    """Load, read and score a checkpoint that is on this machine; whatever fails is told, nothing is raised."""
    step, start = unit.step, time.perf_counter()
    blank = Measurement(reading=Reading(step=step))
    try:
        with undisturbed():
            model = _placed(job.series.load(step), device_of(job.device))
        for reader in (w.probe.reader for w in job.watched):
            if hasattr(reader, "__len__"):  # a Hugging Face tokenizer, not a function
                check_vocabulary(reader, model, job.series.where(step))
        blank = replace(blank, dtype=read_as(model), stored=stored_as(model))
        if unit.known and (now := weights_hash(model)) != unit.known:
            told = difference(model, now, unit.known, unit.dtype)
            return replace(blank, reading=Reading(step=step, weights=now), changed=told)
        if not unit.places:
            return replace(blank, reading=Reading(step=step, weights=unit.known))
        watched = [job.watched[place] for place in unit.places]
        task = job.task if unit.task else None
        reading = read(model, step, watched, task, ranks=ALONE, kept=job.kept)
        rows = score(reading, watched, job.run)
    except Exception as error:  # noqa: BLE001 - the other checkpoints go on
        return replace(blank, reason=says(error))
    return replace(
        blank,
        reading=replace(reading, features=()),
        rows=tuple(rows),
        seconds=time.perf_counter() - start,
        parameters=sum(p.numel() for p in model.parameters()),
    )


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


def says(error: Exception) -> str:
    """An error in one line; ours need no class name."""
    return str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
