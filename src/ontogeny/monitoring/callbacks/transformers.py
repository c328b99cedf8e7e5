"""AlignmentCallback for the Hugging Face Trainer.

trainer.add_callback(AlignmentCallback("tuckute2024", record="runs/a"))
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from transformers import Trainer, TrainerCallback
from typing_extensions import Unpack, override

from ontogeny.benchmarks import Benchmark
from ontogeny.extraction.random_state import same_randomness
from ontogeny.lag import record_shares
from ontogeny.monitoring.callbacks._record_of_run import Recording, Training
from ontogeny.monitoring.callbacks._trainer_eval_data import HeldOut, offer_held_out
from ontogeny.monitoring.factory import Options
from ontogeny.monitoring.monitor import Monitor
from ontogeny.sinks import Sink
from ontogeny.sinks.tensorboard_pictures import TensorboardPictures
from ontogeny.sinks.wandb_sink import WandbSink

__all__ = ["AlignmentCallback"]


class AlignmentCallback(TrainerCallback):
    """Probe the model under training and write its alignment beside the task at the same weights.

    Steps are optimizer updates (`state.global_step`). Step 0 is read before the first update. The tokenizer is the
    trainer's `processing_class` unless one is given.

    Logged: to a running Weights & Biases run, on its own axis `alignment/step`; and, after `callback.bind(trainer)`,
    through `trainer.log`, so that every `report_to` target and `trainer_state.json` have the numbers too. The metrics
    of an evaluation get `eval_alignment/<roi>`, `eval_alignment/mean` and so on, so that
    `metric_for_best_model="alignment/mean"` works on every rank ("alignment" alone is the same); the weights it judges
    are then probed, due or not.

    The task, where none is given, is the loss on the trainer's `eval_dataset` (of several the first), through its own
    collator: 16 batches are read once and kept.

    Args:
        benchmark: name, object, several, or a `Monitor` built by hand.
        record: folder of the record. Where not given: "alignment" in `args.output_dir`, or with the first free number;
            a run resumed from a checkpoint goes on in the record that has its weights at that step. A second training
            with the same callback (a hyperparameter search), which does not resume the first, gets a record of its own:
            "runs/a-2".
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
        self._recording = Recording(benchmark, record, dict(options))
        self._trainer: Any = None
        self._sinks: list[Sink] = []
        self._training = False

    @property
    def monitor(self) -> Monitor | None:
        """The monitor; None before the first training, unless it was given."""
        return self._recording.monitor

    def bind(self, trainer: Any) -> AlignmentCallback:
        """Let the numbers go through `trainer.log` too; returns the callback."""
        self._trainer = trainer
        return self

    @override
    @same_randomness()
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        model = kwargs["model"]
        self._recording.made(tokenizer=kwargs.get("processing_class")).check(model)
        self._detach()
        training = Training(model, state.global_step, optimizers=_optimizers(kwargs), base=args.output_dir)
        monitor = self._recording.begin(training)
        self._training = True
        if state.is_world_process_zero:
            wandb = WandbSink(leads=record_shares, also=["train/global_step"])
            trainer = self._trainer or _running(self)
            self._sinks = [wandb, *([_TrainerLog(self._trainer)] if self._trainer is not None else [])]
            self._sinks += [TensorboardPictures(writer, leads=record_shares) for writer in _writers(trainer)]
            monitor.sinks.extend(self._sinks)
        offer_held_out(monitor, partial(_evaluation, self._trainer or _running(self)))
        self._probe(args, state, kwargs)

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = state.global_step >= state.max_steps or control.should_training_stop
        self._probe(args, state, kwargs, force=last)
        self._note(state, control, kwargs)

    @override
    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._note(state, control, kwargs)

    def _note(self, state: Any, control: Any, kwargs: Mapping[str, Any]) -> None:
        """The weights of a checkpoint that is about to be saved: a kill after that finds it noted."""
        if control.should_save and self.monitor is not None:
            self.monitor.saved(kwargs["model"], state.global_step, optimizers=_optimizers(kwargs))

    @override
    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.monitor is None:
            return
        judged = (args.metric_for_best_model or "").removeprefix("eval_")
        if self._training and judged.partition("/")[0] in ("alignment", "task"):
            self._probe(args, state, kwargs, force=True)
        step, numbers = self.monitor.latest
        metrics: dict[str, float] | None = kwargs.get("metrics")
        if metrics is None or step != state.global_step or not self._is_of(kwargs):
            return
        named = {f"eval_{name}": value for name, value in numbers.items()}
        if "alignment/mean" in numbers:
            named["eval_alignment"] = numbers["alignment/mean"]
        if state.is_hyper_param_search:  # its objective is by default the sum of all numbers beside the loss
            named = {name: value for name, value in named.items() if name == f"eval_{judged}"}
        metrics.update(named)

    def _is_of(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether the newest numbers are of the model that was evaluated: outside of training it may be any."""
        if self._training or self.monitor is None:
            return self._training
        return self.monitor.runner.is_latest(kwargs["model"], self.monitor.ranks())

    @override
    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.monitor is not None:
            self.monitor.flush()
            self.monitor.saved(kwargs["model"], state.global_step, optimizers=_optimizers(kwargs))

    @override
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # With load_best_model_at_end the model holds an older checkpoint by now, not the weights of this step.
        if not args.load_best_model_at_end:
            self._probe(args, state, kwargs, force=True)
        if self.monitor is not None:
            self.monitor.close()
        self._training = False
        self._detach()

    def _probe(self, args: Any, state: Any, kwargs: Mapping[str, Any], *, force: bool = False) -> None:
        if self.monitor is not None:
            optimizers, seen = _optimizers(kwargs), _seen(args, state)
            self.monitor(kwargs["model"], state.global_step, force=force, optimizers=optimizers, seen=seen)

    def _detach(self) -> None:
        if self.monitor is not None:
            self.monitor.sinks[:] = [sink for sink in self.monitor.sinks if sink not in self._sinks]
        self._sinks = []


def _seen(args: Any, state: Any) -> dict[str, float | None]:
    """Epochs, and tokens where the trainer was asked to count them."""
    counted = getattr(args, "include_num_input_tokens_seen", False) not in (False, "no")
    return {"epochs": state.epoch, "tokens": state.num_input_tokens_seen if counted else None}


def _writers(trainer: Any) -> list[Any]:
    """What TensorBoard's callbacks of this trainer write with, where they have begun."""
    callbacks = [] if trainer is None else trainer.callback_handler.callbacks
    found = (getattr(one, "tb_writer", None) for one in callbacks)
    return [writer for writer in found if hasattr(writer, "add_image")]


def _optimizers(kwargs: Mapping[str, Any]) -> list[Any]:
    """What the trainer gives its callbacks."""
    optimizer = kwargs.get("optimizer")
    return [] if optimizer is None else [optimizer]


def _running(callback: TrainerCallback) -> Any:
    """The trainer that calls this callback. It tells its callbacks of everything but itself and its evaluation data."""
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self") if "self" in frame.f_code.co_varnames[:1] else None
        if isinstance(owner, Trainer) and callback in owner.callback_handler.callbacks:
            return owner
        frame = frame.f_back
    return None


def _evaluation(trainer: Any) -> HeldOut:
    """The trainer's evaluation loader, made by a copy of it that shares it with no other process."""
    if trainer is None:
        return HeldOut(about="the trainer cannot be found: give it to callback.bind(trainer)")
    data = trainer.eval_dataset
    if data is None:
        return HeldOut(about="this Trainer has no eval_dataset, which would be the task")
    name, given = next(iter(data.items())) if isinstance(data, dict) else ("", None)
    alone = copy.copy(trainer)
    alone.accelerator = _Alone(trainer.accelerator)
    alone.__dict__.pop("_eval_dataloaders", None)
    several = f" {name!r}, the first of {len(data)}" if name and len(data) > 1 else ""
    batches = alone.get_eval_dataloader(given)
    return HeldOut(about=f"the trainer's eval_dataset{several}", batches=batches, own=_own_loss(trainer))


def _own_loss(trainer: Any) -> str:
    """What computes the trainer's loss, where it is not the model: its class, a function it was given, smoothing."""
    if type(trainer).compute_loss is not Trainer.compute_loss:
        return f"{type(trainer).__name__}.compute_loss"
    if getattr(trainer, "compute_loss_func", None) is not None:
        return "the trainer's compute_loss_func"
    return "the trainer's label smoothing" if trainer.label_smoother is not None else ""


class _Alone:
    """An accelerator that leaves loaders as they are; all else is that of another one."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accelerator, name)

    def prepare(self, loader: Any, *_: Any, **__: Any) -> Any:
        """The loader."""
        return loader

    prepare_data_loader = prepare


class _TrainerLog:
    """`trainer.log`, which gives the numbers to every `report_to` target and to `trainer_state.json`."""

    name = "trainer.log"

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def write(self, step: int, metrics: Mapping[str, float]) -> None:  # noqa: ARG002 - the trainer adds its own
        """Log one probe."""
        self.trainer.log(dict(metrics))
