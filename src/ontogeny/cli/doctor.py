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
Before training: which layers would be read and how large they are, whether stimuli and responses pair up, ceilings,
what the untrained model and the stimuli's own surface score already, and how long one probe takes. Writes nothing.

Without --model it describes the benchmark alone.
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
        sys.stdout.write("\n".join(describe_benchmark(load(arguments.benchmark).prepare())) + "\n")
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
