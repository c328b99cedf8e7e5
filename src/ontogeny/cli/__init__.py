"""The command line: one file a verb, each with `add_parser`.

ontogeny demo      train two small models, watched, and write the report
ontogeny doctor    what would be read, does it fit, what does it cost
ontogeny data      list, get, build, show, verify and export data sets
ontogeny record    what a record holds, questions to it, compaction
ontogeny report    pictures and one offline page from a record
ontogeny map       scores of a record back in the brain
ontogeny lag       which moves first, alignment or performance
ontogeny findings  the study's other questions: better models, modalities, regions, depth, scale, when
ontogeny replay    score a series of saved checkpoints
ontogeny wandb     charts, pages and records on Weights & Biases
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, cast

from ontogeny import __version__
from ontogeny._messages import printable
from ontogeny.cli import brain_map, data, demo, doctor, findings, lag, record, replay, report, wandb
from ontogeny.cli._plain_output import PlainOutput
from ontogeny.errors import OntogenyError

__all__ = ["main"]

_EPILOG = """\
start here:
  ontogeny demo                          two small models, a few minutes, a page to look at
  ontogeny data list                     which brain data are here
  ontogeny doctor tuckute2024 --model my_module:make_model --tokenizer my_module:tokenizer
  ontogeny replay out/ --benchmark tuckute2024      the checkpoint-N folders of a Hugging Face Trainer
  ontogeny record show runs/a            what it holds; best, query and compact are there too
  ontogeny report runs/a                 pictures and one offline page from a record
  ontogeny map runs/a --space my-benchmark          scores back in the brain, as NIfTI
  ontogeny lag runs/a --roi IT --layer head --metric rsa-correlation-spearman
  ontogeny findings across --published shen2026     do better models align better?
  ontogeny wandb log runs/a --project brains

in a training script:
  from ontogeny.callbacks.lightning import AlignmentCallback      # or .transformers
  trainer = L.Trainer(callbacks=[AlignmentCallback("kriegeskorte2008", transform=tf, record="runs/a")])
"""


_PIPE_CLOSED = 141  # what a shell says of a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one clear line and exit code 2.

    Where nobody reads on (`ontogeny data list | head -1`), it ends without a word, exit code 141.
    """
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_closed():
            raise
        return _PIPE_CLOSED
    return code


def _is_closed() -> bool:
    """Whether nobody reads our own output; if so what is left of it goes nowhere, also at exit."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="ontogeny",
        description="Watch a model become brain-like while it trains.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ontogeny {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for verb in (demo, doctor, data, replay, record, report, brain_map, lag, findings, wandb):
        verb.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        with redirect_stdout(cast("Any", PlainOutput(sys.stdout))):
            return int(arguments.run(arguments) or 0)
    except OntogenyError as error:
        sys.stderr.write(f"ontogeny {arguments.command}: {printable(str(error))}\n")
        return 2
