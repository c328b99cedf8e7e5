"""AlignmentCallback for Lightning.

trainer = L.Trainer(callbacks=[AlignmentCallback("kriegeskorte2008", transform=tf, record="runs/a")])
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from typing_extensions import override

from ontogeny.benchmark import Benchmark
from ontogeny.monitor import Monitor, watch

__all__ = ["AlignmentCallback"]


class AlignmentCallback(pl.Callback):
    """Probe the module under training and write its alignment beside the task at the same weights.

    Steps are optimizer updates (`trainer.global_step`): accumulated micro-batches and sanity validation do not count.
    Step 0 is read before the first update. Raw weights are read, not their moving average.

    Logged, at `step=trainer.global_step`, to every logger and to `trainer.callback_metrics` (so that `ModelCheckpoint`
    and `EarlyStopping` can monitor them): `alignment/<roi>.<metric>.<layer>.<pooling>` and `task/<metric>`.

    Args:
        benchmark: name, object, several, or a `Monitor` built by hand.
        record: folder of the record.
        **options: see `ontogeny.watch`: tokenizer, transform, layers, pooling, schedule, task, controls, on_error, ...
    """

    def __init__(
        self,
        benchmark: str | Benchmark | Monitor | Sequence[str | Benchmark],
        *,
        record: str | os.PathLike[str] = "runs/alignment",
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(benchmark, Monitor) and options:
            raise TypeError(f"a Monitor brings its own options; got {sorted(options)} beside it")
        self._make = (benchmark, record, options)
        self._monitor = benchmark if isinstance(benchmark, Monitor) else None
        self._seen = -1

    @property
    def monitor(self) -> Monitor:
        """The monitor; made when first asked for, on the rank that writes."""
        if self._monitor is None:
            benchmark, record, options = self._make
            assert not isinstance(benchmark, Monitor)  # noqa: S101 - set in __init__
            self._monitor = watch(benchmark, record=record, **options)
        return self._monitor

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            self.monitor.check(pl_module)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._probe(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._probe(trainer, pl_module, force=trainer.global_step >= trainer.estimated_stepping_batches)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._probe(trainer, pl_module, force=True)
        if trainer.is_global_zero:
            self.monitor.close()

    def _probe(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, force: bool = False) -> None:
        step = trainer.global_step
        if not trainer.is_global_zero or (step == self._seen and not force):
            return
        self._seen = step
        sink = _Loggers(trainer)
        self.monitor.sinks.append(sink)
        try:
            self.monitor(pl_module, step, force=force)
        finally:
            self.monitor.sinks.remove(sink)


class _Loggers:
    """The trainer's loggers and callback metrics, as a sink."""

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer = trainer

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one probe; each logger apart, so that a broken one does not silence the others."""
        for name, value in metrics.items():
            self.trainer.callback_metrics[name] = torch.tensor(value)
        for logger in self.trainer.loggers:
            try:
                logger.log_metrics(dict(metrics), step=step)
            except Exception as error:  # noqa: BLE001 - a broken logger stops neither training nor other loggers
                warnings.warn(f"{type(logger).__name__} could not log step {step}: {error}", stacklevel=2)
