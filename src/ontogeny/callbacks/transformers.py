"""AlignmentCallback for the Hugging Face Trainer.

trainer.add_callback(AlignmentCallback("tuckute2024", record="runs/a"))
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback
from typing_extensions import override

from ontogeny.benchmark import Benchmark
from ontogeny.monitor import Monitor, watch

__all__ = ["AlignmentCallback"]


class AlignmentCallback(TrainerCallback):
    """Probe the model under training and write its alignment beside the task at the same weights.

    Steps are optimizer updates (`state.global_step`). Step 0 is read before the first update. The tokenizer is the
    trainer's `processing_class` unless one is given.

    Logged: to a running Weights & Biases run, on its own axis `alignment/step`; and, after `callback.bind(trainer)`,
    through `trainer.log`, so that every `report_to` target and `trainer_state.json` have the numbers too.

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
        if isinstance(benchmark, Monitor) and options:
            raise TypeError(f"a Monitor brings its own options; got {sorted(options)} beside it")
        self._make = (benchmark, record, options)
        self.monitor = benchmark if isinstance(benchmark, Monitor) else None
        self._trainer: Any = None

    def bind(self, trainer: Any) -> AlignmentCallback:
        """Let the numbers go through `trainer.log` too; returns the callback."""
        self._trainer = trainer
        return self

    @override
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self.monitor is None:
            benchmark, record, options = self._make
            options = {**options, "tokenizer": options.get("tokenizer") or kwargs.get("processing_class")}
            assert not isinstance(benchmark, Monitor)  # noqa: S101 - set in __init__
            self.monitor = watch(benchmark, record=record, **options)
        self.monitor.check(kwargs["model"])
        self._probe(state, kwargs)

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = state.global_step >= state.max_steps or control.should_training_stop
        self._probe(state, kwargs, force=last)

    @override
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # With load_best_model_at_end the model holds an older checkpoint by now, not the weights of this step.
        if not args.load_best_model_at_end:
            self._probe(state, kwargs, force=True)
        if self.monitor is not None and state.is_world_process_zero:
            self.monitor.close()

    def _probe(self, state: Any, kwargs: Mapping[str, Any], *, force: bool = False) -> None:
        if self.monitor is None or not state.is_world_process_zero:
            return
        sink = _Trackers(self._trainer)
        optimizer = kwargs.get("optimizer")
        switch = hasattr(optimizer, "eval") and hasattr(optimizer, "train")
        self.monitor.sinks.append(sink)
        try:
            if switch and optimizer is not None:
                optimizer.eval()
            self.monitor(kwargs["model"], state.global_step, force=force)
        finally:
            if switch and optimizer is not None:
                optimizer.train()
            self.monitor.sinks.remove(sink)


class _Trackers:
    """A running Weights & Biases run, and `trainer.log` where a trainer is bound."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one probe."""
        if self.trainer is not None:
            self.trainer.log(dict(metrics))
        run = getattr(sys.modules.get("wandb"), "run", None)
        if run is not None:
            run.define_metric("alignment/step", hidden=True)
            run.define_metric("alignment/*", step_metric="alignment/step")
            run.log({**metrics, "alignment/step": step, "train/global_step": step})
