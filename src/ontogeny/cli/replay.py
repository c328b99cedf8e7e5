"""`ontogeny replay`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ontogeny.addresses import object_at

__all__ = ["add_parser"]

_ABOUT = """\
Walk a series of saved checkpoints through the same probe as a live run, into the same record.

  ontogeny replay tiny --benchmark planted-vision                       the series that comes with the project
  ontogeny replay out/ --benchmark tuckute2024                          checkpoint-N folders of a Hugging Face Trainer
  ontogeny replay ckpts/ --model my_module:Module --transform my_module:tf --benchmark kriegeskorte2008     Lightning
  ontogeny replay 'runs/a/ep{count}.pt' --model my_module:make --transform my_module:tf --benchmark ...     plain files
  ontogeny replay pythia-70m-deduped --steps log --benchmark tuckute2024            a public series, by its manifest
  ontogeny replay someone/some-model --revisions 'step{step}' --benchmark ...       revisions of a hub repository

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
    parser.add_argument("source", help="folder, file pattern, name of a manifest in checkpoints/, or hub repository")
    parser.add_argument("--benchmark", required=True, nargs="+", help="names, see `ontogeny data list`")
    parser.add_argument("--record", type=Path, help="folder of the record (default: runs/replay/NAME)")
    parser.add_argument("--steps", default="all", help="all, log, log:12, every:1000, or 0,1,512 (default: all)")
    parser.add_argument("--model", help="module:attribute, a class or a function that makes the model")
    parser.add_argument("--weights", default="raw", choices=["raw", "ema"], help="which of a Lightning checkpoint")
    parser.add_argument("--revisions", default="step{step}", help="how a hub repository's revisions say their step")
    parser.add_argument("--tokenizer", help="module:attribute, a name or folder (default: the checkpoint's own)")
    parser.add_argument("--transform", help="module:attribute, image -> tensor, for images")
    parser.add_argument("--layers", nargs="+", default=["auto"], help="names, globs, auto, embeddings, surprisal")
    parser.add_argument("--pooling", nargs="+", default=[], help="mean, last, cls, spatial_mean, flatten")
    parser.add_argument("--task", help="module:attribute, measured at the replayed weights, e.g. a HeldOutLoss")
    parser.add_argument(
        "--task-log", nargs="+", default=[], type=Path, help="logs whose task values go into the record"
    )
    parser.add_argument("--keep", action="store_true", help="leave downloaded checkpoints on disk")
    parser.add_argument("--verify", action="store_true", help="load known steps again and compare their weights")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that a repository brings")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets import load
    from ontogeny.replay import plan, read_task_log, replay
    from ontogeny.watching import watch

    series = _series(arguments)
    benchmarks = [load(name) for name in arguments.benchmark]
    needed = {benchmark.stimuli.modality for benchmark in benchmarks}
    options = {
        "tokenizer": arguments.tokenizer or _beside(series, series.tokenizer, "text" in needed),
        "transform": arguments.transform or _beside(series, series.transform, "image" in needed),
        "layers": arguments.layers,
    }
    record = arguments.record or Path("runs") / "replay" / series.name.replace("/", "--")
    monitor = watch(
        benchmarks,
        record=record,
        pooling=arguments.pooling,
        task=object_at(arguments.task),
        weights=arguments.weights,
        **options,
    )
    if arguments.dry_run:
        sys.stdout.write(_planned(plan(series, monitor), series.name))
        return 0
    for log in arguments.task_log:
        rows = monitor.record.append(read_task_log(log, run=monitor.record.run))
        sys.stdout.write(f"{len(rows)} task values from {log}\n")
    walked = replay(series, monitor, keep=arguments.keep, verify=arguments.verify, progress=True)
    sys.stdout.write("\n".join([*walked.lines(), f"record {monitor.record.folder}"]) + "\n")
    return 0 if walked.whole else 1


def _beside(series: Any, reader: Any, needed: bool) -> Any:
    """What lies beside the weights of the last step, if it is needed: a tokenizer or a transform."""
    return reader(series.steps[-1]) if needed and reader is not None and series.steps else None


def _series(arguments: argparse.Namespace) -> Any:
    """The series that the source names, at the steps that are wanted."""
    from ontogeny.schedule import parse_schedule

    found = _found(arguments)
    if arguments.steps == "all":
        return found
    wanted = f"at:{arguments.steps}" if arguments.steps[:1].isdigit() else arguments.steps
    schedule = parse_schedule(wanted)
    if wanted.startswith("at:"):
        return found.only(int(step) for step in wanted.removeprefix("at:").split(","))
    return found.only(step for step in found.steps if schedule.due(step) or step == found.steps[-1])


def _found(arguments: argparse.Namespace) -> Any:
    from ontogeny import replay

    place = Path(arguments.source)
    loading: dict[str, Any] = {"model": arguments.model} if arguments.model else {}
    if place.is_dir() and any(place.glob("*.ckpt")):
        return replay.lightning(place, model=_needed(arguments), weights=arguments.weights)
    if place.is_dir():
        return replay.hf_trainer(place, trust_remote_code=arguments.trust_remote_code, **loading)
    if "{" in place.name:
        return replay.files(place, model=_needed(arguments))
    if "/" not in arguments.source:
        trusted: dict[str, Any] = {"trust_remote_code": True} if arguments.trust_remote_code else {}
        return replay.load_manifest(arguments.source, **trusted, **loading)
    remote = {"trust_remote_code": arguments.trust_remote_code, **loading}
    return replay.hub(arguments.source, revisions=arguments.revisions, **remote)


def _needed(arguments: argparse.Namespace) -> str:
    from ontogeny.errors import ConfigError

    if not arguments.model:
        raise ConfigError(
            f"{arguments.source} holds weights alone: say with --model module:attribute which class or function makes "
            "the model"
        )
    return str(arguments.model)


def _planned(planned: Any, name: str) -> str:
    size = "an unknown size" if planned.bytes is None else f"{planned.bytes / 1e9:.2f} GB"
    time = "not known before the first" if planned.seconds is None else f"about {planned.seconds / 60:.1f} minutes"
    steps = ", ".join(map(str, planned.steps[:12])) + (", ..." if len(planned.steps) > 12 else "")
    return (
        f"{name}: {len(planned.steps)} checkpoints would be scored ({steps or 'none'}), {len(planned.known)} are in "
        f"the record\ndownload: {size}; reading and scoring: {time}\n"
    )
