"""The command line: one file a verb, each with `add_parser`.

ontogeny demo      train two small models, watched, and write the report
ontogeny doctor    what would be read, does it fit, what does it cost
ontogeny data      list, get, build, show, verify and export data sets
ontogeny record    what a record holds, questions to it, compaction
ontogeny report    pictures and one offline page from a record
ontogeny lag       which moves first, alignment or performance
ontogeny findings  the study's other questions: depth, scale
ontogeny replay    score a series of saved checkpoints
ontogeny wandb     charts, pages and records on Weights & Biases
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ontogeny import __version__
from ontogeny.cli import data, demo, doctor, findings, lag, record, replay, report, wandb
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
  ontogeny lag runs/a --roi IT --layer head --metric rsa-correlation-spearman
  ontogeny wandb log runs/a --project brains

in a training script:
  from ontogeny.callbacks.lightning import AlignmentCallback      # or .transformers
  trainer = L.Trainer(callbacks=[AlignmentCallback("kriegeskorte2008", transform=tf, record="runs/a")])
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one clear line and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="ontogeny",
        description="Watch a model become brain-like while it trains.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ontogeny {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for verb in (demo, doctor, data, replay, record, report, lag, findings, wandb):
        verb.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except OntogenyError as error:
        sys.stderr.write(f"ontogeny {arguments.command}: {error}\n")
        return 2
