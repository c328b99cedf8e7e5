"""`ontogeny doctor`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ontogeny.addresses import object_at

__all__ = ["add_parser"]

_ABOUT = """\
Before training: can the benchmark be relied on, which layers would be read and how large they are, what the untrained
model and the stimuli's own surface score already, and how long one probe takes. Writes nothing.

Without --model it examines the benchmark alone:

  pairing    do rows of responses and stimuli belong together? A subject whose rows were shuffled agrees with nobody
  split      does position alone score above chance? Then the folds leak
  worth      how many independent stimuli a correlation rests on (autocorrelation, groups), and what it can show
  ROI        voxels, ceilings; then for each metric the confound baseline, the spread of random features, and from which
             value on a model can be told from chance
  left out   voxels that a folder does not hold, and why

  ontogeny doctor kriegeskorte2008
  ontogeny doctor my-benchmark --model my_module:make_model --tokenizer my_module:tokenizer
"""


def add_parser(commands: Any) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "doctor",
        help="what would be read, does it fit, what does it cost",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", help="name of a benchmark (see `ontogeny data list`), or its folder")
    parser.add_argument("--model", help="module:attribute, a model or a function that makes one")
    parser.add_argument("--tokenizer", help="module:attribute, for text")
    parser.add_argument("--transform", help="module:attribute, image -> tensor, for images")
    parser.add_argument("--layers", nargs="+", default=["auto"], help="names, globs, auto, embeddings, surprisal")
    parser.add_argument("--pooling", nargs="+", default=[], help="mean, last, cls, spatial_mean, flatten")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets import load
    from ontogeny.doctor import describe_benchmark
    from ontogeny.watching import watch

    if arguments.model is None:
        lines = [*describe_benchmark(load(arguments.benchmark).prepare()), *_left_out(arguments.benchmark)]
        sys.stdout.write("\n".join(lines) + "\n")
        return 0
    model = object_at(arguments.model)
    readers = {
        name: object_at(address)
        for name in ("tokenizer", "transform")
        if (address := getattr(arguments, name)) is not None
    }
    with tempfile.TemporaryDirectory() as scratch:
        monitor = watch(
            arguments.benchmark,
            record=Path(scratch) / "record",
            layers=arguments.layers,
            pooling=arguments.pooling,
            **readers,
        )
        sys.stdout.write(
            monitor.doctor(model() if isinstance(model, type) or not hasattr(model, "parameters") else model) + "\n"
        )
    return 0


def _left_out(benchmark: str) -> list[str]:
    """What a benchmark's folder says of voxels that it does not hold; nothing of one that is no folder."""
    from ontogeny.datasets.folder.layout import read_manifest

    if not Path(benchmark).is_dir():
        return []
    entries = read_manifest(Path(benchmark)).facts["dropped"]
    lines = [f"  left out   subject {e['subject']}: {len(e['voxels'])} voxels, {e['why']}" for e in entries]
    return lines or ["  left out   no voxel"]
