"""`ontogeny doctor`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ontogeny.addresses import object_at
from ontogeny.cli.reading_options import add_reading_options, reading_options

__all__ = ["add_parser"]

_ABOUT = """\
Before training: can the benchmark be relied on, which layers would be read and how large they are, what the untrained
model and the stimuli's own surface score already, and how long one probe takes. Writes nothing.

Without --model it examines the benchmark alone:

  pairing    do rows of responses and stimuli belong together? A subject whose rows were shuffled agrees with nobody
  split      does position alone score above chance? Then the folds leak
  worth      how many independent stimuli a correlation rests on (autocorrelation, groups), and what it can show
  ROI        voxels, how ceilings were made; then for each metric its ceiling, the confound baseline, the spread of
             random features, and from which value on a model can be told from chance

and of a benchmark folder, also with --model:

  files      do all have the sha256 that benchmark.json lists?
  repeats    do odd and even repeats of a stimulus agree? If not, one is in another order, or all is noise
  left out   voxels that the folder does not hold, and why

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
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.datasets import benchmark_names, load
    from ontogeny.datasets.folder.examined import describe_folder
    from ontogeny.doctor import describe_benchmark
    from ontogeny.watching import watch

    folder = Path(arguments.benchmark).expanduser()
    own = arguments.benchmark not in benchmark_names() and folder.is_dir()
    beside = "".join(f"{line}\n" for line in describe_folder(folder)) if own else ""
    if arguments.model is None:
        lines = describe_benchmark(load(arguments.benchmark).prepare())
        sys.stdout.write("\n".join(lines) + "\n" + beside)
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
            **reading_options(arguments),
            **readers,
        )
        said = monitor.doctor(model() if isinstance(model, type) or not hasattr(model, "parameters") else model)
        sys.stdout.write(f"{said}\n{beside}")
    return 0
