"""What the options of `ontogeny replay` stand for: series, an engine, a monitor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from ontogeny._import_string import import_from_string
from ontogeny.cli._vocabulary import Names
from ontogeny.cli._watch_options import given, watch_options
from ontogeny.errors import ConfigError

__all__ = ["NOTHING", "Asked", "Checkpoints", "Place", "Reading", "Work"]

_READING = ("tokenizer", "transform", "protocol", "layers", "pooling", "module", "call", "truncation", "batch_size")
_MADE: Any = watch_options(*_READING, "metrics", "image_type", "controls", "task", "weights")
if TYPE_CHECKING:
    Reading: TypeAlias = Any
else:
    Reading = _MADE
NOTHING: Any = _MADE()


@Parameter(name="*", group="Which checkpoints, and what they hold")
@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """Which checkpoints, and what they hold.

    Args:
        steps: all; 0,1,512; or log, log:12, every:1000: the saved steps nearest to these.
        step: of a single checkpoint, where neither its name nor its content says it.
        model: module:attribute, a class or function that makes the model; of an adapter (LoRA) alone the base's folder.
        key: where in a plain file the weights are: state_dict_ema, state.model.
        prefix: only weights that begin so (net.), without it.
        allow: module:Class that files may hold beside weights.
        updates_per_count: optimizer updates of one {count} in names, e.g. an epoch, and of epochs that files hold.
        zero_count: {count} before any update: -1 where 0 is one epoch.
        revisions: how a hub repository's revisions say their step.
        models: YAML list of finished models, see ontogeny.replay.model_list.
        trust_remote_code: run code that a repository brings.
    """

    steps: str = "all"
    step: int | None = None
    model: str | None = None
    key: str | None = None
    prefix: str = ""
    allow: Names = ()
    updates_per_count: int | None = None
    zero_count: int = 0
    revisions: str = "step{step}"
    models: Annotated[Path | None, Parameter(metavar="LIST")] = None
    trust_remote_code: bool = False


@Parameter(name="*", group="Where checkpoints are measured")
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where checkpoints are measured.

    Args:
        device: auto (a GPU where there is one), cpu, cuda:1.
        device_map: auto spreads a model over all GPUs (transformers, needs accelerate).
        dtype: float32, bfloat16, ...; as stored where not given.
        engine: in this process, in several of this machine, or on a Ray cluster.
        workers: how many at once (local: needed; ray: as there is room where not given).
        address: of a Ray cluster: auto, host:port; one on this machine where not given.
        cpus_per_worker: of a Ray worker.
        gpus_per_worker: of a Ray worker, .5 shares one.
    """

    device: str = "auto"
    device_map: str | None = None
    dtype: str | None = None
    engine: Literal["here", "local", "ray"] = "here"
    workers: int | None = None
    address: str | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with the scores.

    Args:
        record: folder of the record; of several, of all of them; runs/replay/NAME where not given.
        task_log: logs whose task values go into the record, as of `ontogeny lag`.
        features: folder that keeps features by the hash of the weights.
        keep: leave downloaded checkpoints on disk.
        verify: load known steps again and compare their weights.
        dry_run: say what would be done.
    """

    record: Annotated[Path | None, Parameter(alias="--out")] = None
    task_log: Annotated[tuple[str, ...], Parameter(consume_multiple=1, metavar="LOG")] = ()
    features: Path | None = None
    keep: bool = False
    verify: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that says what is measured, and where."""

    source: tuple[str, ...]
    benchmark: tuple[str, ...]
    checkpoints: Checkpoints
    reading: Reading
    place: Place
    work: Work

    @property
    def loading(self) -> dict[str, Any]:
        """Options of `Loading` that were given."""
        place = self.place
        overrides = {"model": self.checkpoints.model, "device_map": place.device_map, "dtype": place.dtype}
        return {name: value for name, value in overrides.items() if value}

    @property
    def weights(self) -> Any:
        """Which of a Lightning checkpoint."""
        return given(self.reading).get("weights", "raw")

    def series(self, source: str) -> Any:
        """The series that a source names, at the steps that are wanted."""
        from ontogeny.monitoring.schedule import parse_schedule

        found, steps = self._found(source), self.checkpoints.steps
        if steps == "all" or not found.steps:
            return found
        overrides = f"at:{steps}" if steps[:1].isdigit() else steps
        schedule = parse_schedule(overrides)
        if overrides.startswith("at:"):
            return found.only(int(step) for step in overrides.removeprefix("at:").split(","))
        last = found.steps[-1]
        return found.nearest([*(step for step in range(last) if schedule.due(step)), last])

    def _found(self, source: str) -> Any:
        """What lies on disk, else a manifest, else a repository of the hub; what is here is not asked there."""
        from ontogeny import replay
        from ontogeny.replay.sources import is_place

        options = self.loading | ({"trust_remote_code": True} if self.checkpoints.trust_remote_code else {})
        is_list = Path(source).suffix in (".yaml", ".yml") and Path(source).is_file()
        if is_place(source) and not is_list:
            return self._on_disk(source, **options)
        if self.weights != "raw":
            raise ConfigError(f"--weights ema is for Lightning checkpoints on disk, and {source} is none")
        if self.checkpoints.step is not None:
            raise ConfigError(
                f"--step is of one checkpoint on disk, and {source} is a series; choose from it with --steps"
            )
        if "/" in source and not is_list:
            return replay.hub(source, revisions=self.checkpoints.revisions, **options)
        return _of_manifest(source, **options)

    def _on_disk(self, source: str, **options: Any) -> Any:
        from ontogeny import replay

        saved = self.checkpoints
        return replay.on_disk(
            source,
            key=saved.key,
            prefix=saved.prefix,
            weights=self.weights,
            naming=replay.Naming(templates=(), updates_per_count=saved.updates_per_count, zero_count=saved.zero_count),
            step=saved.step,
            allow=tuple(import_from_string(address) for address in saved.allow),
            **options,
        )

    def engine(self) -> Any:
        """Where checkpoints are measured."""
        from ontogeny.replay import Here, Local, Ray

        place = self.place
        if place.engine == "ray":
            cpus, gpus = place.cpus_per_worker, place.gpus_per_worker
            return Ray(workers=place.workers, address=place.address, cpus=cpus, gpus=gpus)
        if place.engine == "local":
            if place.workers is None:
                raise ConfigError("--engine local needs --workers, how many processes: each holds a model of its own")
            return Local(workers=place.workers)
        if place.workers not in (None, 1):
            raise ConfigError(f"--workers {place.workers} needs --engine local or --engine ray")
        return Here()

    def monitor(self, series: Any, record: Path) -> Any:
        """What is watched; tokenizer and transform are the series' own where none is given."""
        from ontogeny.datasets import load
        from ontogeny.monitoring import watch

        benchmarks, options = [load(name) for name in self.benchmark], given(self.reading)
        modalities = {benchmark.stimuli.modality for benchmark in benchmarks}
        for modality, reader in (("text", "tokenizer"), ("image", "transform")):
            own = getattr(series, reader)
            if modality in modalities and reader not in options and own and series.steps:
                options[reader] = own(series.steps[-1])
        return watch(benchmarks, record=record, **options)


def _of_manifest(source: str, **options: Any) -> Any:
    """A series by its name; where there is none, what lies here is said too."""
    from ontogeny import replay
    from ontogeny.replay.sources import absent

    try:
        replay.find_manifest(source)
    except ConfigError as error:
        if Path(source).is_file():
            raise
        raise ConfigError(f"{absent(source)}. {error}") from error
    return replay.load_manifest(source, **options)
