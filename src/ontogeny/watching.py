"""Watching in one line: names and plain options, from callbacks, YAML and plain loops alike, become a Monitor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from typing_extensions import Unpack

from ontogeny.addresses import object_at
from ontogeny.benchmark import Benchmark
from ontogeny.datasets import load
from ontogeny.errors import require
from ontogeny.monitor import Monitor, OnError, Weights
from ontogeny.probe import same_randomness
from ontogeny.schedule import Schedule
from ontogeny.sinks import Sink
from ontogeny.task import Task
from ontogeny.watched import Watched

__all__ = ["Options", "watch"]


class Options(TypedDict, total=False):
    """Options of `watch` and of every callback.

    Where it says "or an address", a text "module:attribute" will do, so that YAML can name it.

    Args:
        tokenizer: for text: a Hugging Face tokenizer, its name, or a function text -> token ids, or an address.
        transform: for images: a function image -> tensor, best the one of your validation set, or an address.
        layers: "auto", names and globs; see `ontogeny.Probe`.
        pooling: one or several of mean, last, cls, spatial_mean, flatten; see `ontogeny.Probe`.
        batch_size: stimuli a forward pass.
        controls: score random features, permuted stimuli and the stimuli's own surface beside the layers.
        schedule: "log", "log:12", "every:100", "at:0,10,100" or a schedule object.
        task: `HeldOutLoss(batches=...)`, a function model -> values, or an address of either.
        sinks: where the numbers go beside the record.
        budget: largest share of wall time for probes, .02 for 2 %.
        say_every: print one plain line after every so many probes.
        background: score in a thread while the model trains on.
        on_error: "warn" or "raise".
        weights: "raw" or "ema".
        distributed: False: this process alone, whatever other ranks there are.
        run: name of the run; the record folder's name where empty.
    """

    tokenizer: str | Callable[..., Any] | None
    transform: str | Callable[..., Any] | None
    layers: str | Sequence[str]
    pooling: str | Sequence[str] | Callable[..., Any]
    batch_size: int
    controls: bool
    schedule: str | Schedule
    task: str | Task | None
    sinks: Sequence[Sink]
    budget: float | None
    say_every: int
    background: bool
    on_error: OnError
    weights: Weights
    distributed: bool
    run: str


_OF_PROBES = ("layers", "pooling", "batch_size", "controls")


@same_randomness()
def watch(
    benchmark: str | os.PathLike[str] | Benchmark | Sequence[str | os.PathLike[str] | Benchmark],
    *,
    record: str | os.PathLike[str],
    **options: Unpack[Options],
) -> Monitor:
    """A monitor in one line.

    Args:
        benchmark: name (`ontogeny data list`), path of a benchmark folder, object, or several.
        record: folder of the record.
        **options: see `Options`.

    Returns:
        Call it as `monitor(model, step)` after every optimizer update, and `monitor.finish(model, step)` at the end.
    """
    given: dict[str, Any] = dict(options)
    readers = {"text": _tokenizer(given.pop("tokenizer", None)), "image": object_at(given.pop("transform", None))}
    how = {name: given.pop(name) for name in _OF_PROBES if name in given}
    several = [benchmark] if isinstance(benchmark, str | os.PathLike | Benchmark) else list(benchmark)
    loaded = [b if isinstance(b, Benchmark) else load(b) for b in several]
    watched = [Watched.of(b, reader=readers[b.stimuli.modality], **how) for b in loaded]
    return Monitor(watched, record=record, task=object_at(given.pop("task", None)), **given)


def _tokenizer(given: Any) -> Any:
    """A name without a colon is one of Hugging Face's, or a folder that holds one."""
    if not isinstance(given, str) or ":" in given:
        return object_at(given)
    return require("transformers", "transformers").AutoTokenizer.from_pretrained(given)
