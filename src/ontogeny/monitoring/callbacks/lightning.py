"""AlignmentCallback for Lightning.

trainer = L.Trainer(callbacks=[AlignmentCallback("kriegeskorte2008", transform=tf, record="runs/a")])
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import nn
from typing_extensions import Unpack, override

from ontogeny._messages import warn
from ontogeny.benchmarks import Benchmark
from ontogeny.errors import ConfigError
from ontogeny.extraction.process_group import require_supported_sharding
from ontogeny.extraction.random_state import same_randomness
from ontogeny.extraction.wrappers import fsdp1_units
from ontogeny.lag import record_shares
from ontogeny.monitoring.callbacks._record_of_run import Recording, Training
from ontogeny.monitoring.callbacks._trainer_eval_data import HeldOut, first_of, of_one_process, offer_held_out
from ontogeny.monitoring.factory import Options
from ontogeny.monitoring.monitor import Monitor
from ontogeny.sinks import Sink
from ontogeny.sinks.tensorboard_pictures import TensorboardPictures
from ontogeny.sinks.wandb_sink import WandbSink

__all__ = ["AlignmentCallback"]


class AlignmentCallback(pl.Callback):
    """Probe the module under training and write its alignment beside the task at the same weights.

    Steps are optimizer updates (`trainer.global_step`): accumulated micro-batches and sanity validation do not count;
    in manual optimization each optimizer's update does. Step 0 is read before the first update. Raw weights are read
    unless `weights="ema"` asks for those of Lightning's `WeightAveraging`, which then stands before this callback.

    Logged to every logger and to `trainer.callback_metrics` on every rank, so that `ModelCheckpoint(monitor=...)` and
    `EarlyStopping` can watch them: `alignment/<roi>`, `alignment/mean`, `task/<metric>` and each curve's own name (see
    `ontogeny.sinks.metric_keys`). Where one of them is watched, the weights about to be judged are probed, due or not.

    The task, where none is given, is the loss on the trainer's validation loader (of several the first), as soon as the
    trainer has made it: 16 of its batches are read once and kept.

    Args:
        benchmark: name, object, several, or a `Monitor` built by hand.
        record: folder of the record. Where not given: "alignment" in the trainer's `log_dir`, or with the first free
            number; a run resumed from a checkpoint goes on in the record that has its weights at that step. A second
            fit with the same callback, which does not resume the first, gets a record of its own: "runs/a-2".
        **options: see `ontogeny.monitoring.factory.Options`: tokenizer, transform, layers, pooling, schedule, task,
            budget, ...

    Raises:
        TypeError: options beside a `Monitor`, which brings its own.
    """

    def __init__(
        self,
        benchmark: str | list[str] | Benchmark | list[Benchmark] | Monitor,
        *,
        record: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        self._recording = Recording(benchmark, record, dict(options))
        self._saved: dict[str, Any] = {}
        self._sinks: list[Sink] = []
        self._seen = -1
        self._in_units = False
        self._shown: tuple[int, Mapping[str, float]] | None = None

    @property
    def monitor(self) -> Monitor:
        """The monitor; made when first asked for."""
        return self._recording.made()

    @property
    @override
    def state_key(self) -> str:
        return str(self._generate_state_key(record=self._recording.key))

    @override
    def state_dict(self) -> dict[str, Any]:
        monitor = self._recording.monitor
        if monitor is None or monitor.folder is None:
            return {"record": "", "last_probe": -1}
        return {"record": str(monitor.folder), "last_probe": monitor.latest[0]}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = dict(state_dict)
        if not self._recording.chosen:
            self._look_for_a_gap()

    def _look_for_a_gap(self) -> None:
        last, self._saved = int(self._saved.get("last_probe", -1)), {}
        if last >= 0 and not any(event.step >= last for event in self.monitor.record.events(kind="probe")):
            warn(
                f"the checkpoint was saved after a probe at step {last}, which record {self.monitor.record.folder} "
                "does not hold: its curve will have a gap. Was the record moved or deleted?"
            )

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            self._average(trainer)
            self.monitor.check(pl_module)

    @override
    @same_randomness()
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._in_units = _in_units(trainer)
        require_supported_sharding(self._held(trainer, pl_module))
        self._shown = None
        self._seen = -1
        self._recording.begin(self._training(trainer, pl_module))
        self._look_for_a_gap()
        offer_held_out(self.monitor, partial(_validation, trainer))
        if trainer.is_global_zero:
            self._sinks = [sink for logger in trainer.loggers for sink in _sinks(logger)]
            self.monitor.sinks.extend(self._sinks)
        self._probe(trainer, pl_module)

    def _training(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Training:
        model = self._watched(trainer, pl_module)
        checkpoint = Path(str(trainer.ckpt_path)).absolute() if trainer.ckpt_path else None
        return Training(
            model,
            trainer.global_step,
            optimizers=trainer.optimizers,
            base=trainer.log_dir or trainer.default_root_dir,
            near=[] if checkpoint is None else [checkpoint.parent, checkpoint.parent.parent],
            named=str(self._saved.get("record", "")),
        )

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = trainer.global_step >= trainer.estimated_stepping_batches
        self._probe(trainer, pl_module, force=last or self._judged_now(trainer))

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit" and self.monitor.runner.wants_task:
            offer_held_out(self.monitor, partial(_validation, trainer))
        if not trainer.sanity_checking and _watchers(trainer):
            self._probe(trainer, pl_module, force=True)

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.monitor.flush()
        together = not trainer.interrupted or trainer.world_size == 1  # else the other ranks may be gone
        if trainer.training and together and self.monitor.folder is not None:
            model = self._watched(trainer, pl_module)
            self.monitor.saved(model, trainer.global_step, optimizers=trainer.optimizers)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._replaced(trainer):
            self._probe(trainer, pl_module, force=True)
        self.monitor.close()
        self._detach()

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._recording.monitor is not None:
            self._recording.monitor.flush(together=False)
        self._detach()

    def _probe(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, force: bool = False) -> None:
        step = trainer.global_step
        if step != self._seen or force:
            self._seen = step
            model = self._watched(trainer, pl_module)
            self.monitor(model, step, force=force, optimizers=trainer.optimizers, seen={"epochs": _epochs(trainer)})
        if self.monitor.latest is not self._shown:  # not at every batch: there may be hundreds of curves
            self._shown = self.monitor.latest
            for name, value in self._shown[1].items():
                trainer.callback_metrics[name] = torch.tensor(value)

    def _judged_now(self, trainer: pl.Trainer) -> bool:
        """Whether a callback is about to judge these weights by one of our numbers."""
        watchers = _watchers(trainer)
        every = [n for w in watchers if isinstance(w, ModelCheckpoint) and (n := w._every_n_train_steps)]
        stepped = trainer.global_step != self._seen
        return (
            bool(watchers) and stepped and (trainer.is_last_batch or any(trainer.global_step % n == 0 for n in every))
        )

    def _held(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> nn.Module:
        """The module; under FSDP1 as it was wrapped, which alone can gather the weights."""
        return trainer.model if self._in_units and isinstance(trainer.model, nn.Module) else pl_module

    def _watched(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> nn.Module:
        """The trainer's average of the weights where one is read, else the module."""
        return self._average(trainer) or self._held(trainer, pl_module)

    def _average(self, trainer: pl.Trainer) -> nn.Module | None:
        """The averaged model, where it is wanted.

        Raises:
            ConfigError: there is none, or it is updated only after this callback has run.
        """
        if self.monitor.weights == "raw":
            return None
        order: list[Any] = list(trainer.callbacks)
        average = next((c for c in order[: order.index(self)] if hasattr(c, "_average_model")), None)
        if average is None:
            raise ConfigError(
                "weights='ema' reads the model of Lightning's WeightAveraging or EMAWeightAveraging callback: put one "
                "into the trainer's callbacks, before AlignmentCallback"
            )
        return average._average_model.module if average._average_model is not None else None

    def _replaced(self, trainer: pl.Trainer) -> bool:
        """Whether weight averaging has put its weights in place of the raw ones of the last step, for good."""
        order: list[Any] = list(trainer.callbacks)
        average = any(hasattr(c, "_average_model") for c in order[: order.index(self)])
        self.monitor.flush()
        average_is_gone = average and self.monitor.weights == "raw" and self.monitor.latest[0] != trainer.global_step
        if average_is_gone and trainer.is_global_zero:
            warn(
                f"the raw weights of the last step ({trainer.global_step}) were not read: weight averaging had "
                "replaced them. Put AlignmentCallback before it in the trainer's callbacks"
            )
        return average_is_gone

    def _detach(self) -> None:
        for sink in self._sinks:
            if sink in self.monitor.sinks:
                self.monitor.sinks.remove(sink)
        self._sinks = []


def _in_units(trainer: pl.Trainer) -> bool:
    """Whether FSDP1 holds weights of what is trained; asked once, since it looks at every module."""
    return isinstance(trainer.model, nn.Module) and bool(fsdp1_units(trainer.model))


def _validation(trainer: pl.Trainer) -> HeldOut:
    """The validation loader that the trainer has made; it is never made twice, nor earlier than without us."""
    loader, many = first_of(trainer.val_dataloaders)
    if loader is None and trainer.enable_validation:
        return HeldOut(about="the trainer makes its validation loader later; it is the task from then on")
    if loader is None:
        return HeldOut(about="this fit has no validation: val_dataloader and validation_step make it the task")
    several = f", the first of {many}" if many > 1 else ""
    return HeldOut(about=f"the trainer's validation loader{several}", batches=of_one_process(loader))


def _epochs(trainer: pl.Trainer) -> float | None:
    """Passes through the data by now, parts of one included; None where the loader does not know its length."""
    batches = trainer.num_training_batches
    return (trainer.fit_loop.total_batch_idx + 1) / batches if 0 < batches < math.inf else None


def _watchers(trainer: pl.Trainer) -> list[Any]:
    """Callbacks that stop or choose by one of our numbers."""
    own_names = ("alignment/", "alignment_ema/", "task/", "task_ema/")
    every: list[Any] = list(trainer.callbacks)
    return [c for c in every if str(getattr(c, "monitor", None) or "").startswith(own_names)]


def _sinks(logger: Logger) -> list[Sink]:
    if isinstance(logger, WandbLogger):
        return [WandbSink(logger.experiment, leads=record_shares, also=["trainer/global_step"])]
    if isinstance(logger, TensorBoardLogger):
        return [_LoggerSink(logger), TensorboardPictures(logger.experiment, leads=record_shares)]
    return [_LoggerSink(logger)]


class _LoggerSink:
    """One of the trainer's loggers."""

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self.name = type(logger).__name__

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one probe at the step of its weights."""
        self.logger.log_metrics(dict(metrics), step=step)
