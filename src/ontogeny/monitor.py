"""Monitor: due? probe, task, score, write. The one door: live callbacks, plain loops and replay all call it."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import nn
from tqdm import tqdm

from ontogeny.benchmark import Benchmark
from ontogeny.cost import Cost
from ontogeny.datasets import load
from ontogeny.doctor import examine
from ontogeny.errors import ConfigError, RecordError
from ontogeny.pooling import Pooling
from ontogeny.probe import observing, same_randomness
from ontogeny.saying import plain_line
from ontogeny.schedule import Schedule, parse_schedule
from ontogeny.scores import Score
from ontogeny.series import Record
from ontogeny.sinks import Sink, short_names
from ontogeny.task import Task
from ontogeny.watched import Watched
from ontogeny.weights import weights_hash

__all__ = ["Monitor", "Watched", "watch"]

OnError = Literal["warn", "raise"]
_LIBRARIES = ("ontogeny", "torch", "numpy", "scipy", "transformers", "lightning")


class Monitor:
    """Watches one model: `monitor(model, step)` after every optimizer update, `monitor.finish(model, step)` at the end.

    Args:
        watched: benchmarks with their probes.
        record: folder of the record; made when missing, continued when there.
        schedule: "log", "every:100", "at:0,10,100" or a schedule object. Step 0 and the last step are always probed.
        task: what the model is trained for, measured on held-out data at the probed weights.
        sinks: where the numbers go beside the record.
        budget: largest share of wall time for probes, .02 for 2 %; due probes beyond it are left out, and recorded so.
        say_every: print one plain line after every so many probes; 0: none.
        on_error: "warn": a failing probe warns and is recorded, training goes on; "raise": it ends training.
        run: name of the run; the record folder's name where empty.

    Raises:
        RecordError: the record holds another benchmark under the same name.
    """

    def __init__(  # noqa: PLR0913 - options of one object, all keyword-only
        self,
        watched: Sequence[Watched],
        *,
        record: str | os.PathLike[str],
        schedule: str | Schedule = "log",
        task: Task | None = None,
        sinks: Sequence[Sink] = (),
        budget: float | None = None,
        say_every: int = 0,
        on_error: OnError = "warn",
        run: str = "",
    ) -> None:
        if not watched:
            raise ConfigError("a monitor needs at least one benchmark to watch")
        if on_error not in ("warn", "raise"):
            raise ConfigError(f"on_error is 'warn' or 'raise', got {on_error!r}")
        self.watched = tuple(watched)
        self.schedule = parse_schedule(schedule)
        self.task = task
        self.sinks = list(sinks)
        self.cost = Cost(budget=budget)
        self.say_every = say_every
        self.on_error = on_error
        self.record = Record.open(record, create=True, run=run)
        for w in self.watched:
            self.record.describe(w.benchmark.benchmark.name, w.benchmark.benchmark.describe(w.benchmark.fingerprint))
        self.record.note("versions", _versions())
        self._last_step: int | None = None
        self._closed = False

    @same_randomness()
    def check(self, model: nn.Module) -> dict[str, tuple[str, ...]]:
        """Benchmark name -> layers that will be read.

        Raises:
            LayerNotFoundError: a layer name that the model does not have.
        """
        return {w.benchmark.benchmark.name: w.probe.sites(model) for w in self.watched}

    @same_randomness()
    def __call__(self, model: nn.Module, step: int, *, force: bool = False) -> list[Score]:
        """Probe if `step` is due and was not probed yet.

        Args:
            model: the model under training, at the weights after `step` optimizer updates.
            step: optimizer updates done.
            force: probe whatever the schedule says (the last step).

        Returns:
            The scores that were written.

        Raises:
            RecordError: step 0 of the record belongs to other weights (another run wrote into this folder).
        """
        self.cost.begin()
        self._note_left_out(step)
        if step == self._last_step or not (force or self.schedule.due(step)):
            return []
        before, self._last_step = self._last_step, step
        if self._already(model, step, first=before is None):
            return []
        if not (force or step == 0 or self.cost.affords_another()):
            self.cost.pending, self._last_step = step, before
            return []
        self.cost.pending = None
        try:
            return self._probe(model, step)
        except Exception as error:
            if self.on_error == "raise":
                raise
            self._failed(step, error)
            return []

    def finish(self, model: nn.Module, step: int) -> list[Score]:
        """Probe the last step, unless it was probed already, and say what watching cost."""
        scores = self(model, step, force=True)
        self.close()
        return scores

    def close(self) -> None:
        """Say once, in a line, what watching cost."""
        if self.cost.seconds and not self._closed:
            self._closed = True
            tqdm.write(f"ontogeny: {self.cost.line()}; record {self.record.folder}", file=sys.stderr)

    def doctor(self, model: nn.Module) -> str:
        """Probe once without writing anything; say what was read, how long it took, and what to do."""
        return examine(self, model)

    @same_randomness()
    def measure(self, model: nn.Module, step: int) -> list[Score]:
        """All rows of one probe, nothing written: alignment, controls, task, confounds and refusals."""
        start = time.perf_counter()
        weights = weights_hash(model)
        rows: list[Score] = []
        for w in self.watched:
            rows += self._one_benchmark(model, w, step, weights)
        rows += self._task_rows(model, step, weights)
        closing = Score(run=self.record.run, step=step, kind="probe", metric="seconds", unit="s", weights=weights)
        return [*rows, replace(closing, value=time.perf_counter() - start)]

    def _already(self, model: nn.Module, step: int, *, first: bool) -> bool:
        """Whether the record holds this step; other weights under it are warned about, or refused at step 0."""
        known = self.record.get(Score(run=self.record.run, step=step, kind="probe", metric="seconds").key)
        if known is None:
            return False
        weights = weights_hash(model)
        if known.weights != weights:
            text = (
                f"record {self.record.folder} already holds step {step}, of other weights ({known.weights}, now "
                f"{weights})"
            )
            if first and step == 0:
                raise RecordError(f"{text}: another run wrote there. Choose another record folder")
            warnings.warn(f"{text}; its rows are kept", stacklevel=4)
        return True

    def _note_left_out(self, step: int) -> None:
        """Record a step that was over the budget, once it is past: the last step is read after all."""
        if self.cost.pending not in (None, step):
            past, self.cost.pending = self.cost.pending, None
            note = f"left out to stay within {self.cost.budget:.1%} of wall time"
            row = Score(run=self.record.run, step=past or 0, kind="cost", metric="left out", note=note)
            self.cost.skipped += len(self.record.append([row]))

    def _probe(self, model: nn.Module, step: int) -> list[Score]:
        rows = self.measure(model, step)
        self.cost.seconds.append(next(r.value for r in rows if r.kind == "probe" and r.value is not None))
        share = Score(run=self.record.run, step=step, kind="cost", metric="share of wall time", unit="share")
        written = self.record.append([replace(share, value=self.cost.share), *rows])
        if self.say_every and len(self.cost.seconds) % self.say_every == 0:
            tqdm.write(f"ontogeny: {plain_line(written)}", file=sys.stderr)
        metrics = short_names(written)
        for sink in self.sinks:
            try:
                sink.write(step, metrics)
            except Exception as error:  # noqa: BLE001 - a broken logger stops neither training nor other loggers
                warnings.warn(f"{type(sink).__name__} could not log step {step}: {error}", stacklevel=4)
        return written

    def _one_benchmark(self, model: nn.Module, w: Watched, step: int, weights: str) -> list[Score]:
        features = w.probe(model)
        run = self.record.run
        scores = w.benchmark.score(features, run=run, step=step, weights=weights)
        if not w.controls:
            return scores
        name = w.benchmark.benchmark.name
        if features.values and not self.record.select(kind="control", layer="random features", benchmark=name):
            widest = max(x.shape[1] for x in features.values.values())
            scores += w.benchmark.constants(run=run, n_features=widest)
        return scores

    def _task_rows(self, model: nn.Module, step: int, weights: str) -> list[Score]:
        if self.task is None:
            return []
        with observing(model) as bare:
            measured = self.task(bare)
        blank = Score(run=self.record.run, step=step, kind="task", weights=weights)
        return [replace(blank, metric=m.metric, value=m.value, unit=m.unit, n_stimuli=m.n) for m in measured]

    def _failed(self, step: int, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(f"the probe at step {step} failed and training goes on: {reason}", stacklevel=3)
        row = Score(run=self.record.run, step=step, kind="refusal", layer="(whole probe)", note=reason)
        try:
            self.record.append([row])
        except RecordError as second:
            warnings.warn(f"nor could that be recorded: {second}", stacklevel=3)


@same_randomness()
def watch(
    benchmark: str | Benchmark | Sequence[str | Benchmark],
    *,
    record: str | os.PathLike[str],
    tokenizer: Any = None,
    transform: Any = None,
    layers: str | Sequence[str] = "auto",
    pooling: Pooling | Sequence[Pooling] = "",
    batch_size: int = 64,
    controls: bool = True,
    **options: Any,
) -> Monitor:
    """A monitor in one line.

    Args:
        benchmark: name (`ontogeny data list`), object, or several.
        record: folder of the record.
        tokenizer: for text: a Hugging Face tokenizer, or a function text -> token ids.
        transform: for images: a function image -> tensor, best the one of your validation set.
        layers: see `Probe`.
        pooling: see `Probe`.
        batch_size: stimuli a forward pass.
        controls: score random features, permuted stimuli and the stimuli's own surface beside the layers.
        **options: see `Monitor`: schedule, task, sinks, budget, say_every, on_error, run.

    Returns:
        Call it as `monitor(model, step)` after every optimizer update, and `monitor.finish(model, step)` at the end.
    """
    several = [benchmark] if isinstance(benchmark, str | Benchmark) else list(benchmark)
    loaded = [load(b) if isinstance(b, str) else b for b in several]
    watched = [
        Watched.of(
            b,
            reader=tokenizer if b.stimuli.modality == "text" else transform,
            layers=layers,
            pooling=pooling,
            batch_size=batch_size,
            controls=controls,
        )
        for b in loaded
    ]
    return Monitor(watched, record=record, **options)


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
