"""`ontogeny replay`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ontogeny.cli._model_options import add_reading_options
from ontogeny.cli._replay_arguments import engine_of, loading_of, monitor_of, series_of

__all__ = ["add_parser"]

_ABOUT = """\
Walk a series of saved checkpoints through the same probe as a live run, into the same record.

  ontogeny replay tiny --benchmark planted-vision                       the series that comes with the package
  ontogeny replay out/ --benchmark tuckute2024                          checkpoint-N folders of a Hugging Face Trainer
  ontogeny replay ckpts/ --model my_module:Module --transform my_module:tf --benchmark kriegeskorte2008     Lightning
  ontogeny replay out/ckpt.pt --model my_module:make --tokenizer my_module:encode --benchmark ...           one file
  ontogeny replay 'runs/a/ep{count}.pt' --model my_module:make --transform my_module:tf --benchmark ...     plain files
  ontogeny replay pythia-70m-deduped --steps log --benchmark tuckute2024            a public series, by its manifest
  ontogeny replay someone/some-model --revisions 'step{step}' --benchmark ...       revisions of a hub repository
  ontogeny replay --models list.yaml --benchmark ...                  finished models, with a table of their performance

--engine local --workers 4 measures in four processes, --engine ray on a Ray cluster; one that dies is replaced, and the
record is the same. --features FOLDER keeps features, so that other metrics or regions need no second forward pass.

It goes on where it was interrupted; a second run does nothing. At most two downloaded checkpoints are on disk (--keep
leaves them). --dry-run says what would be done, how much would be downloaded, and how long it would take.
A checkpoint that cannot be used is named, in the record too, and the rest goes on; the exit code is then 1.
Weights are read safely (safetensors, weights_only); no code of a repository is run without --trust-remote-code.
"""


def add_parser(commands: Any) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "replay",
        help="score a series of saved checkpoints",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="*",
        help="files, folders, file patterns, names of public series (see checkpoints/), or hub repositories",
    )
    parser.add_argument("--benchmark", required=True, nargs="+", help="names (see `ontogeny data list`) or folders")
    parser.add_argument(
        "--record", type=Path, help="folder of the record; of several, of all of them (default: runs/replay/NAME)"
    )
    parser.add_argument(
        "--steps", default="all", help="all; 0,1,512; or log, log:12, every:1000: the saved steps nearest to these"
    )
    parser.add_argument(
        "--step", type=int, help="of a single checkpoint, where neither its name nor its content says it"
    )
    parser.add_argument(
        "--model",
        help="module:attribute, a class or a function that makes the model; for checkpoints that hold an adapter "
        "(LoRA) alone their base: its folder, or its name where the hub's files are in the local cache",
    )
    parser.add_argument("--weights", default="raw", choices=["raw", "ema"], help="which of a Lightning checkpoint")
    parser.add_argument("--key", help="where in a plain file the weights are: state_dict_ema, state.model")
    parser.add_argument("--prefix", default="", help="only weights that begin so (net.), without it")
    parser.add_argument("--allow", nargs="+", default=[], help="module:Class that files may hold beside weights")
    parser.add_argument(
        "--updates-per-count",
        type=int,
        help="optimizer updates of one {count} in names, e.g. an epoch, and of epochs that files hold",
    )
    parser.add_argument("--zero-count", type=int, default=0, help="{count} before any update: -1 where 0 is one epoch")
    parser.add_argument("--revisions", default="step{step}", help="how a hub repository's revisions say their step")
    parser.add_argument("--tokenizer", help="module:attribute, a name or folder (default: the checkpoint's own)")
    parser.add_argument("--transform", help="module:attribute, image -> tensor, for images")
    parser.add_argument("--controls", nargs="+", help='names ("random tokens" "split leak" ...), or none')
    parser.add_argument("--protocol", help="shen2026: metrics, layers and pooling of that study")
    add_reading_options(parser)
    parser.add_argument("--task", help="module:attribute, measured at the replayed weights, e.g. a HeldOutLoss")
    parser.add_argument(
        "--task-log", nargs="+", default=[], help="logs whose task values go into the record, as of `ontogeny lag`"
    )
    parser.add_argument("--models", type=Path, help="YAML list of finished models, see ontogeny.replay.model_list")
    parser.add_argument("--features", type=Path, help="folder that keeps features by the hash of the weights")
    _add_places(parser)
    parser.add_argument("--keep", action="store_true", help="leave downloaded checkpoints on disk")
    parser.add_argument("--verify", action="store_true", help="load known steps again and compare their weights")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that a repository brings")
    parser.set_defaults(run=_run)


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Options that say where checkpoints are measured."""
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda:1")
    parser.add_argument("--device-map", help="auto spreads a model over all GPUs (transformers, needs accelerate)")
    parser.add_argument("--dtype", help="float32, bfloat16, ... (default: as stored)")
    parser.add_argument("--engine", default="here", choices=["here", "local", "ray"], help="where to measure")
    parser.add_argument("--workers", type=int, help="how many at once (local: needed; ray: default as there is room)")
    parser.add_argument("--address", help="of a Ray cluster: auto, host:port (default: one on this machine)")
    parser.add_argument("--cpus-per-worker", type=float, default=1.0, help="of a Ray worker (default: 1)")
    parser.add_argument(
        "--gpus-per-worker", type=float, default=0.0, help="of a Ray worker, .5 shares one (default: 0)"
    )


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.errors import ConfigError

    if bool(arguments.source) == bool(arguments.models):
        raise ConfigError("say what to replay: a folder, file pattern, manifest or hub repository, or --models LIST")
    return _run_models(arguments) if arguments.models else _run_series(arguments)


def _run_series(arguments: argparse.Namespace) -> int:
    from ontogeny.errors import ConfigError
    from ontogeny.replay import read_task_log, replay_many

    if arguments.task_log and len(arguments.source) > 1:
        raise ConfigError("--task-log belongs to one series; replay them one by one")
    if arguments.dry_run:
        return _plan_series(arguments)
    several = _several(arguments)
    records = _records(arguments, several)
    monitors = [monitor_of(arguments, *pair) for pair in zip(several, records, strict=True)]
    for log in arguments.task_log:
        rows = monitors[0].record.append(read_task_log(log, run=monitors[0].record.run))
        sys.stdout.write(f"{len(rows)} task values from {log}\n")
    reports = replay_many(zip(several, monitors, strict=True), **_how(arguments))
    for done, record in zip(reports, records, strict=True):
        sys.stdout.write("\n".join([*done.lines(), f"record {record}"]) + "\n")
    return 0 if all(done.whole for done in reports) else 1


def _several(arguments: argparse.Namespace) -> list[Any]:
    """The series that are asked for; what they count, and how that was told, is printed."""
    several = [series_of(arguments, source) for source in arguments.source]
    sys.stdout.write("".join(map(_told, several)))
    return several


def _told(series: Any) -> str:
    from ontogeny.replay.checkpoint_series import UPDATES

    counted = f"steps of {series.name} are {series.unit}, not {UPDATES}: see --updates-per-count\n"
    notes = "".join(f"{series.name}: {note}\n" for note in series.notes)
    return notes if series.unit == UPDATES else counted + notes


def _plan_series(arguments: argparse.Namespace) -> int:
    """What would be done; the hub is asked once, and an answer that does not come is no reason to wait."""
    from ontogeny.errors import DownloadError
    from ontogeny.replay.sources.hub_client import asking_once

    several, unlisted = [], 0
    for source in arguments.source:
        try:
            with asking_once():
                several.append(series_of(arguments, source))
        except DownloadError as error:
            sys.stdout.write(f"{source}: a listing of the hub alone tells its steps. {error}\n")
            unlisted += 1
    for series, record in zip(several, _records(arguments, several), strict=True):
        problems = "".join(f"  {problem}\n" for problem in series.problems)
        sys.stdout.write(_told(series) + _planned(series, record, arguments.benchmark, engine_of(arguments)) + problems)
    return 1 if unlisted else 0


def _records(arguments: argparse.Namespace, several: Sequence[Any]) -> list[Path]:
    """Folder of each series' record."""
    from ontogeny.errors import ConfigError

    if arguments.record is not None and len(several) == 1:
        return [arguments.record]
    names = [series.name.replace("/", "--") for series in several]
    if len(set(names)) < len(names):
        raise ConfigError(f"two of these series have one name ({', '.join(names)}); replay them one by one")
    return [(arguments.record or Path("runs") / "replay") / name for name in names]


def _run_models(arguments: argparse.Namespace) -> int:
    """Each model into a record of its own; then two tables, one row a score and one row a model."""
    from ontogeny.errors import OntogenyError
    from ontogeny.replay import missing_records, model_table, performance_and_alignment, read_models, replay_many

    models = read_models(arguments.models)
    folder = arguments.record or Path("runs") / "models" / arguments.models.stem
    told = [str(problem) for problem in models.problems]
    if arguments.dry_run:
        return _plan_models(arguments, models, folder)
    begun: list[str] = []

    def pairs() -> Iterator[tuple[Any, Any]]:
        for model in models.models:
            try:
                series = _finished(arguments, model)
                monitor = monitor_of(arguments, series, folder / model.folder)
            except OntogenyError as error:
                told.append(f"{model.name}: {error}")
                continue
            begun.append(model.name)
            yield series, monitor

    reports = replay_many(pairs(), **_how(arguments))
    told += [f"{name}: {r.reason}" for name, done in zip(begun, reports, strict=True) for r in done.results if r.reason]
    lost = missing_records(folder, models)
    model_table(folder, models).to_csv(folder / "scores.csv", index=False)
    performance_and_alignment(folder, models).to_csv(folder / "models.csv", index=False)
    closing = f"{len(models) - len(lost)} of {len(models)} models have scores"
    tables = f"{folder / 'models.csv'}: one row a model; {folder / 'scores.csv'}: one row a score"
    sys.stdout.write("\n".join([closing, *(f"  {line}" for line in told), tables]) + "\n")
    return 0 if not lost and all(done.whole for done in reports) else 1


def _plan_models(arguments: argparse.Namespace, models: Any, folder: Path) -> int:
    from ontogeny.errors import OntogenyError

    lost = 0
    for model in models.models:
        try:
            said = _planned(_finished(arguments, model), folder / model.folder, arguments.benchmark)
        except OntogenyError as error:
            said, lost = f"{model.name}: {error}\n", lost + 1
        sys.stdout.write(said)
    return 1 if lost else 0


def _finished(arguments: argparse.Namespace, model: Any) -> Any:
    return model.series(**loading_of(arguments), trust_remote_code=arguments.trust_remote_code)


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    from ontogeny.replay import DiskFeatureCache

    return {
        "engine": engine_of(arguments),
        "keep": arguments.keep,
        "verify": arguments.verify,
        "device": arguments.device,
        "kept": DiskFeatureCache(folder=arguments.features) if arguments.features else None,
        "progress": True,
    }


def _planned(series: Any, record: Path, benchmarks: list[str], engine: Any = None) -> str:
    from ontogeny.record import Record
    from ontogeny.replay import plan

    there = Record(record) if (record / "record.json").exists() else None
    planned = plan(series, there, benchmarks, places=engine.places() if engine else 1)
    unknown = "an unknown size" + (f" ({planned.unsized})" if planned.unsized else "")
    size = unknown if planned.bytes is None else f"about {planned.bytes / 1e9:.2f} GB"
    time = "not known before the first" if planned.seconds is None else f"about {planned.seconds / 60:.1f} minutes"
    steps = ", ".join(map(str, planned.steps[:12])) + (", ..." if len(planned.steps) > 12 else "")
    return (
        f"{series.name}: {len(planned.steps)} checkpoints would be scored ({steps or 'none'}), "
        f"{len(planned.known)} are in the record\ndownload: {size}; reading and scoring: {time}\n"
    )
