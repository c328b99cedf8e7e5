"""What the arguments of `ontogeny replay` stand for: a series, an engine, a monitor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ontogeny._import_string import import_from_string
from ontogeny.cli._model_options import reading_options

__all__ = ["engine_of", "loading_of", "monitor_of", "series_of"]


def series_of(arguments: argparse.Namespace, source: str) -> Any:
    """The series that a source names, at the steps that are wanted."""
    from ontogeny.monitoring.schedule import parse_schedule

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
    """What lies on disk, else a manifest, else a repository of the hub; a name that exists here is not asked there."""
    from ontogeny import replay
    from ontogeny.replay.sources import is_place

    loading = loading_of(arguments)
    trusted: dict[str, Any] = {"trust_remote_code": True} if arguments.trust_remote_code else {}
    if Path(source).suffix in (".yaml", ".yml") and Path(source).is_file():
        return _of_manifest(arguments, source, **trusted, **loading)
    if is_place(source):
        return _on_disk(arguments, source, **trusted, **loading)
    _refuse_one_step(arguments, source)
    if "/" not in source:
        return _of_manifest(arguments, source, **trusted, **loading)
    return replay.hub(source, revisions=arguments.revisions, **trusted, **loading)


def _on_disk(arguments: argparse.Namespace, source: str, **loading: Any) -> Any:
    from ontogeny import replay

    naming = replay.Naming(templates=(), updates_per_count=arguments.updates_per_count, zero_count=arguments.zero_count)
    return replay.on_disk(
        source,
        key=arguments.key,
        prefix=arguments.prefix,
        weights=arguments.weights,
        naming=naming,
        step=arguments.step,
        allow=tuple(import_from_string(address) for address in arguments.allow),
        **loading,
    )


def _of_manifest(arguments: argparse.Namespace, source: str, **options: Any) -> Any:
    """A series by its name; where there is none, what lies here is said too."""
    from ontogeny import replay
    from ontogeny.errors import ConfigError
    from ontogeny.replay.sources import absent

    _refuse_one_step(arguments, source)
    try:
        replay.find_manifest(source)
    except ConfigError as error:
        if Path(source).is_file():
            raise
        raise ConfigError(f"{absent(source)}. {error}") from error
    return replay.load_manifest(source, **options)


def _refuse_one_step(arguments: argparse.Namespace, source: str) -> None:
    from ontogeny.errors import ConfigError

    if arguments.weights != "raw":
        raise ConfigError(f"--weights ema is for Lightning checkpoints on disk, and {source} is none")
    if arguments.step is not None:
        raise ConfigError(f"--step is of one checkpoint on disk, and {source} is a series; choose from it with --steps")


def loading_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of `Loading` that were given."""
    wanted = {"model": arguments.model, "device_map": arguments.device_map, "dtype": arguments.dtype}
    return {name: value for name, value in wanted.items() if value}


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
    from ontogeny.monitoring import watch

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
        task=import_from_string(arguments.task),
        weights=arguments.weights,
        **readers,
    )
