"""What a sink is, how scores are written to several, and the keys that they get."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ontogeny._messages import has_to_pass, warn
from ontogeny.record import Record, Row, Score

__all__ = ["FinishingSink", "Sink", "error_text", "finish", "metric_keys", "sink_name", "write"]


@runtime_checkable
class Sink(Protocol):
    """Where numbers go."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take one probe's numbers; `step` counts optimizer updates."""
        ...


@runtime_checkable
class FinishingSink(Sink, Protocol):
    """A sink that makes something of the whole record."""

    def finish(self, record: Record) -> None:
        """Called once, when training ends."""
        ...


def write(sinks: Sequence[Sink], step: int, metrics: Mapping[str, float]) -> None:
    """Give one probe's numbers to every sink; one that fails warns."""
    for sink in sinks:
        try:
            sink.write(step, metrics)
        except BaseException as error:  # a broken logger stops neither training nor other loggers
            if has_to_pass(error):
                raise
            warn(f"{sink_name(sink)} could not log step {step}: {error_text(error)}")


def finish(sinks: Sequence[Sink], record: Record) -> None:
    """Let every sink that wants to finish; one that fails warns."""
    for sink in sinks:
        try:
            if isinstance(sink, FinishingSink):
                sink.finish(record)
        except BaseException as error:  # as above
            if has_to_pass(error):
                raise
            warn(f"{sink_name(sink)} could not finish: {error_text(error)}")


def error_text(error: BaseException) -> str:
    """An error in a warning; one without a message by its class."""
    return str(error) if isinstance(error, Exception) and str(error) else f"{type(error).__name__}: {error}"


def sink_name(sink: Sink) -> str:
    """How a sink is called in a warning: the logger that it stands for, where it says so."""
    return str(getattr(sink, "name", type(sink).__name__))


def metric_keys(rows: Sequence[Row], weights: str = "raw") -> dict[str, float]:
    """One number a curve of one probe, averaged over subjects.

    "alignment/<roi>" is the layer that scores best at this step, by the benchmark's first metric; "alignment/mean" the
    mean of these over ROIs: good for stopping and for choosing a checkpoint, a little too high as an estimate, since
    the best of several is chosen. "alignment/<roi>.<metric>.<layer>.<pooling>" is each curve, "task/<metric>" the task.
    Names of several benchmarks begin with the benchmark; those of averaged weights with "alignment_ema/", "task_ema/".

    Args:
        rows: of one probe; events have no keys.
        weights: "raw" or "ema".
    """
    suffix = "" if weights == "raw" else f"_{weights}"
    scores = [row for row in rows if isinstance(row, Score)]
    aligned = [s for s in scores if s.kind == "alignment" and s.value is not None]
    several = len({s.benchmark for s in aligned}) > 1
    curves: dict[tuple[str, ...], list[Score]] = {}
    for score in aligned:
        roi = f"{score.benchmark}.{score.roi}" if several else score.roi
        curves.setdefault((roi, score.metric, score.layer, score.pooling), []).append(score)
    means = {key: float(np.mean([s.value for s in rows if s.value is not None])) for key, rows in curves.items()}
    names = {f"alignment{suffix}/{_plain(name)}": value for name, value in _best(means).items()}
    names |= {f"alignment{suffix}/{_plain('.'.join(p for p in key if p))}": value for key, value in means.items()}
    tasks = [s for s in scores if s.kind == "task"]
    return names | {f"task{suffix}/{_plain(s.metric)}": s.value for s in tasks if s.value is not None}


def _best(means: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    """ROI -> its best layer by its first metric, and the mean over ROIs."""
    first: dict[str, str] = {}
    best: dict[str, float] = {}
    for (roi, metric, *_), value in means.items():
        if first.setdefault(roi, metric) == metric:
            best[roi] = max(best.get(roi, value), value)
    return {"mean": float(np.mean(list(best.values()))), **best} if best else {}


def _plain(name: str) -> str:
    """Letters, digits and `_-. ` only, which every tracker takes as one level of a name."""
    return re.sub(r"[^\w\-. ]", "-", name)
