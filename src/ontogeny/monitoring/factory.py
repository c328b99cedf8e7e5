"""Options: names and plain words, from callbacks, YAML and plain loops alike, become what a Monitor watches and how."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypedDict

from ontogeny._import_string import import_from_string
from ontogeny.benchmarks import Benchmark
from ontogeny.benchmarks.protocols import protocol as published
from ontogeny.datasets import load
from ontogeny.errors import ConfigError, nearest, require
from ontogeny.extraction.model_inputs import ImageType
from ontogeny.metrics.registry import as_metric
from ontogeny.monitoring._settings import OnError, Settings, Weights
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.heldout.loss import Task
from ontogeny.monitoring.schedule import Schedule
from ontogeny.sinks import Sink
from ontogeny.sinks.registry import as_sinks

__all__ = ["Options", "Watchable", "check_options", "watched_of"]

_One: TypeAlias = str | os.PathLike[str] | Benchmark | BenchmarkProbe
Watchable: TypeAlias = _One | Sequence[_One]


class Options(TypedDict, total=False):
    """Options of `watch` and of every callback.

    Where it says "or an address", a text "module:attribute" will do, so that YAML can name it.

    Args:
        tokenizer: for text: a Hugging Face tokenizer, its name, or a function text -> token ids, or an address.
        transform: for images: a function image -> tensor, best the one of your validation set, or an address.
        protocol: metrics, and what is read, of a published study in place of the benchmark's: "shen2026",
            "brainscore-vision", "brainscore-language", "algonauts2023", "deepnsd" or "himalaya-banded", see
            `ontogeny.benchmarks.protocols`; the benchmark's name becomes "tuckute2024@shen2026".
        metrics: in place of the benchmark's: names ("rsa", "ridge(rule='loo')"), objects, regressors of scikit-learn's
            kind, addresses of either, or mappings; see `ontogeny.metrics.registry.as_metric`.
        layers: "auto", names and globs; see `ontogeny.Probe`.
        pooling: one or several of mean, mean_text, last, cls, spatial_mean, flatten; see `ontogeny.Probe`.
        batch_size: stimuli per forward pass.
        module: name of the submodule that is read ("backbone", "model[0].auto_model"); empty: the model, or its tower
            or encoder for the stimuli's modality.
        call: how it is called, a function of the module and a batch of tensors, or an address; see `ontogeny.Probe`.
        truncation: longest text in tokens; what is longer is cut at its end.
        image_type: what a transform is given: "pil" (RGB pictures of PIL) or "array" (height x width x 3, uint8).
        controls: what is scored beside the layers: true (random features, permuted stimuli, the stimuli's surface),
            false, or names of these and of "permuted within groups", "random tokens", "split leak", "held-out layer".
        schedule: "log", "log:12", "every:100", "at:0,10,100" or a schedule object.
        task: `HeldOutLoss(batches=...)`, a function model -> values, or an address of either. Where none is given, a
            callback takes the trainer's own held-out data (Hugging Face: `eval_dataset`; Lightning: the validation
            loader; of several the first), their first 16 batches, read once; False: no task.
        sinks: where the numbers go beside the record: the name "wandb", objects with `write(step, metrics)`, addresses,
            or several; see `ontogeny.sinks.registry.as_sinks`.
        budget: largest share of wall time for probes, .02 for 2 %.
        page: write RECORD/report.html while training runs: the answer so far, four numbers and the key curve, after
            each probe but no more often than 1 % of the probes' time allows; needs '.[report]'.
        say_every: print one plain line after every so many probes.
        background: score in a thread while the model trains on.
        on_error: "warn" or "raise".
        weights: "raw" or "ema".
        distributed: False: this process alone, whatever other ranks there are.
        probe_timeout: seconds that a rank waits in a probe for another one that hangs, the first one's scoring
            included; an hour where none is given. FSDP waits a sixth of it for weights.
        run: name of the run; the record folder's name where empty.
        rehearsal: false: the model is not tried on eight stimuli and reported on before training.
    """

    tokenizer: str | Callable[..., Any] | None
    transform: str | Callable[..., Any] | None
    protocol: str | None
    metrics: str | Sequence[Any]
    layers: str | Sequence[str]
    pooling: str | Sequence[str] | Callable[..., Any]
    batch_size: int
    module: str
    call: str | Callable[..., Any] | None
    truncation: int | None
    image_type: ImageType
    controls: bool | Sequence[str]
    schedule: str | Schedule
    task: Literal[False] | str | Task | None
    sinks: str | Sink | Sequence[str | Sink]
    page: bool
    budget: float | None
    say_every: int
    background: bool
    on_error: OnError
    weights: Weights
    distributed: bool
    probe_timeout: float
    run: str
    rehearsal: bool


def check_options(options: Iterable[str]) -> None:
    """Refuse a name that is no option, before anything else is done.

    Raises:
        ConfigError: there is none of this name; the nearest is named.
    """
    known = Options.__annotations__
    for name in options:
        if name not in known:
            raise ConfigError(f"there is no option {name!r}. {nearest(name, known)}")


_OF_PROBES = ("layers", "pooling", "batch_size", "controls", "module", "call", "truncation", "image_type")


def watched_of(benchmark: Watchable, options: Options) -> tuple[tuple[BenchmarkProbe, ...], Settings]:
    """Benchmarks with their probes, and how they are watched.

    Args:
        benchmark: name, path of a benchmark folder, object, or several. What is a `BenchmarkProbe` already keeps its
            probe.
        options: see `Options`.

    Raises:
        ConfigError: no option of this name, or nothing to watch.
    """
    check_options(options)
    given: dict[str, Any] = dict(options)
    readers = {
        "text": _tokenizer(given.pop("tokenizer", None)),
        "image": import_from_string(given.pop("transform", None)),
    }
    how = {name: given.pop(name) for name in _OF_PROBES if name in given}
    protocol, metrics = given.pop("protocol", None), given.pop("metrics", None)
    if protocol is not None and metrics is not None:
        raise ConfigError(f"protocol {protocol!r} has metrics of its own; leave out metrics, or protocol")
    several = [benchmark] if isinstance(benchmark, str | os.PathLike | Benchmark | BenchmarkProbe) else list(benchmark)
    if not several:
        raise ConfigError("a monitor needs at least one benchmark to watch")
    watched: list[BenchmarkProbe] = []
    for one in several:
        if isinstance(one, BenchmarkProbe):
            watched.append(one)
            continue
        loaded = one if isinstance(one, Benchmark) else load(one)
        if metrics is not None:
            loaded = replace(loaded, metrics=tuple(as_metric(m) for m in _several(metrics)))
        ruled, reading = (loaded, how) if protocol is None else _by_protocol(protocol, loaded, how)
        watched.append(BenchmarkProbe.of(ruled, reader=readers[ruled.read.modality], **reading))
    sinks = as_sinks(given.get("sinks", ()))
    sinks += as_sinks("page") if given.pop("page", False) else ()
    named = {"task": import_from_string(given.get("task")), "sinks": sinks}
    return tuple(watched), Settings(**{**given, **named})


def _several(metrics: Any) -> list[Any]:
    return [metrics] if isinstance(metrics, str | Mapping) or not isinstance(metrics, Iterable) else list(metrics)


def _by_protocol(name: str, benchmark: Benchmark, how: dict[str, Any]) -> tuple[Benchmark, dict[str, Any]]:
    """A benchmark and how it is read, by the rules of a published study."""
    study = published(name, benchmark.stimuli)
    if own := [option for option in study.reading if how.get(option)]:
        raise ConfigError(f"protocol {name!r} says what is read; leave out {' and '.join(own)}")
    return replace(benchmark, name=f"{benchmark.name}@{name}", metrics=study.metrics), {**how, **study.reading}


def _tokenizer(given: Any) -> Any:
    """A name without a colon is one of Hugging Face's, or a folder that holds one."""
    if not isinstance(given, str) or ":" in given:
        return import_from_string(given)
    return require("transformers", "transformers").AutoTokenizer.from_pretrained(given)
