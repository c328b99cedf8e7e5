"""What the arguments of `ontogeny replay` stand for: a series, an engine, a monitor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ontogeny.addresses import object_at
from ontogeny.cli.reading_options import reading_options

__all__ = ["engine_of", "loading_of", "monitor_of", "series_of"]


def series_of(arguments: argparse.Namespace, source: str) -> Any:
    """The series that a source names, at the steps that are wanted."""
    from ontogeny.schedule import parse_schedule

    found = _found(arguments, source)
    if arguments.steps == "all" or not found.steps:
        return found
    wanted = f"at:{arguments.steps}" if arguments.steps[:1].isdigit() else arguments.steps
    schedule = parse_schedule(wanted)
    if wanted.startswith("at:"):
        return found.only(int(step) for step in wanted.removeprefix("at:").split(","))
    last = found.steps[-1]
    return found.nearest([*(step for step in range(last) if schedule.due(step)), last])


def _found(arguments: argparse.Namespace, source: str) -> Any:
    from ontogeny import replay

    place = Path(source)
    loading = loading_of(arguments)
    if place.is_dir() and any(place.glob("*.ckpt")):
        return replay.lightning(
            place, model=_needed(arguments, source), weights=arguments.weights, prefix=arguments.prefix
        )
    if "{" in place.name:
        return _files(arguments, place)
    _only_raw(arguments)
    if place.is_dir():
        return replay.hf_trainer(place, trust_remote_code=arguments.trust_remote_code, **loading)
    if "/" not in source:
        trusted: dict[str, Any] = {"trust_remote_code": True} if arguments.trust_remote_code else {}
        return replay.load_manifest(source, **trusted, **loading)
    remote = {"trust_remote_code": arguments.trust_remote_code, **loading}
    return replay.hub(source, revisions=arguments.revisions, **remote)


def _files(arguments: argparse.Namespace, pattern: Path) -> Any:
    from ontogeny import replay

    if arguments.key is None:
        _only_raw(arguments)
    naming = replay.Naming(
        templates=(pattern.name,), updates_per_count=arguments.updates_per_count, zero_count=arguments.zero_count
    )
    model, key, prefix = _needed(arguments, str(pattern)), arguments.key, arguments.prefix
    return replay.files(pattern, model=model, key=key, prefix=prefix, naming=naming)


def _only_raw(arguments: argparse.Namespace) -> None:
    """Refuse to write "ema" over weights that nobody said are averaged."""
    from ontogeny.errors import ConfigError

    if arguments.weights != "raw":
        raise ConfigError(
            "--weights ema is for Lightning checkpoints, which hold both; for plain files say with --key where the "
            "averaged ones are (timm: --key state_dict_ema)"
        )


def loading_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of `Loading` that were given."""
    wanted = {"model": arguments.model, "device_map": arguments.device_map, "dtype": arguments.dtype}
    return {name: value for name, value in wanted.items() if value}


def _needed(arguments: argparse.Namespace, source: str) -> str:
    from ontogeny.errors import ConfigError

    if not arguments.model:
        raise ConfigError(
            f"{source} holds weights alone: say with --model module:attribute which class or function makes the model"
        )
    return str(arguments.model)


def engine_of(arguments: argparse.Namespace) -> Any:
    """Where checkpoints are measured."""
    from ontogeny.errors import ConfigError
    from ontogeny.replay import Here, Local, Ray

    if arguments.engine == "ray":
        return Ray(
            workers=arguments.workers,
            address=arguments.address,
            cpus=arguments.cpus_per_worker,
            gpus=arguments.gpus_per_worker,
        )
    if arguments.engine == "local":
        if arguments.workers is None:
            raise ConfigError("--engine local needs --workers, how many processes: each holds a model of its own")
        return Local(workers=arguments.workers)
    if arguments.workers not in (None, 1):
        raise ConfigError(f"--workers {arguments.workers} needs --engine local or --engine ray")
    return Here()


def monitor_of(arguments: argparse.Namespace, series: Any, record: Path) -> Any:
    """What is watched; tokenizer and transform are the series' own where none is given."""
    from ontogeny.datasets import load
    from ontogeny.watching import watch

    benchmarks = [load(name) for name in arguments.benchmark]
    modalities = {benchmark.stimuli.modality for benchmark in benchmarks}
    readers = {"tokenizer": arguments.tokenizer, "transform": arguments.transform}
    for modality, reader in (("text", "tokenizer"), ("image", "transform")):
        own = getattr(series, reader)
        if modality in modalities and readers[reader] is None and own and series.steps:
            readers[reader] = own(series.steps[-1])
    return watch(
        benchmarks,
        record=record,
        **reading_options(arguments),
        protocol=arguments.protocol,
        controls=True if arguments.controls is None else [name for name in arguments.controls if name != "none"],
        task=object_at(arguments.task),
        weights=arguments.weights,
        **readers,
    )
